"""What client and daemon say to each other: requests, replies, framing. PROTOCOL.md is its prose."""
