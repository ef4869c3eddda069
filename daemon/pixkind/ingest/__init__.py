"""Brings photos into the store: open, inspect, encode, commit; throttle; purge and wipe.

One thread, the ingest thread, does all of this. It alone writes the store and runs the scans; a helper process lists
remote folders for it. Other threads put what
they want into its inbox (`inbox`); the loop (`loop`) takes it out once a turn. A change says where to look, never what
happened.

The way of one photo:

1. due: its path is dirty (`dirty`) and has rested, or a scan of a root meets it. The scan compares the file with the store, and
   reports a photo that is new or has changed.
2. opened (`opening`): without blocking, and only if no other process writes to it. A photo on a file system that may hang
   is copied into memory by a helper process.
3. inspected: the worker reads it without decoding, and returns its content id, its size, and the details of its file. A
   content that has a vector needs no more. The file is closed again until the photo is encoded.
4. struck: the store notes a strike for the content, durably, before the worker encodes it. So even a crash of the whole
   machine is remembered.
5. encoded: the worker returns the vector, the mean colour and, if there is time, a thumbnail; then the vector of each
   further page, a job for each. Other photos of the same content wait for it instead of being encoded.
6. looked at again: right before the commit the file must stand at its path in the version that was read, and the drive of
   its root must be there. Otherwise nothing is written, and the photo starts again.
7. committed (`committer`): with others in one transaction, after a second at the latest. The commit also takes back the
   strikes of these photos, and writes those of the next ones. Thumbnails are written after it, by a thread of their own.

Strikes and deaths of the worker. A photo that was in the worker when it died is tried again after all others, and alone
in the worker. If the worker crashes while it has that photo alone, the photo fails until its file or the decoders change. Five deaths that cannot be blamed on it, such as a SIGKILL for want of memory, make it wait for a day. A strike of
an earlier run sends a photo alone, too: the daemon died before it knew whether the photo was to blame. A clean stop takes the strikes back.

What is wrong with a further page never fails its photo: a page that is refused is left out, and one that ends the worker, or
takes too long again, costs the pages behind it.

A photo that takes too long is tried again after all others, with a longer deadline. If it takes too long again, it fails, and
is tried again the next day. Its deadlines count the CPU time of its own thread in the worker, so the photos beside it, which
are not to blame, are encoded as if nothing had happened.

A photo that fails for another reason is tried again when its file is 30 s, 2 min and 10 min old: it may still have been
copied. After that it is tried when the file changes.

When the first run of a root ends, the desktop is told (`first_runs`).

After a commit, new pictures are compared with the standing questions of users (`matching`).

The throttle (`throttle`) keeps photos from the worker while a user has paused indexing, on a low battery, and while other
programs wait for memory or the disk. The worker finishes what it has, and scans and commits go on.

Every five seconds all photos are closed for 0.3 s if the drive of a root could be unmounted: `umount` fails while any
file is open.

The purge (`purge`) forgets photos that have been gone for `keep_gone_days`. Each root has a clock of its own. It runs only
while the drive of the root is connected, and advances by one day at most from one complete scan to the next. So the days
that a drive lies in a drawer do not count. Users may have photos forgotten at once. Afterwards `wipe` removes what is left of
them in all files.
"""
