"""Whole float networks in sinabs, beside ours: its spikes, and its own way to the chip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nrf_deploy.engines.sdk.environments import installed_python
from nrf_deploy.engines.sdk.reply import Expected, Numbers, Upto
from nrf_deploy.engines.sdk.worker import run_worker
from nrf_deploy.ir.network import (
    Array,
    AvgPool,
    Conv,
    Flatten,
    Input,
    Linear,
    Network,
    Node,
    Output,
    Population,
    SumPool,
)
from nrf_deploy.ir.recording import Recording
from nrf_deploy.neurons import Spikes
from nrf_speck.sinabs import client

WORKER = Path(__file__).with_name("sinabs_networks_worker.py")
PARTS = ("step", "index", "value")


@dataclass(frozen=True, eq=False)
class Core:
    """One spiking layer in sinabs: its spikes, and the integers of its core."""

    trained: Recording
    chip: Recording
    threshold_high: int
    threshold_low: int
    returns_to_zero: bool
    weights: Array
    biases: Array
    initial: Array


def in_sinabs(pairs: Sequence[tuple[Network, Recording]]) -> list[dict[str, Core]]:
    """Run chains of layers in sinabs; return the spiking layers of each, by name."""
    python = installed_python(client.sdk)
    assert python is not None
    networks, arrays = [], {}
    for number, (network, recording) in enumerate(pairs):
        request, own = _request(network, recording)
        networks.append(request)
        arrays |= {f"{number}/{name}": array for name, array in own.items()}
    setting = {"threshold_high": int, "threshold_low": int, "returns_to_zero": bool}
    names = [_spiking(network) for network, _ in pairs]
    expected = Expected(
        {"answers": ({"cores": [setting]}, len(pairs))},
        dict(
            entry
            for number, (network, recording) in enumerate(pairs)
            for entry in _expected(f"{number}/", network, recording)
        ),
    )
    request = {"networks": networks}
    reply, answer = run_worker("sinabs", python, WORKER, request, expected, arrays, 600.0)
    return [
        {
            name: _core(f"{number}/{n}/", pairs[number], name, settings["cores"][n], answer)
            for n, name in enumerate(names[number])
        }
        for number, settings in enumerate(reply["answers"])
    ]


def chained(network: Network) -> list[Node]:
    """Return the nodes between the input and the output, in their order."""
    return [network[n] for n in network.order if type(network[n]) not in (Input, Output)]


def _spiking(network: Network) -> list[str]:
    return [n.name for n in chained(network) if type(n) is Population]


def _request(network: Network, recording: Recording) -> tuple[dict[str, Any], dict[str, Array]]:
    (source,) = network.of(Input)
    arrays: dict[str, Array] = {n: getattr(recording, n) for n in ("index", "value")}
    arrays["step"] = recording.step
    layers = []
    for number, node in enumerate(chained(network)):
        layers.append(_layer(node))
        if type(node) in (Conv, Linear):
            arrays[f"weights{number}"] = node.weight  # type: ignore[attr-defined]
            if node.bias is not None:  # type: ignore[attr-defined]
                arrays[f"biases{number}"] = node.bias  # type: ignore[attr-defined]
        elif type(node) is Population:
            first = getattr(node.membrane, "v0", None)
            if first is not None:
                arrays[f"initial{number}"] = np.broadcast_to(first, node.shape)
    return {"shape": source.shape, "layers": layers, "steps": recording.steps}, arrays


def _layer(node: Node) -> dict[str, Any]:
    match node:
        case Conv():
            return {
                "kind": "conv",
                "stride": list(node.stride),
                "padding": [before for before, _ in node.padding],
            }
        case Linear():
            return {"kind": "linear"}
        case SumPool() | AvgPool():
            return {"kind": "pool", "window": node.window[0], "mean": type(node) is AvgPool}
        case Flatten():
            return {"kind": "flatten"}
        case Population(rule=Spikes() as rule):
            floor = None if rule.floor is None else float(np.ravel(rule.floor)[0])
            return {
                "kind": "iaf",
                "threshold": float(np.ravel(rule.threshold)[0]),
                "floor": floor,
                "reset": rule.reset,
                "per_step": rule.per_step,
            }
    raise TypeError(f"{node.name}: sinabs' networks here have no {node.kind}")


def _expected(place: str, network: Network, recording: Recording) -> Iterator[tuple[str, Numbers]]:
    for number, name in enumerate(_spiking(network)):
        here, size = f"{place}{number}/", int(np.prod(network[name].shape))
        for run in ("trained", "chip"):
            events = Upto(f"{here}{run}", recording.steps * size)
            for part in PARTS:
                yield f"{here}{run}/{part}", Numbers((events,))
        axes = [Upto(f"{here}{axis}", 1 << 12) for axis in "fc"]
        side = Upto(f"{here}k", 64)
        yield f"{here}weights", Numbers((*axes, side, side))
        yield f"{here}biases", Numbers((axes[0],))
        yield f"{here}initial", Numbers((*network[name].shape, 1, 1)[:3])


def _core(
    place: str,
    pair: tuple[Network, Recording],
    name: str,
    settings: dict[str, Any],
    answer: dict[str, Array],
) -> Core:
    network, recording = pair
    shape = network[name].shape

    def run(which: str) -> Recording:
        step, index, value = (answer[f"{place}{which}/{part}"] for part in PARTS)
        return Recording.from_events(step, index, value, shape, recording.steps, recording.dt)

    return Core(
        trained=run("trained"),
        chip=run("chip"),
        weights=answer[f"{place}weights"],
        biases=answer[f"{place}biases"],
        initial=answer[f"{place}initial"],
        **settings,
    )
