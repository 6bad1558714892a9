"""Causes of a tracker's errors on a chip, found by changing one thing at a time.

On Speck: the rate code in float, then the chip's weights in time steps, then event by event. On
the emulator's machine: one of its settings. Measurements are stored in
benchmarks/results/tracker_causes.json.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

import nrf_deploy as nd
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.pipeline import unit
from nrf_deploy.engines.reference import run as run_reference
from nrf_deploy.ir.network import Network
from nrf_deploy.ir.recording import Recording
from nrf_deploy.torch import from_torch
from nrf_deploy.verification.covariance.layer import rewritten
from nrf_deploy.verification.task.readout import followed, track
from nrf_models.covariant.shipped import Shipped

VELOCITIES = (0.16, 0.32, 0.64, 1.28)
STEPS, TYPICAL, SCENES = 100, 80, 4
TOLD = "0.64"
"""The velocity at which spikes are counted and layers compared."""
RATE, BY_STEPS, BY_EVENTS = "rate code in float", "8-bit weights, in steps", "event by event"
MACHINES = {
    "as it is": "emulator",
    "payloads cut off toward zero": "emulator:message_rounding=zero",
    "weights of 16 bits": "emulator:weight_bits=16,fraction_bits=6",
    "sums and states of 32 bits": "emulator:sum_bits=32,state_bits=32,fraction_bits=6",
}
Places = Callable[[Recording], Any]


def measured(choices: tuple[str, ...]) -> dict[str, Any]:
    return {
        "speck2b": {f"relu-{seed}": _rates(Shipped(f"relu-{seed}"), choices) for seed in range(3)},
        "emulator": _machines(Shipped("li-theory-0")),
        "values": _values(Shipped("li-theory-0")),
    }


def _rates(tracker: Shipped, choices: tuple[str, ...]) -> dict[str, Any]:
    network = _network(tracker)
    bundle = nd.compile(network, "speck2b", tracker.demo_recording(1, TYPICAL), allow=choices)
    (name,) = bundle.program.outputs
    scale, final = unit(bundle, name), rewritten(network, bundle)
    assert scale is not None

    def read(output: Recording) -> Any:
        return track(output.until(STEPS), network.readout, scale)

    ways: dict[str, Places] = {
        "float": lambda stimulus: followed(bundle, stimulus, "reference"),
        RATE: lambda stimulus: read(run_reference(final, stimulus).outputs[name]),
        BY_STEPS: lambda stimulus: read(nd.run(bundle, stimulus, "steps").outputs[name]),
        BY_EVENTS: lambda stimulus: followed(bundle, stimulus, "emulator"),
    }
    return {
        "errors": {way: _errors(tracker, places) for way, places in ways.items()},
        "spikes": _spikes(bundle, tracker),
    }


def _spikes(bundle: Bundle, tracker: Shipped) -> dict[str, float]:
    """Return the spikes of each layer in a step."""
    layers = [o.node for o in bundle.program.origins]
    stimulus, _ = tracker.demo_truth(100, STEPS, float(TOLD))
    outputs = nd.run(bundle, stimulus, layer=layers).outputs
    return {n: round(float(outputs[n].value.sum()) / STEPS, 1) for n in layers}


def _machines(tracker: Shipped) -> dict[str, Any]:
    network, errors_by_machine = _network(tracker), {}
    for machine_name, machine in MACHINES.items():
        bundle = nd.compile(network, machine, tracker.demo_recording(1, TYPICAL))
        if not errors_by_machine:
            errors_by_machine["float"] = _errors(tracker, _following(bundle, "reference"))
        errors_by_machine[machine_name] = _errors(tracker, _following(bundle, "emulator"))
    return errors_by_machine


def _following(bundle: Bundle, engine: str) -> Places:
    return lambda stimulus: followed(bundle, stimulus, engine)


def _values(tracker: Shipped) -> dict[str, dict[str, float]]:
    """Return the errors of values by chip and layer, as verify reports them."""
    network = _network(tracker)
    stimulus, _ = tracker.demo_truth(100, STEPS, float(TOLD))
    values_by_chip = {}
    for chip in ("loihi2", "emulator"):
        bundle = nd.compile(network, chip, tracker.demo_recording(1, TYPICAL))
        layers = nd.verify(bundle, stimulus).comparison.layers
        values_by_chip[chip] = {c.layer: round(c.value_error, 5) for c in layers if c.value_error}
    return values_by_chip


def _network(tracker: Shipped) -> Network:
    module = tracker.build()
    return from_torch(module, module.input_shape, None)[0]


def _errors(tracker: Shipped, places: Places) -> dict[str, list[float]]:
    """Return each scene's mean distance in pixels, by velocity."""

    def each(velocity: float) -> Iterator[float]:
        for k in range(SCENES):
            stimulus, truth = tracker.demo_truth(100 + k, STEPS, velocity)
            away = np.linalg.norm(places(stimulus) - truth, axis=-1)
            yield round(float(away[tracker.settled :].mean()), 3)

    return {f"{v:g}": list(each(v)) for v in VELOCITIES}


# --- as text -----------------------------------------------------------------------


def tables(measured_causes: Mapping[str, Any]) -> dict[str, str]:
    """Return texts for the page, by the names of its fields."""
    speck, machines, values = (
        measured_causes["speck2b"],
        measured_causes["emulator"],
        measured_causes["values"],
    )
    ways = {
        way: {v: _mean(speck, lambda one, w=way, at=v: one["errors"][w][at]) for v in _told()}
        for way in ("float", RATE, BY_STEPS, BY_EVENTS)
    }
    means = {k: {v: float(np.mean(e[v])) for v in _told()} for k, e in machines.items()}
    spikes = [list(one["spikes"].values()) for one in speck.values()]
    inside = list(values["loihi2"].values())[:-1]
    return {
        "rates": _table("relu on speck2b", ways),
        "machines": _table("machine", means),
        "last_spikes": f"{np.mean([s[-1] for s in spikes]):,.0f}",
        "rate": f"{np.mean([s[-1] for s in spikes]) / 1000:,.0f}",
        "told": TOLD,
        "first_spikes": f"{np.mean([s[0] for s in spikes]):,.0f}",
        "last_loihi": f"{100 * list(values['loihi2'].values())[-1]:.1f} %",
        "last_emulator": f"{100 * list(values['emulator'].values())[-1]:.1f} %",
        "inside_loihi": f"{100 * min(inside):.0f} to {100 * max(inside):.0f} %",
    }


def _told() -> list[str]:
    return [f"{v:g}" for v in VELOCITIES]


def _mean(trackers: Mapping[str, Any], of: Callable[[Any], list[float]]) -> float:
    return float(np.mean([of(one) for one in trackers.values()]))


def _table(corner: str, rows: Mapping[str, Mapping[str, float]]) -> str:
    lines = [f"| {corner} | {' | '.join(_told())} |", f"|---|{'---|' * len(VELOCITIES)}"]
    for name, row in rows.items():
        lines.append(f"| {name} | {' | '.join(f'{row[v]:.2f}' for v in _told())} |")
    return "\n".join(lines)
