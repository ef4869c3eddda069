"""Moves photos that are copies of others to the trash or to a folder, and brings them back.

It runs in the client alone, because the daemon never writes to photo folders. It does not know how answers are printed.
Nothing here unlinks the only file of a picture: a file is renamed, or copied, read back and compared.
"""
