"""The forms of `pixkin export`: each writes pages of the daemon to a file as they come, in bounded memory.

A file gets its name when it is whole, and on the disk; until then it is hidden under another one. Each is its owner's alone:
paths and vectors tell what the photos show.
"""
