"""The witness of an exported module: its own spikes on a short input.

The module runs on a given input, or on one that is drawn so that every spiking layer fires, and
some neuron of each in two steps in a row or several times in a step. What that input does not
decide is named.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import InputError, error
from nrf_deploy.ir.network import Array, Network, Population
from nrf_deploy.ir.recording import Recording
from nrf_deploy.ir.witness import Witness
from nrf_deploy.neurons import Spikes

from .frameworks import Framework, framework_of
from .graph import Graph
from .places import Place, Site
from .runs import Run
from .steps import SCALES, Module, same_layers

STEPS = (32, 64)
"""The fewest and the most steps of a drawn input; a loop of the module may be shorter."""
FEWEST = 4
NUMBERS = 1 << 19
"""Numbers of a witness at most, which bounds its steps; potentials are kept within the same."""
TRIALS = 6


def observed(
    module: Module, graph: Graph, network: Network, recording: Recording | None
) -> Witness | None:
    """Return what the module gives, or None for a module without neurons of a framework."""
    names = {p: piece.last for p, piece in graph.pieces.items() if _population(network, piece.last)}
    frameworks = _frameworks(graph, names)
    if not frameworks:
        return None
    steps = _steps(network, names.values())
    best: tuple[Array, Run, dict[str, Array], list[str]] | None = None
    for inputs in _inputs(module, recording, steps):
        seen = module.run(inputs, "neurons")
        outputs = {names[p]: a for p, a in _outputs(graph, seen, names).items()}
        open_ = list(_undecided(network, outputs))
        if best is None or len(open_) < len(best[3]):
            best = inputs, seen, outputs, open_
        if not open_:
            break
    assert best is not None
    inputs, seen, outputs, open_ = best
    done = min(len(a) for a in outputs.values())
    frames = np.repeat(inputs[:1], done, axis=0) if module.form == "loop" else inputs[:done]
    return Witness(
        producer="+".join(f.package for f in frameworks),
        version=", ".join(f.version() for f in frameworks),
        input=Recording.from_dense(frames, network.dt),
        outputs={n: _recording(network, n, a[:done]) for n, a in outputs.items()},
        potentials=_potentials(graph, seen, names, network, done),
        undecided=(*open_, *_short(done, recording)),
    )


def _population(network: Network, name: str) -> bool:
    return name in network and type(network[name]) is Population


def _frameworks(graph: Graph, names: Mapping[Place, str]) -> list[Framework]:
    known = [framework_of(graph.calls[p].module) for p in names]
    return [f for f in dict.fromkeys(known) if f is not None]


def _steps(network: Network, names: Any) -> int:
    """Return how many steps stay within the numbers of a witness; spikes are few."""
    values = [n for n in names if not network[n].spikes]  # type: ignore[attr-defined]
    spikes = [n for n in names if network[n].spikes]  # type: ignore[attr-defined]
    step = sum(math.prod(network[n].shape) for n in values)
    step += sum(math.prod(network[n].shape) for n in spikes) // 8
    return max(FEWEST, min(STEPS[1], NUMBERS // max(step, 1)))


def _inputs(module: Module, recording: Recording | None, steps: int) -> Iterator[Array]:
    """Yield inputs to try: the given one, or drawn ones from small to large."""
    if recording is not None:
        if recording.shape != module.shape:
            raise InputError(_other_shape(recording, module))
        frames = recording.until(min(recording.steps, STEPS[1])).dense().astype(np.float32)
        if module.form == "loop" and np.any(frames != frames[:1]):
            raise InputError(_no_loop())
        yield frames[:1] if module.form == "loop" else frames
        return
    steps = min(steps, (STEPS[0] + STEPS[1]) // 2)
    kinds = [(scale, kind) for scale in SCALES for kind in ("events", "quarters")]
    for scale, kind in kinds[:TRIALS]:
        yield module.drawn(steps, scale, kind)


def _outputs(graph: Graph, seen: Run, names: Mapping[Place, str]) -> dict[Place, Array]:
    """Return what each population gave, (steps, *shape)."""
    sites = same_layers(graph, seen)
    outputs = {}
    for place in names:
        values = np.stack([_given(seen, sites[place], t) for t in sorted(sites[place].instants)])
        outputs[place] = np.maximum(values, 0) if place in graph.rectified else values
    return outputs


def _given(seen: Run, site: Site, step: int) -> Array:
    number, at = site.instants[step]
    output = seen.calls[number].given
    assert output is not None
    return np.asarray(output[at])


def _recording(network: Network, name: str, values: Array) -> Recording:
    node: Any = network[name]
    values = values.astype(np.int64) if node.spikes else values.astype(np.float32)
    return Recording.from_dense(values, network.dt)


def _potentials(
    graph: Graph, seen: Run, names: Mapping[Place, str], network: Network, steps: int
) -> dict[str, Array]:
    """Return the potentials that the framework shows, from the first layer on as they fit."""
    sites = same_layers(graph, seen)
    potentials: dict[str, Array] = {}
    left = NUMBERS
    for place, name in names.items():
        node: Any = network[name]
        left -= steps * math.prod(node.shape)
        if left < 0:
            break
        shown = [
            (seen.calls[number].shown, at)
            for _, (number, at) in sorted(sites[place].instants.items())[:steps]
        ]
        if node.spikes and all(v is not None and len(v) > at for v, at in shown):
            rows = [v[at] for v, at in shown if v is not None]
            potentials[name] = np.stack(rows).astype(np.float32)
    return potentials


def _undecided(network: Network, outputs: Mapping[str, Array]) -> Iterator[str]:
    """Yield in words what an input does not decide about each spiking layer."""
    for name, spikes in outputs.items():
        rule = network[name].rule  # type: ignore[attr-defined]
        if not isinstance(rule, Spikes):
            continue
        if not spikes.any():
            yield f"layer {name!r}: no neuron spiked, so that nothing about it is decided"
            continue
        rest = 0 if rule.refractory is None else int(np.max(rule.refractory))
        again = (spikes[rest + 1 :] > 0) & (spikes[: -rest - 1] > 0)
        if not again.any() and not (spikes > 1).any():
            yield (
                f"layer {name!r}: no neuron spiked twice in a row or several times in a step, so "
                "that its reset and its number of spikes in a step are not decided"
            )


def _short(steps: int, recording: Recording | None) -> Iterator[str]:
    if steps < STEPS[0] and recording is None:
        yield f"it has {steps} steps: the module makes no more in a call, or they are too large"


def _other_shape(recording: Recording, module: Module) -> Any:
    return error(
        "EXPORT-WITNESS",
        f"the recording is {recording.shape}, and the module takes {module.shape}",
        fix="bin or crop the recording to the input of the module",
    )


def _no_loop() -> Any:
    return error(
        "EXPORT-WITNESS",
        "the module repeats its layers on one frame, and the frames of the recording differ",
        fix="give a recording of equal frames, or leave it out",
    )
