"""Shows photos: a grid in the terminal (`--show`), a contact sheet (`--sheet`), a page (`--html`).

`options` is all that a command without pictures imports. `looker` carries the options out: `pixkin.tiles` asks the
daemon for thumbnails, and `grid` with `drawing`, `sheet` and `page` show them. A thumbnail that is missing is a grey tile with the reason.

`decoding` is the only module of the client that decodes a picture, with Pillow. It never gets the bytes of a photo:
the confined worker has decoded the photo, and made the JPEG anew. So a photo that exploits a decoder meets it in the sandbox.
A photo that takes the worker over could send a JPEG of its own. The daemon has checked that this is a baseline JPEG
without further segments, and `decoding` refuses any other format, large files and many pixels.
`page` decodes nothing, and so needs no package: it embeds the JPEGs.
"""
