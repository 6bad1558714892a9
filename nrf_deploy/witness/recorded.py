"""Recordings that users made in their framework: an .npz file with the input and the layers.

    input              the input, (steps, *shape); input:NAME for each of several inputs, or an
                       input that is given beside the file
    NAME               the output of the layer of this name: spikes, counts or values
    potential:NAME     its potential after each step, if the framework shows it
    producer, version  text: the framework; optional
    axes               "samples steps" (default) or "steps samples", where an axis of samples
                       stands before or behind the steps; every sample begins in the first state

A layer may be flat, (steps, neurons). docs/from-your-framework.md shows how each framework
writes such a file.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, InputError, error, refuse
from nrf_deploy.io.archive import NUMBERS, Archive, DamagedError, from_npy
from nrf_deploy.io.files import reading
from nrf_deploy.ir.network import Array, Input, Network, Output, Shape, exact
from nrf_deploy.ir.recording import Recording
from nrf_deploy.ir.witness import Witness
from nrf_deploy.ir.witness_faults import exit_of, faults, input_size, sends_spikes

POTENTIAL, INPUT = "potential:", "input"
TEXTS = ("producer", "version", "axes")
AXES = {"samples steps": (0, 1), "steps samples": (1, 0)}
LONGEST = 400
UNNAMED = "the framework"
MOST_SAMPLES, MOST_STEPS = 10_000, 100_000
LIMIT = 1 << 30
CODE = "WITNESS-FILE"


def read_recorded(
    path: str | os.PathLike[str], network: Network, stimulus: Recording | None = None
) -> tuple[Witness, ...]:
    """Return the samples of a recording from a framework, each as a witness.

    Args:
        path: the .npz file
        network: the network that it is of; its layers have the names of the network
        stimulus: the input, for a file without one
    """
    name = os.fspath(path)
    with reading(path) as stream:
        try:
            archive = Archive(stream, limit=LIMIT)
            texts, arrays = _members(archive)
        except DamagedError as damage:
            raise damage.refusal(path, CODE) from damage
    try:
        samples = list(_samples(arrays, texts, network, stimulus))
    except _MisfitError as problem:
        raise InputError(
            error(CODE, f"{name}: {problem}", fix=problem.fix or _layers(network))
        ) from None
    refuse(_faults(name, samples, network), InputError)
    return tuple(samples)


def file_hash(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    digest = hashlib.sha256()
    with reading(path) as stream:
        while part := stream.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


class _MisfitError(Exception):
    """The fault of a recording beside its network, in words."""

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.fix = fix


def _layers(network: Network) -> str:
    names = [f"{n.name} {n.shape}" for n in _recordable(network)]
    return f"the layers of the model and their shapes: {', '.join(names):.400}"


def _recordable(network: Network) -> list[Any]:
    return [n for n in network.nodes if not exact(n, Input, Output)]


def _members(archive: Archive) -> tuple[dict[str, str], dict[str, Array]]:
    names = {name.removesuffix(".npy"): name for name in archive.sizes}
    if strange := [n for n in archive.sizes if not n.endswith(".npy")]:
        raise DamagedError(f"holds {strange[0]!r:.80}, which is not an array")
    texts: dict[str, str] = {}
    for key in TEXTS:
        if key in names:
            if archive.sizes[names[key]] > 4 * LONGEST + 256:
                raise DamagedError(f"has a text {key} of more than {LONGEST} characters")
            texts[key] = str(from_npy(archive.read(names[key]), "U"))
    arrays = {
        key: from_npy(archive.read(name), NUMBERS)
        for key, name in names.items()
        if key not in TEXTS
    }
    return texts, arrays


def _samples(
    arrays: Mapping[str, Array],
    texts: Mapping[str, str],
    network: Network,
    stimulus: Recording | None,
) -> Iterator[Witness]:
    axes = texts.get("axes", "samples steps")
    if axes not in AXES:
        raise _MisfitError(f"axes is {axes!r:.40}", f"write axes={' or '.join(map(repr, AXES))}")
    signals: dict[str, Array] = {}
    for key, array in arrays.items():
        shape = _shape(key, network)
        signals[key] = _in_order(key, array, shape, axes)
    if not any(_is_layer(key) for key in signals):
        raise _MisfitError("it has no output of a layer")
    counts = {key: a.shape[:2] for key, a in signals.items()}
    if stimulus is not None:
        if any(key == INPUT or key.startswith(f"{INPUT}:") for key in signals):
            raise _MisfitError("it holds its input, and another one is given", "leave --input out")
        counts["the input"] = (1, stimulus.steps)
    if len(set(counts.values())) > 1:
        different = ", ".join(f"{k} {a} x {b}" for k, (a, b) in counts.items())
        raise _MisfitError(f"samples and steps differ: {different:.300}", "record them in one run")
    samples, steps = next(iter(counts.values()))
    if not (1 <= samples <= MOST_SAMPLES and 1 <= steps <= MOST_STEPS):
        raise _MisfitError(
            f"it has {samples:,} samples of {steps:,} steps; expected 1 to {MOST_SAMPLES:,} "
            f"samples of 1 to {MOST_STEPS:,} steps"
        )
    for k in range(samples):
        yield Witness(
            producer=texts.get("producer", UNNAMED)[:LONGEST],
            version=texts.get("version", "")[:LONGEST],
            input=stimulus or _input({k2: a[k] for k2, a in signals.items()}, network),
            outputs={
                exit_of(key, network): _output(key, a[k], network)
                for key, a in signals.items()
                if _is_layer(key)
            },
            potentials={
                key.removeprefix(POTENTIAL): a[k].astype(np.float32)
                for key, a in signals.items()
                if key.startswith(POTENTIAL)
            },
        )


def _is_layer(key: str) -> bool:
    return key != INPUT and not key.startswith((POTENTIAL, f"{INPUT}:"))


def _shape(key: str, network: Network) -> Shape:
    """Return the shape of a step of a signal; refuse a name that the network does not have."""
    inputs = list(network.of(Input))
    if key == INPUT:
        return inputs[0].shape if len(inputs) == 1 else (input_size(network),)
    name = key.removeprefix(POTENTIAL).removeprefix(f"{INPUT}:")
    known = [n.name for n in inputs] if key.startswith(f"{INPUT}:") else None
    known = [n.name for n in _recordable(network)] if known is None else known
    if name not in known:
        raise _MisfitError(f"there is no layer {name!r:.80} in the model (array {key!r:.80})")
    return network[name].shape


def _in_order(key: str, array: Array, shape: Shape, axes: str) -> Array:
    """Return a signal as (samples, steps, *shape)."""
    if array.dtype.kind not in "biuf":
        raise _MisfitError(f"{key!r:.80} has values of {array.dtype}; expected numbers")
    size = math.prod(shape)
    for tail in dict.fromkeys((shape, (size,))):
        lead = array.ndim - len(tail)
        if lead in (1, 2) and array.shape[lead:] == tail:
            if lead == 1:
                return array.reshape(1, len(array), *shape)
            first, second = array.shape[:2]
            if second == 1 < first and axes == "samples steps":
                raise _MisfitError(
                    f"{key!r:.80} is {first} x 1: {first} samples of one step, or {first} steps",
                    f"write axes='steps samples', or leave the axis of samples out: {key}[:, 0]",
                )
            return np.moveaxis(array.reshape(first, second, *shape), AXES[axes], (0, 1))
    raise _MisfitError(
        f"{key!r:.80} has the shape {array.shape}; expected (steps, *{shape}), or an axis of "
        "samples before it"
    )


def _input(signals: Mapping[str, Array], network: Network) -> Recording:
    inputs = list(network.of(Input))
    if INPUT in signals:
        return _recording(signals[INPUT])
    names = [f"{INPUT}:{n.name}" for n in inputs]
    if missing := [n for n in names if n not in signals]:
        what = "it has no array 'input'" if len(inputs) == 1 else f"it has no {missing[0]!r:.80}"
        raise _MisfitError(what, "save the input too, or give it with --input")
    if len(inputs) == 1:
        return _recording(signals[names[0]])
    return _recording(np.concatenate([signals[n].reshape(len(signals[n]), -1) for n in names], 1))


def _recording(frames: Array) -> Recording:
    if not np.isfinite(frames).all():
        raise _MisfitError("a value is NaN or infinite", "record finite values")
    return Recording.from_dense(frames)


def _output(key: str, frames: Array, network: Network) -> Recording:
    if sends_spikes(network[key]) and exit_of(key, network) == key:
        whole = np.rint(frames)
        if not np.isfinite(frames).all() or np.any(whole != frames):
            raise _MisfitError(
                f"layer {key!r:.80} spikes, and its array holds values that are not counts",
                f"save its spikes, and its potential as {POTENTIAL}{key}",
            )
        return Recording.from_dense(whole.astype(np.int64))
    return _recording(frames.astype(np.float32))


def _faults(name: str, samples: list[Witness], network: Network) -> Iterator[Finding]:
    for k, witness in enumerate(samples):
        for fault in faults(witness, network):
            where = f" sample {k}:" if len(samples) > 1 else ""
            yield error(CODE, f"{name}:{where} {fault}", fix=_layers(network))
            return
