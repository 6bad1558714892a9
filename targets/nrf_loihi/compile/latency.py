"""When a population of the chip stands where the model stands.

Each layer of synapses takes one step on the chip and none in the model, except on a
way that closes a cycle, where the model has one step too. So along every link
L(target) = L(source) + 1 - back. Where branches of unequal length meet, the shorter
one must wait: the difference becomes relays, which repeat spikes one step later each.
The steps of the model's own Delays are waited for in the same way. In a cycle nothing may
have to wait for less than no step.
"""

from __future__ import annotations

from nrf_deploy.diagnostics.findings import Finding, error
from nrf_deploy.ir.layer_view import Layers, Link
from nrf_deploy.ir.network import Network


def latencies(network: Network, view: Layers) -> tuple[dict[str, int], list[Finding]]:
    """The latency of every stop, and what cannot be met."""
    latency: dict[str, int] = {}
    for stop in view.stops:
        ahead = [link for link in view.into(stop) if not link.back]
        latency[stop] = max((latency[link.source] + 1 for link in ahead), default=0)
    findings = []
    for link in view.links:
        for target in link.targets:
            if wait(latency, link, target) < 0:
                more = -wait(latency, link, target)
                findings.append(
                    error(
                        "LOIHI-LOOP",
                        f"the way back from {link.source!r} to {target!r} is {more} steps too long",
                        layer=link.name,
                        why="each layer of connections in the loop takes a step on the chip, "
                        "while the model waits one step in the whole loop",
                        fix="feed a population back to itself, or train with a delay of one "
                        "step in each layer of the loop",
                    )
                )
    return latency, findings


def wait(latency: dict[str, int], link: Link, target: str) -> int:
    """How many steps this way must be held back."""
    return latency[target] - latency[link.source] - 1 + link.back + link.delay
