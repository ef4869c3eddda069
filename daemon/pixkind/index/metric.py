"""The metric that ranks photos."""

from enum import StrEnum


class Metric(StrEnum):
    """What ranks photos. Every match has both a score and a distance."""

    COSINE = "cosine"  # the score, highest first
    L2 = "l2"  # the distance, smallest first
