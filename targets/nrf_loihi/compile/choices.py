"""What a user may allow on these chips although it changes spikes (--allow NAME)."""

from __future__ import annotations

from nrf_deploy.compiler.passes.approximate import Approximate
from nrf_deploy.compiler.passes.exact_decay import ExactDecay
from nrf_deploy.compiler.passes.subtract_as_zero_reset import SubtractAsZeroReset

CHOICES: tuple[Approximate, ...] = (SubtractAsZeroReset(), ExactDecay())
SUBTRACT = SubtractAsZeroReset.choice
