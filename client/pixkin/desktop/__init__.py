"""What `pixkin integrate` writes for the desktop, and removes again.

| module | holds |
| --- | --- |
| `places` | each place where pixkin can be found on a desktop, such as the menu of a file manager |
| `owned_files` | files that are pixkin's alone: scripts, desktop entries, an icon |
| `thunar` | one action in the file of Thunar, which holds other actions of the user |
| `quoting` | the path of `pixkin`, as a desktop entry quotes it |

Each action runs `pixkin open` with the photos that were chosen. Nothing is written outside of the user's own folders.
"""
