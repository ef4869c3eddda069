"""Shows photos: a grid in the terminal (`--show`), a contact sheet (`--sheet`), a page (`--html`).

`options` is all that a command without pictures imports. `looker` carries the options out: `tiles` asks the daemon for
thumbnails, and `grid` with `drawing`, `sheet` and `page` show them. A thumbnail that is missing is a grey tile with the reason.

`decoding` is the only module of the client that decodes a picture, with Pillow. It never sees the bytes of a photo:
the confined worker has decoded the photo, and made the JPEG anew. So a photo that exploits a decoder has met it in the
sandbox. A JPEG is refused all the same if it is large, has many pixels, or is of another format.
`page` decodes nothing, and so needs no further package: it embeds the JPEGs.
"""
