"""The step in which a population stands where the model stands, and the waiting of a link.

With latency 0 all happens in the model's step. With latency 1 each layer takes a step, the
shorter of two branches waits (synapses have delays, so nothing has to be added), and a loop
must be one step long, as it is in the model.
"""

from __future__ import annotations

from nrf_deploy.ir.layer_view import Layers, Link

from ..settings import Settings


def latencies(view: Layers, s: Settings) -> dict[str, int]:
    """Return the steps by which each stop is later than in the model."""
    latency: dict[str, int] = {}
    for stop in view.stops:
        ahead = [link for link in view.into(stop) if not link.back]
        latency[stop] = max((latency[k.source] + s.latency for k in ahead), default=0)
    return latency


def delay(latency: dict[str, int], link: Link, target: str) -> int:
    """Return the delay of a link, in steps."""
    return latency[target] - latency[link.source] + link.back
