"""What a user may allow on these chips although it changes spikes (--allow NAME)."""

from __future__ import annotations

from nrf_deploy.legalise.choice import Approximate

from .legalise_leak import LinearLeak
from .legalise_rate import RateCode, SpikeCount

CHOICES: tuple[Approximate, ...] = (LinearLeak(), RateCode(), SpikeCount())
LEAK, READ, INSIDE = LinearLeak.choice, SpikeCount.choice, RateCode.choice
