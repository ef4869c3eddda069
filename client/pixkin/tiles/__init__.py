"""Photos as they are shown to people: a thumbnail with a few words, wherever it stands.

`answers` has the words of answers and makes tiles of them, and `tile` fetches their thumbnails from the daemon.
`html` writes a tile for a browser, and `notebook` shows answers in a notebook. The other ways are in `cli/pictures`.
Nothing here decodes a picture, so nothing needs Pillow.
"""
