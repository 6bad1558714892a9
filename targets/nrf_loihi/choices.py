"""What a user may allow on these chips although it changes spikes (--allow NAME)."""

from __future__ import annotations

from nrf_deploy.legalise.choice import Approximate
from nrf_deploy.legalise.exact_decay import ExactDecay
from nrf_deploy.legalise.subtract_as_zero_reset import SubtractAsZeroReset

CHOICES: tuple[Approximate, ...] = (SubtractAsZeroReset(), ExactDecay())
SUBTRACT = SubtractAsZeroReset.choice
