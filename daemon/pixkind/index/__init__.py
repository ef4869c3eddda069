"""Nearest neighbours in memory: codes, metadata, snapshot; and which space answers."""
