"""By what photos are ranked."""

from enum import StrEnum


class Metric(StrEnum):
    """By what photos are ranked; every match has both."""

    COSINE = "cosine"  # the score, highest first
    L2 = "l2"  # the distance, smallest first
