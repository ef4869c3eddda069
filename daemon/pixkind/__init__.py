"""The daemon of pixkin: watches folders, encodes photos, answers which look alike."""
