"""`pixkin browse`: pictures in a terminal, drawn with textual.

The package needs the extra `pixkin[tui]`. Only `commands/browse` imports it, when the command runs.

| module | holds |
| --- | --- |
| `keys` | the one table of keys: bindings, hints and help are made of it |
| `trail` | questions and answers, without screen or daemon |
| `asking` | the requests, and the daemon's state as a sentence |
| `thumbnails` | threads that fetch small pictures, those in sight first |
| `pictures` | a small picture as half blocks, or by the terminal's own protocol |
| `facts` | what is said of a photo |
| `fates` | which photo of a group stays, and why |
| `tiles` | a picture with its name |
| `base` | what the three screens share |
| `grid`, `view`, `duplicates`, `help` | the screens |
| `app` | the application |
| `terminal` | the terminal, also where standard output is a pipe |

The screen never waits for the daemon. Each request runs in a thread of its own, and its answer comes back as a message.
An answer that comes after the user has gone on is dropped. The threads do not hold up the end of the process.
"""
