"""Construction of a Network from the calls of one step."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import (
    Finding,
    InputError,
    MissingError,
    NrfError,
    TargetError,
    error,
    info,
    refuse,
)
from nrf_deploy.ir.network import (
    DATA,
    Array,
    Conv,
    Edge,
    Input,
    Linear,
    Network,
    Node,
    Output,
    Shape,
)

from .arrays import Arrays
from .cells import doubts, is_cell, is_norse_leaf, population, rectified
from .connections import connection, is_batch_norm, is_layer, scale_and_shift
from .steps import compared
from .trace import INPUT, Call, Step, trace, unused
from .unexported import lost


def from_torch(
    module: Any, sample_or_shape: Any, dt: float | None = None
) -> tuple[Network, list[Finding]]:
    """Return the Network that `module` computes step by step, in evaluation mode.

    `sample_or_shape` is the shape of the input without batch and time, or a tensor with
    a batch of one. Norse's cells know the time step; `dt` is for a module without any.
    The attributes `readout` and `receptive_fields` of the module (plain JSON data) are kept.
    Raises with every reason why the module cannot be exported.
    """
    need_torch()
    from .delay import is_delay

    sample = _sample(module, sample_or_shape)
    whole = (is_layer, is_norse_leaf, is_delay)
    step = rectified(trace(module, sample, lambda m: any(kind(m) for kind in whole)))
    cells = [c for c in step.calls if is_cell(c.module)]
    delays = [c for c in step.calls if is_delay(c.module)]
    data = {what: getattr(module, what, {}) for what in DATA}
    faults = [f for call in step.calls for f in (*call.faults, *_name_faults(call))]
    faults += [*_called_again([*cells, *delays]), *_data_faults(data)]
    dt, time_faults = _time_step(cells, dt)
    nodes, node_faults = _nodes(step.calls, dt)
    faults += node_faults
    if time_faults and not cells and not faults:
        raise InputError(time_faults)  # as for a .nir file without dt: exit code 3
    refuse([*(time_faults if cells else []), *faults], TargetError)
    refuse(lost(module, step), TargetError)
    network = _assemble(step, nodes, tuple(sample.shape[1:]), dt, data)
    network, folded = _fold_batch_norms(network, step.calls)
    silent = compared(module, sample, step, nodes, network)
    return network, [*step.findings, *silent, *(d for c in cells for d in doubts(c, dt)), *folded]


def need_torch() -> None:
    """Import Norse without its warning about torch.jit, which no user can avoid."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module("norse.torch")
    except ImportError as e:
        raise MissingError(
            error(
                "EXPORT-TORCH-MISSING",
                f"{e.name} cannot be imported",
                why="a torch model is exported by running one step of it",
                fix="pip install 'nrf-deploy[models]'",
            )
        ) from e


def _sample(module: Any, sample_or_shape: Any) -> Any:
    import torch

    if isinstance(sample_or_shape, torch.Tensor):
        if sample_or_shape.shape[:1] == (1,):
            return sample_or_shape
        raise InputError(
            error(
                "EXPORT-SAMPLE",
                f"the sample has the shape {tuple(sample_or_shape.shape)}",
                why="its first axis is the batch, and must be 1",
                fix="give the input shape without batch and time instead",
            )
        )
    weight = next(module.parameters(), torch.zeros(()))
    return torch.zeros((1, *sample_or_shape), dtype=weight.dtype, device=weight.device)


def _time_step(cells: Sequence[Call], option: float | None) -> tuple[float, list[Finding]]:
    """Return the dt that all cells have; NaN and the reason if they have none in common."""
    steps = {c.name: float(c.module.dt) for c in cells}
    values = sorted({*steps.values(), *([] if option is None else [option])})
    if len(values) == 1 and math.isfinite(values[0]) and values[0] > 0:
        return values[0], []
    if not values:
        fault = error(
            "EXPORT-DT-MISSING",
            "no cell of Norse has a time step, and none was given",
            fix="give --dt in seconds (or --dt 1 where the model counts in steps)",
        )
    elif len(values) == 1:
        fault = error(
            "EXPORT-DT", f"dt is {values[0]}", fix="give the cells, or --dt, a positive number"
        )
    else:
        texts = [f"{name!r} has {dt:g}" for name, dt in steps.items()]
        fault = error(
            "EXPORT-DT-DIFFERS",
            "; ".join(texts if option is None else [*texts, f"given is {option:g}"]),
            why="the whole network has one time step",
            fix="leave --dt out, and give all cells the same dt",
        )
    return values[0] if values else math.nan, [fault]


def _name_faults(call: Call) -> Iterator[Finding]:
    if "/" in call.name:
        yield error(
            "EXPORT-NAME",
            "its name contains a '/'",
            layer=call.name,
            why="in a .nir file it would be a folder",
            fix="rename the module",
        )


def _called_again(cells: Sequence[Call]) -> Iterator[Finding]:
    uses = Counter(id(c.module) for c in cells)
    for call in {id(c.module): c for c in reversed(cells)}.values():
        if uses[id(call.module)] > 1:
            yield error(
                "EXPORT-STATE-SHARED",
                f"it is called {uses[id(call.module)]} times in a step",
                layer=call.name,
                why="it has one state and steps once",
                fix="use a module of its own for each place",
            )


def _data_faults(data: Mapping[str, Any]) -> Iterator[Finding]:
    for what, value in data.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as e:
            code = f"EXPORT-{what.upper().replace('_', '-')}"
            yield error(code, f"the attribute {what} is not plain JSON data: {e}")


def _nodes(calls: Sequence[Call], dt: float) -> tuple[dict[str, Node], list[Finding]]:
    from .delay import delay, is_delay

    arrays = Arrays()
    nodes: dict[str, Node] = {}
    faults: list[Finding] = []
    for call in calls:
        if call.faults:
            continue
        try:
            if is_cell(call.module):
                nodes[call.name] = population(call, dt)
            elif is_delay(call.module):
                nodes[call.name] = delay(call, dt)
            else:
                nodes[call.name] = connection(call, arrays)
        except NrfError as e:
            faults += e.findings
    return nodes, faults


def _assemble(
    step: Step,
    nodes: Mapping[str, Node],
    input_shape: Shape,
    dt: float,
    data: Mapping[str, Any],
) -> Network:
    first = unused("input", set(nodes))
    last = unused("output", {first, *nodes})
    edges: list[Edge] = [(s, c.name) for c in step.calls for s in c.sources]
    edges += [(s, last) for s in step.output]
    return Network(
        nodes=(
            Input(name=first, port_shape=input_shape),
            *nodes.values(),
            Output(name=last, port_shape=step.output_shape),
        ),
        edges=tuple((first if s == INPUT else s, t) for s, t in edges),
        dt=dt,
        **data,
    )


def _fold_batch_norms(network: Network, calls: Sequence[Call]) -> tuple[Network, list[Finding]]:
    """Fold y = a*(W x + b) + c = (a*W) x + (a*b + c) where W x + b has no other target."""
    arrays = Arrays()
    findings = []
    for call in calls:
        if not is_batch_norm(call.module):
            continue
        (before,) = network.sources(call.name) if len(call.sources) == 1 else ("",)
        if _is_private(network, before) and network.targets(before) == (call.name,):
            a, b = scale_and_shift(call, arrays)
            network = _replace(network, before, call.name, a, b)
            findings.append(
                info(
                    "EXPORT-BATCHNORM-FOLDED",
                    f"folded into {before!r}",
                    layer=call.name,
                    why="it scales and shifts each channel; rounded to float32 once",
                )
            )
    return network, findings


def _is_private(network: Network, name: str) -> bool:
    """Return True for a layer whose weights no other layer shares."""
    if name not in network or not isinstance(network[name], Conv | Linear):
        return False
    weight = network[name].weight  # type: ignore[attr-defined]
    return sum(n.weight is weight for n in network.of(Conv, Linear)) == 1


def _replace(network: Network, name: str, norm: str, a: Array, b: Array) -> Network:
    """Fold the norm into the layer `name` and connect the norm's targets to it."""
    layer: Any = network[name]
    scale = a.reshape(-1, *[1] * (layer.weight.ndim - 1))
    folded = dataclasses.replace(
        layer,
        weight=(scale * layer.weight).astype(np.float32),
        bias=(b if layer.bias is None else a * layer.bias + b).astype(np.float32),
    )
    return dataclasses.replace(
        network,
        nodes=tuple(folded if n is layer else n for n in network.nodes if n.name != norm),
        edges=tuple(
            (name if s == norm else s, t) for s, t in network.edges if (s, t) != (name, norm)
        ),
    )
