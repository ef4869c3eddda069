"""Drives, mounts, roots, opening files, and file systems that may hang."""
