"""A leaky integrator and the ReLU behind it are one population: what is below 0 stays inside."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from .trace import Call, Step


def rectified(step: Step) -> Step:
    """Each ReLU that alone follows an LIBoxCell becomes a part of it. Others stay, and are
    refused as layers without a counterpart."""
    by_name = {c.name: c for c in step.calls}
    uses = Counter([s for c in step.calls for s in c.sources] + list(step.output))
    instead: dict[str, str] = {}
    for call in step.calls:
        before = by_name.get(call.sources[0]) if len(call.sources) == 1 else None
        if _is_relu(call) and before and _is_li(before) and uses[before.name] == 1:
            instead[call.name] = before.name
    followed = set(instead.values())
    calls = tuple(
        replace(
            c,
            sources=tuple(instead.get(s, s) for s in c.sources),
            rectified=c.name in followed,
        )
        for c in step.calls
        if c.name not in instead
    )
    return replace(step, calls=calls, output=tuple(instead.get(s, s) for s in step.output))


def _is_relu(call: Call) -> bool:
    import torch

    return type(call.module) is torch.nn.ReLU and not call.faults


def _is_li(call: Call) -> bool:
    from norse.torch import LIBoxCell

    return isinstance(call.module, LIBoxCell)
