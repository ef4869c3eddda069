"""Finds out where something may have changed: inotify, pending paths, scans, rescans.

**A change says where to look, never what happened.** An inotify event, a timer, the start and `pixkin sync` all lead to
`scan.Scan.steps(path)`. It compares the file system with the store. Events may get lost, come late or come twice.
Looking again is cheap.

**Gone.** A photo is gone if its folder does not list exactly its name. A file that answers to another spelling of the
name, or is reached through a symbolic link, is not it. `scan.may_exist` says so again in the commit.

**Watched before scanned.** inotify reports only what happens after a watch exists (`inotify`). So a root is watched
first and scanned second, and a folder is watched before it is listed. A change in between is either listed or causes an
event.

**Pending.** A dirty path is scanned only when it has been left alone for a while (`pending`). A photo that is still
being written decodes to grey.

**Coverage** (`coverage`) records what is not covered: roots that were never scanned, roots that are not fully watched,
and paths that could not be read. `pixkin status` shows it.

**Rescans.** `root_monitor` checks every root: is its drive there, has something been mounted, is a full scan due? A
watched root is scanned every `index.rescan_s`, because the kernel drops events when too many come at once. A root whose
file system does not report changes is scanned every five minutes. `scan_queue` runs the scans one after the other in
short slices, so that they do not delay finished photos. `sync` tracks what each `pixkin sync` still waits for.
"""
