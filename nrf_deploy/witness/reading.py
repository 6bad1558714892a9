"""The reading of models: every file passes the replay of its witness here.

No other module calls the readers of `io.model`, so nothing leads around the replay; a test holds
this. What was read and changed afterwards is replayed again before it is compiled (origin.py).
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from nrf_deploy.diagnostics.argument_types import demand_path
from nrf_deploy.diagnostics.findings import InputError, error
from nrf_deploy.io import model as unchecked
from nrf_deploy.io import nir
from nrf_deploy.io.file_types import demand_kind
from nrf_deploy.io.model import Model, NIRGraph
from nrf_deploy.io.rule_options import RuleOptions

from .origin import other_producer, trained_of
from .recorded import read_recorded

File = str | os.PathLike[str]


def read(
    model: str | Path | NIRGraph,
    dt: float | None = None,
    *,
    witness: File | None = None,
    **options: Unpack[RuleOptions],
) -> Model:
    """Read a model from a .nir file or from a graph of the nir library.

    A file of another producer does not state how its neurons reset and fire: it is refused
    until `producer`, or `reset` and `fires`, state it.

    Args:
        model: The path of a .nir file, or a `nir.NIRGraph`. A graph passes the checks of a
            file: it is written by the nir library into memory, and read from there.
        dt: The time step, in the unit of the file's time constants (1 if it counts in steps).
            Default: the one in the file, or the one of its producer; a file without one is
            refused.
        witness: The path of a recording from the framework (.npz: its input and the output
            of each layer; docs/from-your-framework.md). The model must give the same.
            Default: none; a witness in the file is replayed in any case.
        options: How the neurons compute, where the file does not state it. `producer`: the
            framework that wrote the file ("nir" for the equations that NIR's documentation
            prints). And fields of the rule, which override those of the producer: `reset`
            ("value", "subtract", "late", "none" or "doubled"), `fires` ("above" or "at"),
            `per_step` ("one", "many" or "many:N"), `floor` (a potential or "none") and
            `refractory` (steps or "none"); each is a value for all spiking neurons, or a
            mapping of layers to values, where "" stands for all other layers. Default: as the
            file states.

    Returns:
        The Model: the network, the findings of reading, and the hash of the file (None for a
        graph).

    Raises:
        MissingFileError: The file does not exist (a FileNotFoundError).
        InputError: A file or graph that is damaged, hostile, unknown in a part, or without a
            time step or a rule, or that differs from its witness (a ValueError); `findings`
            holds all problems at once.
        UsageError: An argument of a wrong type (a TypeError) or value (a ValueError).
    """
    return replayed(unchecked.read(model, dt, **options), witness, options.get("producer"))


def as_model(
    source: object,
    dt: float | None = None,
    *,
    witness: File | None = None,
    **options: Unpack[RuleOptions],
) -> Model:
    """Return a Model, a Network as one, or the one in a .nir file or a nir.NIRGraph.

    `dt` and the options are for a file, as in `read`: a model has its own.
    """
    return replayed(unchecked.as_model(source, dt, **options), witness, options.get("producer"))


def look(
    path: File, dt: float | None = None, witness: File | None = None, **options: Unpack[RuleOptions]
) -> Model:
    """Return the model in a file that need not state its time step or its rule, for display only.

    Without a time step nothing can be replayed, and a recording beside it is refused.
    """
    network, findings, observed = nir.look(path, dt, **options)
    model = Model(network, tuple(findings), witness=observed)
    if network.dt > 0:
        return replayed(model, witness, options.get("producer"))
    if witness is not None:
        what = "--witness is given, and the model has no time step"
        raise InputError(error("NIR-DT-MISSING", what, fix="give --dt too"))
    return replace(model, witness=None)


def model_of(data: bytes) -> Model:
    """Return the model in the bytes of a .nir file."""
    return replayed(unchecked.model_of(data))


def replayed(model: Model, witness: File | None = None, producer: str | None = None) -> Model:
    """Return a model, with a recording beside it, that gives what its witnesses hold."""
    if witness is not None:
        demand_path(witness)
        demand_kind(witness, "recording")
        recordings = read_recorded(witness, model.network)
        more = other_producer(recordings, producer)
        model = replace(model, recordings=recordings, findings=(*model.findings, *more))
    trained_of(model)
    return model
