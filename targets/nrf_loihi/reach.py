"""How far signals reach: the general part is in nrf_deploy."""

from nrf_deploy.quantise.reach import (
    MARGIN,
    Reach,
    analogue,
    feeds_on,
    in_a_loop,
    over,
    seen_on,
    sum_seen,
    through,
    weight_of,
)

__all__ = [
    "MARGIN",
    "Reach",
    "analogue",
    "feeds_on",
    "in_a_loop",
    "over",
    "seen_on",
    "sum_seen",
    "through",
    "weight_of",
]
