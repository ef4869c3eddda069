"""From vectors to photos: ranking, folding, near-duplicates."""
