"""What a user may allow on these chips although it changes spikes (--allow NAME)."""

from __future__ import annotations

from nrf_deploy.legalise.choice import Approximate

LEAK, READ, INSIDE = "linear-leak", "spike-count", "rate-code"
CHOICES: tuple[Approximate, ...] = ()
