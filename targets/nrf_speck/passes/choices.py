"""What a user may allow on these chips although it changes spikes (--allow NAME)."""

from __future__ import annotations

from nrf_deploy.compiler.passes.approximate import Approximate

from .counted_spikes import RateCode, SpikeCount
from .linear_leak import LinearLeak

CHOICES: tuple[Approximate, ...] = (LinearLeak(), RateCode(), SpikeCount())
LEAK, READ, INSIDE = LinearLeak.choice, SpikeCount.choice, RateCode.choice
