"""Layer of a compiled network, with one kind of its numbers at a time as on the chip.

The numbers and the step are those of `verify --attribute` (float_twin.py). The input of the layer
is given, so that errors of other layers do not count; the chip's layer runs on the same input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.pipeline import target_of
from nrf_deploy.compare.units import in_units, of_potential
from nrf_deploy.compiler.abilities import Dequantising
from nrf_deploy.compiler.passes import parse
from nrf_deploy.diagnostics.progress import Progress, quiet
from nrf_deploy.engines.reference import run as run_reference
from nrf_deploy.ir.layer_view import Layers, layers
from nrf_deploy.ir.network import Array, Network, Population, gives_values
from nrf_deploy.ir.program import spread
from nrf_deploy.ir.recording import Recording, Trace

from ..attribution.attribution import joined
from ..attribution.attribution_run import emulating
from ..attribution.float_twin import (
    Numbers,
    Variants,
    chip_numbers,
    ideal,
    unexpressed,
    variants,
)
from ..attribution.isolated_layer import isolated
from ..attribution.layer_inputs import Feed, drive, feeds, inputs_of

CHUNK = 64
MODEL, EULER, ALL = "model", "forward Euler", "all"
NAMES = {
    "weights": "weight bits",
    "decay": "decay bits",
    "threshold": "threshold bits",
    "bias": "bias",
    "reset": "reset",
    "saturation": "saturation",
}
ARITHMETIC = "fractional bits"


@dataclass(frozen=True, eq=False)
class Lowered:
    """Networks and numbers of a bundle. `trained` is the model with the decays of its training, if
    the bundle has others."""

    bundle: Bundle
    network: Network
    trained: Network | None
    numbers: Mapping[str, Mapping[str, Array]]

    @staticmethod
    def of(bundle: Bundle, trained: Network | None = None) -> Lowered | None:
        """Create it for a bundle; None if the target does not state the values of its integers."""
        target = target_of(bundle)
        if not isinstance(target, Dequantising):
            return None
        network = rewritten(bundle.network, bundle)
        before = None if trained is None else rewritten(trained, bundle)
        return Lowered(bundle, network, before, target.dequantised(bundle.program))

    @cached_property
    def view(self) -> Layers:
        return layers(self.network)

    def outputs(self, recording: Recording, progress: Progress = quiet) -> dict[str, Recording]:
        """Return the output of every population in float."""
        reference = run_reference(
            self.network, recording, record=self.view.stops, progress=progress
        )
        return {**reference.outputs, **inputs_of(self.network, recording)}

    def sources(self, name: str) -> tuple[str, ...]:
        return tuple(link.source for link in self.view.into(name))

    def arriving(
        self, name: str, outputs: Mapping[str, Recording], steps: int
    ) -> tuple[Array, Array] | None:
        """Return the summed input (steps, *shape) by the model's weights and by the chip's.

        They are in the units of v of the model and of the chip; None if the chip's weights cannot
        be separated.
        """
        node = self.network[name]
        in_model, on_chip = self._fed(name, outputs), self._fed(name, self._as_sent(outputs))
        if in_model is None or on_chip is None or name not in self.numbers:
            return None
        gain = drive(self.network, name)
        by_model, by_chip = np.zeros((2, steps, *node.shape))
        for first in range(0, steps, CHUNK):
            last = min(first + CHUNK, steps)
            shape = by_model[first:last].shape
            for feed in in_model:
                by_model[first:last] += feed.by_model(first, last).reshape(shape) * gain
            for feed in on_chip:
                by_chip[first:last] += feed.by_chip(first, last).reshape(shape)
        return by_model, by_chip

    def _fed(self, name: str, outputs: Mapping[str, Recording]) -> list[Feed] | None:
        program = self.bundle.program
        return feeds(self.network, self.view, program, self.numbers, name, outputs, _as_model)

    def _as_sent(self, outputs: Mapping[str, Recording]) -> dict[str, Recording]:
        """Return outputs in which channels with separate units are scaled to their mean unit."""
        origins = {o.node: o for o in self.bundle.program.origins}
        sent = dict(outputs)
        for name, recording in outputs.items():
            if name in origins and gives_values(self.network[name]):
                unit = np.ravel(spread(origins[name].unit, recording.shape))
                value = recording.value * (unit / unit.mean())[recording.index]
                sent[name] = replace(recording, value=value)
        return sent

    def simulated(self, name: str) -> bool:
        """Return True if the variants simulate these neurons."""
        return not unexpressed(self.network[name], self.numbers.get(name, {}))

    def unit(self, name: str) -> Array:
        """Return the value of 1 of the model's v on the chip."""
        return of_potential(self.bundle.program, name, self.network[name].shape)

    def each(self, name: str) -> dict[str, Numbers]:
        model = ideal(self.network, self.view, name)
        every = variants(model, chip_numbers(self.numbers[name], model, self.unit(name)))
        del every["meets"]
        if self.trained is not None:
            euler = ideal(self.trained, layers(self.trained), name)
            names = ("decay", "current_decay", "bias", "current_bias")
            every[EULER] = replace(model, **{k: getattr(euler, k) for k in names})
        return every

    def answers(
        self,
        name: str,
        arriving: tuple[Array, Array],
        stretch: int = 1,
        progress: Progress = quiet,
    ) -> dict[str, Recording]:
        """Return the output by variant; between two inputs are `stretch` - 1 empty steps."""
        node, unit = self.network[name], self.unit(name)
        assert type(node) is Population
        every, one = self.each(name), np.ones(())
        units = [unit if cause == ALL else one for cause in every]
        work = Variants(node, list(every.values()), units)
        by_model, by_chip = arriving
        parts: dict[str, list[Recording]] = {cause: [] for cause in every}
        silence = np.zeros((len(every), *node.shape))
        for first in range(0, len(by_model), CHUNK):
            out: list[Array] = []
            for here, there in zip(
                by_model[first : first + CHUNK], by_chip[first : first + CHUNK], strict=True
            ):
                by = {"weights": there / unit, ALL: there}
                out.append(work.step(np.stack([by.get(cause, here) for cause in every])))
                out += [work.step(silence) for _ in range(stretch - 1)]
            for i, cause in enumerate(every):
                frames = np.stack([x[i] for x in out])
                whole = frames if node.spikes else frames / np.broadcast_to(units[i], node.shape)
                kind = np.int64 if node.spikes else np.float32
                parts[cause].append(Recording.from_dense(whole.astype(kind)))
            progress(min(first + CHUNK, len(by_model)), len(by_model))
        return {cause: joined(done) for cause, done in parts.items()}

    def chip(
        self,
        name: str,
        recording: Recording,
        outputs: Mapping[str, Recording],
        progress: Progress = quiet,
    ) -> Recording | None:
        """Run the chip's layer with these inputs; return its output as the model's."""
        program = self.bundle.program
        part = isolated(program, name, recording, Trace("given", outputs, {}, {}))
        if part is None:
            return None
        origin, node = program.origin(name), self.network[name]
        trace = emulating(self.bundle, progress)(
            part.program, part.recording, recording.steps + program.latency
        )
        output = trace.outputs[name].shifted(origin.latency).until(recording.steps)
        assert type(node) is Population
        return output if node.spikes else in_units(output, origin.unit)


def _as_model(source: str) -> None:
    """Take a pool of the chip as the model's."""


def rewritten(network: Network, bundle: Bundle) -> Network:
    """Return the network that was lowered into this bundle."""
    for step in bundle.steps:
        network, _ = parse(step.rewrite).apply(network)
    return network


def shares(errors: Mapping[str, float], chip: float | None) -> dict[str, float]:
    """Return the error by each cause, from those of the variants and of the chip's layer."""
    base = errors[MODEL]
    shares_found = {EULER: errors[EULER] - base} if EULER in errors else {}
    shares_found |= {named: errors[cause] - base for cause, named in NAMES.items()}
    if chip is not None:
        shares_found[ARITHMETIC] = chip - max(errors[ALL], base)
    return {cause: max(share, 0.0) for cause, share in shares_found.items()}
