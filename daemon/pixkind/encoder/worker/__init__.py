"""The encoder process: jobs in, outcomes out. The only place that interprets photo bytes and imports Pillow and the runtime of a network."""
