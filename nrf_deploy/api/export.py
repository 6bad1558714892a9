"""Export of torch modules: to a model, to a .nir file, and samples of shipped models."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from nrf_deploy.diagnostics.argument_types import demand, demand_number, wrong
from nrf_deploy.diagnostics.findings import MissingError, error
from nrf_deploy.io.files import write_atomically
from nrf_deploy.io.labels import PlaceLabels
from nrf_deploy.io.model import Model
from nrf_deploy.io.recordings import read as read_recording
from nrf_deploy.ir.recording import Recording
from nrf_deploy.witness.reading import model_of

from . import shipped

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

SAMPLE_STEPS = 200


def from_torch(
    module: Module,
    shape: Sequence[int] | Tensor,
    dt: float | None = None,
    witness: Recording | None = None,
) -> Model:
    """Return the model that a torch module computes step by step, in evaluation mode.

    It is the model that `export` writes and `read` reads, with the same hash, without a file.

    Args:
        module: A trained torch.nn.Module of layers of torch and neurons of snnTorch,
            SpikingJelly, sinabs, Rockpool or Norse. What has no exact counterpart is refused.
        shape: The shape of the input without batch and time, such as (2, 34, 34), or a
            tensor with a batch of one.
        dt: The time step in seconds (1 where the module counts in steps). Default: that of
            the neurons; 1 for frameworks that count in steps.
        witness: The input on which the module shows its own spikes, at most 64 steps of it.
            Default: one is drawn on which its layers spike.

    Returns:
        The Model with its witness, and with the findings of the export and of reading.

    Raises:
        TargetError: A part of the module has no exact counterpart; `findings` names each.
        InputError: No time step, or a sample with a batch of more than one (a ValueError).
        MissingError: torch is not installed.
    """
    if witness is not None:
        demand(witness, Recording, "a recording", "pass a Recording, or leave it out")
    return _exported(module, shape, dt, witness)[0]


def export(
    source: str,
    output: str | Path | None = None,
    *,
    weights: str | Path | None = None,
    dt: float | None = None,
    witness: Recording | str | Path | None = None,
) -> Model:
    """Write a trained torch module as .nir, with its own spikes on a short input.

    Args:
        source: The name of a shipped model, or "package.module:factory"; the factory takes
            nothing and returns (module, input shape without batch and time).
        output: The .nir file to write. Default: none is written.
        weights: A file with the module's state_dict (.pt or .safetensors), loaded into the
            module. Default: the weights that the factory gives.
        dt: The time step in seconds. Default: that of the neurons; 1 for frameworks that
            count in steps.
        witness: A recording or its file, the input on which the module shows its spikes, at
            most 64 steps of it. Default: one is drawn on which its layers spike.

    Returns:
        The Model, as `read` returns it for the file.

    Raises:
        UsageError: An unknown source, a factory that fails, or a file that cannot be written.
        TargetError: A part of the module has no exact counterpart; `findings` names each.
        InputError: No time step, or weights that do not fill the module (a ValueError).
        MissingError: torch is not installed.
    """
    _demand_source(source)
    _demand_packages("torch", *(() if ":" in source else ("norse",)))
    from nrf_deploy.torch import load

    module, shape = load(source if ":" in source else shipped.module(source).build, weights)
    if witness is not None and not isinstance(witness, Recording):
        witness = read_recording(witness, shape=tuple(shape), dt=dt)[0]
    model, data = _exported(module, shape, dt, witness)
    if output is not None:

        def write(stream: BinaryIO) -> None:
            stream.write(data)

        write_atomically(output, write)
    return model


def sample(source: str, seed: int = 0) -> tuple[Recording, PlaceLabels | None]:
    """Return a recording to try a shipped model on, and what it shows.

    Args:
        source: The name of a shipped model.
        seed: The seed of the scene. Default: 0.

    Returns:
        200 steps of input in the model's shape and time step, and the true places as labels
        for `verify`; None where the model cannot tell them.

    Raises:
        UsageError: An unknown name (a ValueError).
        MissingError: torch or Norse is not installed.
    """
    _demand_source(source)
    model = shipped.module(source)
    if not hasattr(model, "demo_truth"):
        return model.demo_recording(seed, SAMPLE_STEPS), None
    recording, truth = model.demo_truth(seed, SAMPLE_STEPS)
    return recording, shipped.labels(model, truth)


def _exported(
    module: Module, shape: Sequence[int] | Tensor, dt: float | None, witness: Recording | None
) -> tuple[Model, bytes]:
    """Return the model and the bytes of its .nir file."""
    _demand_packages("torch")
    from nrf_deploy.io import nir
    from nrf_deploy.torch.build import from_torch as build

    _demand_types(module, shape, dt)
    network, findings, witnessed = build(module, shape, dt, witness)
    data = nir.checked(network, witnessed)
    model = model_of(data)
    reported = (*findings, *nir.foreign(network), *model.findings)
    return replace(model, findings=reported), data


def _demand_source(source: object) -> None:
    fix = "pass the name of a shipped model, or 'package.module:factory'"
    demand(source, str, "the name of a model", fix)


def _demand_types(module: object, shape: object, dt: object) -> None:
    import torch

    demand(module, torch.nn.Module, "a torch module", "pass a trained torch.nn.Module")
    if dt is not None:
        demand_number("dt", dt, "a number")
    if isinstance(shape, torch.Tensor):
        return
    fix = "pass the shape without batch and time, such as (2, 34, 34)"
    sizes = demand(shape, (tuple, list, torch.Size), "a shape or a tensor", fix)
    if not sizes or not all(type(n) is int and n > 0 for n in sizes):
        raise wrong(shape, "a shape of whole numbers above 0", fix)


def _demand_packages(*packages: str) -> None:
    """Refuse if a package is missing; the shipped models need Norse, another may not."""
    missing = [p for p in packages if importlib.util.find_spec(p) is None]
    if missing:
        raise MissingError(
            error(
                "EXTRA-MISSING",
                f"{' and '.join(missing)} is not installed",
                why="exporting runs the model in torch; nothing else here needs it",
                fix="pip install 'nrf-deploy[models]' with torch pinned (see the README)",
            )
        )
