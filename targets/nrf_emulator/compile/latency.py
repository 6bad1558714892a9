"""When a population stands where the model stands, and how long a link waits.

With latency 0 all happens in the model's step. With latency 1 each layer takes a step, the
shorter of two branches waits (synapses have delays, so nothing has to be added), and a loop
must be one step long, as it is in the model.
"""

from __future__ import annotations

from collections.abc import Iterator

from nrf_deploy.diagnostics.findings import Finding, error
from nrf_deploy.diagnostics.text import several
from nrf_deploy.ir.layer_view import Layers, Link

from ..settings import Settings


def latencies(view: Layers, s: Settings) -> dict[str, int]:
    latency: dict[str, int] = {}
    for stop in view.stops:
        ahead = [link for link in view.into(stop) if not link.back]
        latency[stop] = max((latency[k.source] + s.latency for k in ahead), default=0)
    return latency


def delay(latency: dict[str, int], link: Link, target: str) -> int:
    return latency[target] - latency[link.source] + link.back


def loops(view: Layers, s: Settings) -> Iterator[Finding]:
    latency = latencies(view, s)
    for link in view.links:
        for target in link.targets:
            if link.back and delay(latency, link, target) < 1:
                more = 1 - delay(latency, link, target)
                yield error(
                    "EMULATOR-LOOP",
                    f"the way back from {link.source!r} to {target!r} is "
                    f"{several(more, 'step')} too long",
                    layer=link.name,
                    why="each layer of connections in the loop takes a step on this machine, "
                    "while the model waits one step in the whole loop",
                    fix="set latency = 0, or train with a delay of one step in each layer of "
                    "the loop",
                )
