"""What `pixkin have` does with a memory card by itself: it walks it, compares its files byte by byte, and copies them.

No module here asks the daemon, and none writes to the card.
"""
