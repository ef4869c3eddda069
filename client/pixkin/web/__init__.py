"""`pixkin web`: the page on which people look at their photos, and its API.

A process of its own, which asks the daemon over its socket as every client does. It reads neither the store nor photos:
pictures come from the daemon, where the confined worker has made them anew. It alone of all processes of pixkin opens
a network socket, and only at 127.0.0.1 (`binding`). `guard` says who is let in, and `session` how.

| module | holds |
| --- | --- |
| `server`, `binding`, `connections` | the process: its socket, its limits, when it leaves |
| `app`, `guard`, `session`, `peers`, `shell`, `problems` | what every request passes |
| `parameters`, `ids`, `site`, `threads` | what the answers share |
| `status`, `similar`, … | the answers, one module for each kind |

One thread runs the event loop. What asks the daemon, or reads a file, runs in a thread of `threads`.
The browser's part stands in `static/`, and `openapi.json` describes the API; a test compares it with the routes.
"""
