"""The daemon of pixkin: it watches folders, encodes photos, and answers which photos look alike."""
