"""Conversion of a torch module to a Network: run, fold, compare, and keep a witness."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import (
    Finding,
    InputError,
    MissingError,
    NrfError,
    error,
    info,
)
from nrf_deploy.ir.network import Array, Conv, Linear, Network, Shape
from nrf_deploy.ir.recording import Recording
from nrf_deploy.ir.witness import Witness

from . import members
from .arrays import Arrays
from .connections import is_batch_norm, scale_and_shift
from .functions import LeakError
from .graph import Graph, graph
from .runs import Form, Run, forms, run
from .steps import Module, compared
from .witnessing import observed

Exported = tuple[Network, list[Finding], Witness | None]

STEPS = 12
"""Steps in which the module is followed."""
SEED = 0
LOUD = 10  # so that neurons spike while the module is followed


def from_torch(
    module: Any,
    sample_or_shape: Any,
    dt: float | None = None,
    witness: Recording | None = None,
) -> Exported:
    """Return the Network that `module` computes step by step, findings, and its witness.

    `sample_or_shape` is the shape of the input without batch and time, or a tensor with
    a batch of one. Neurons of Norse and Rockpool know the time step; `dt` is for a module without
    any. The attributes `readout` and `receptive_fields` of the module (plain JSON data) are kept.
    The module runs in evaluation mode; `witness` is the input of its witness, else one is drawn.
    Raises with every reason why the module cannot be exported.
    """
    need_torch()
    shape = _shape(sample_or_shape)
    return _followed(module, shape, dt, witness)


def need_torch() -> None:
    """Import torch, or say how to install it."""
    try:
        importlib.import_module("torch")
    except ImportError as e:
        raise MissingError(
            error(
                "EXPORT-TORCH-MISSING",
                f"{e.name} cannot be imported",
                why="a torch model is exported by running it",
                fix="pip install 'nrf-deploy[models]'",
            )
        ) from e


def _shape(sample_or_shape: Any) -> Shape:
    import torch

    if isinstance(sample_or_shape, torch.Tensor):
        if sample_or_shape.shape[:1] == (1,):
            return tuple(sample_or_shape.shape[1:])
        raise InputError(
            error(
                "EXPORT-SAMPLE",
                f"the sample has the shape {tuple(sample_or_shape.shape)}",
                why="its first axis is the batch, and must be 1",
                fix="give the input shape without batch and time instead",
            )
        )
    return tuple(sample_or_shape)


def _followed(module: Any, shape: Shape, dt: float | None, witness: Recording | None) -> Exported:
    """Return the network of a module in the form that it takes.

    One call on one frame shows which forms are likely.
    """
    inputs = noise(shape, STEPS, next(members.parameters(module), None))
    probe: Run | None = None
    failed: NrfError | None = None
    try:
        probe = run(module, inputs[:1], "steps", keep="none")
    except LeakError:
        raise
    except NrfError as e:
        failed = e
    chosen = forms(module, probe)
    errors: dict[Form, NrfError] = {}
    for form in chosen:
        try:
            seen = graph(module, run(module, inputs, form), shape, dt)
            return _checked(
                Module(module, shape, next(members.parameters(module), None), form), seen, witness
            )
        except NrfError as e:
            errors[form] = e
    raise _likeliest(chosen, errors, failed)


def _likeliest(
    chosen: Sequence[Form], errors: Mapping[Form, NrfError], failed: NrfError | None
) -> NrfError:
    """Return the error to raise: that of the likeliest form that runs at all."""
    vague = ("EXPORT-RUN", "EXPORT-TRACE", "EXPORT-TIME")
    informative = [f for f in chosen if errors[f].findings[0].code not in vague]
    if failed is not None:
        return errors[informative[0]] if informative else failed
    return errors[informative[0] if informative else chosen[-1]]


def _checked(module: Module, seen: Graph, witness: Recording | None) -> Exported:
    """Return the network of a graph after it was compared with the module, and its witness."""
    network, folded = _fold_batch_norms(seen)
    silent = compared(module, seen, network)
    witnessed = observed(module, seen, network, witness)
    return network, [*seen.findings, *silent, *folded], witnessed


def noise(shape: Shape, steps: int, like: Any) -> Any:
    """Return loud noise for `steps` steps, of the type of the parameter `like`."""
    import torch

    generator = torch.Generator().manual_seed(SEED)
    values = LOUD * torch.randn((steps, *shape), generator=generator)
    return values if like is None else values.to(like.device, like.dtype)


def _fold_batch_norms(seen: Graph) -> tuple[Network, list[Finding]]:
    """Fold y = a*(W x + b) + c = (a*W) x + (a*b + c) where W x + b has no other target."""
    network, arrays = seen.network, Arrays()
    findings = []
    for call in seen.calls.values():
        if not is_batch_norm(call.module) or call.name not in network:
            continue
        sources = network.sources(call.name)
        before = sources[0] if len(sources) == 1 else ""
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
