"""The step in which a population of the chip stands where the model stands.

Each layer of synapses takes one step on the chip and none in the model, except on a
way that closes a cycle, where the model has one step too. So along every link
L(target) = L(source) + 1 - back. Where branches of unequal length meet, the shorter
one must wait: the difference becomes relays, which repeat spikes one step later each.
The steps of the model's own Delays are waited for in the same way. In a cycle nothing may
have to wait for less than no step.
"""

from __future__ import annotations

from nrf_deploy.ir.layer_view import Layers, Link


def latencies(view: Layers) -> dict[str, int]:
    """Return the steps by which each stop is later than in the model."""
    latency: dict[str, int] = {}
    for stop in view.stops:
        ahead = [link for link in view.into(stop) if not link.back]
        latency[stop] = max((latency[link.source] + 1 for link in ahead), default=0)
    return latency


def wait(latency: dict[str, int], link: Link, target: str) -> int:
    """Return the steps that a signal on this link must wait for."""
    return latency[target] - latency[link.source] - 1 + link.back + link.delay
