"""What `pixkin doctor` looks at: one module for each place where something can be wrong.

| module | looks at |
| --- | --- |
| `installation` | the program `pixkind`, and what it says of the configuration, the weights and the runtime |
| `places` | the folders of pixkin: owner, permissions, room on the disk |
| `service` | the systemd unit: its program, whether it is enabled, failed, or ends with the session |
| `machine` | the clock, and the limits of the kernel and of the daemon |
| `daemon` | what the running daemon says of itself: folders, decoders, pauses, failures, sandbox |

Each returns findings. Nothing here changes anything; a finding has the command that would.
"""
