"""Drives, mounts, roots, opening files, and file systems that may hang.

**How a drive is identified.** A root is a path, and any drive may be mounted there. So the first check of a root stores
a `DriveIdentity`: the UUID of the file system, where it has one, and the folder within it. Every later check compares.
A root that is missing, unreadable, on another drive, or empty although the index has photos of it, is offline. The
photos of an offline root are kept, because an unproven root says nothing about them. See `identity` and `roots`.

**Symbolic links.** A root may be reached through links. Below a root none is followed, because a photo with two paths
would seem to have a copy. Anything that only a link leads to counts as absent. See `reach`.

**Spellings.** exFAT, vfat and SMB find a file by its name in any case. A photo exists only if its folder lists exactly
its name, and the same holds for each folder above it up to the root. See `spelling`.

**Second names.** A bind mount or a drive that is mounted twice shows each file under two paths. `aliases` finds such
folders in the mount table. Two roots may not show the same files, and a mount inside a root that shows them again is
neither scanned nor watched.

**What may hang.** A network or FUSE file system can block a system call for hours. The blocked process cannot be
killed, and neither can any process that reads or closes a descriptor of such a file. So the daemon touches only file
systems that `identity.is_local` names. For each mount of any other kind it starts helper processes (`remote_helper`),
at most two: one that looks and one that reads. The daemon asks them with a deadline (`remote`), and gets photos as
copies in memory. Both kinds have the same interface, `interface.FileSystem`. `roots.WatchedRoots` knows which path
needs which.

**Leases.** A photo must not be read while a program writes to it. `open_photo` asks the kernel for a read lease, and
gives it back at once. The kernel grants one only while no process has the file open for writing. Where there are no
leases, the file must have been left alone for long enough.

Nothing here knows the index, the configuration or the encoder.
"""
