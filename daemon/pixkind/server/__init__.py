"""Answers requests on the ZeroMQ socket: one handler for each command.

**The way of a request.** `zmtp` reads the frames, within a bound on the memory of all connections. `zmq_server` runs the
request in a small pool of threads. `dispatch` gives it to its handler. The handler returns a reply, and `zmq_server`
sends it.

**Waiting.** A handler never blocks a thread of the pool. Where it has to wait for the worker or for the ingest thread, it
returns a `Deferred`: the futures that it waits for, and a function that goes on when all are done. A client that no longer
waits is noticed then, and the handler closes what it had opened. A request that waits for news goes on when its time is up.

**Doubt.** An answer about photos may be incomplete: photos wait, have failed, or are on a drive that is not there.
`dispatch` adds these numbers, from `status`, to each such answer.

**Failures.** A handler raises `RequestError`, or returns a `Failure`. Any other exception is a defect: the log gets the
traceback, the client an internal error, and all other requests go on.

| module | requests |
| --- | --- |
| `like`, `have` | `like`, `have`; `query_images` opens their images |
| `dupes` | `dupes`, `apart` |
| `status` | `status`, and the doubt of every answer |
| `control` | `sync`, `pause`, `resume`, `boost` |
| `forget` | `forget` |
| `library` | `describe`, `browse`, `export`, `folders`, `timeline` |
| `thumbnails` | `thumbnail` |
| `watches` | `watch`, `unwatch`, `list_watches`, `arrivals`, `changes`; `polls` are those that wait |
| `spaces` | `list_spaces`, `use_space`, `drop_space` |
"""
