"""The encoder process: jobs in, outcomes out.

The only place that interprets photo bytes, and that imports Pillow and the runtime of a network.
"""
