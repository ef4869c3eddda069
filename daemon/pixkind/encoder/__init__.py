"""The encoder: photos become vectors in another process, the worker. This package is the daemon's side of it.

Why another process: photos are untrusted bytes, and decoders are large libraries in C. A photo may crash or hang the decoder,
take all memory, or attack it. The worker is the only process that decodes anything of a photo's bytes, and only it imports
Pillow and the runtime of the network. It runs in a sandbox: it can open no file but its own code and weights, and reach no
network and no process.
The daemon stats and opens photos and hands over their descriptors. It stays small, and ending an idle worker frees the
network's memory.

- `supervisor` has the thread that owns the worker: it queues jobs, and returns a future for each.
- `queues` has the jobs that wait.
- `deadlines` decides which job has had its time.
- `process` starts, measures and reaps the worker process.
- `messages` defines the jobs and outcomes, and how they travel: each is one message on a SOCK_SEQPACKET pair, and a job has
  the photo's open descriptor with it. *Inspect* returns content id and header facts, *encode* a vector, *draw* a
  thumbnail, in parts: it may be larger than a message, and the worker may write no file.
- `thumbnail_checks` lets no thumbnail through that is more than a picture.
- `belief` decides what of an outcome is believed, since a photo may have taken over the worker that sends it.
- `jpeg_segments` tells the picture of a JPEG from its metadata, for content ids and for a comparison without the worker.
- `formats` is the table of formats and of the packages that read them.
- `space` names the space that a network, its weights and the preparation of photos make together, and finds what computes it:
  torch (`worker/models`) or ONNX Runtime (`worker/onnx`). Both build the default network from `worker/lite0`.
- `worker` is the program that runs in the other process. It may import `messages`, `formats`, `jpeg_segments` and the errors alone.

If the worker dies, every job in it fails with `WorkerDied`, and the next job starts a new worker. The photos are tried again
last, one at a time and alone in the worker. A photo is marked as failed only if the worker crashes (SIGSEGV and the like)
while that photo is alone in it. So no photo kills the worker again and again, and no other photo is blamed.
If the worker is ended because one job has had its time, that job fails with `TooSlow`, and the others go on in the next one.
Killing the worker from outside blames no photo. If three workers in a row exit before they take a job, the installation is
broken, and the daemon ends with an error.

A worker is renewed between two jobs when it is worn (`process`). Query images are decoded in the worker that also decodes
strangers' photos. A second worker for them would need the network, too: 430 MB with torch, 70 with ONNX Runtime. A new worker for
each query would add its start to the 0.1 s that a query takes: 2.7 s of CPU time with torch, 0.5 with ONNX Runtime.
"""
