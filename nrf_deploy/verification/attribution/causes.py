"""Causes of a layer's errors, and the findings about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nrf_deploy.diagnostics.findings import Finding, info, warning

CAUSE, UNATTRIBUTED = CODES = ("VERIFY-CAUSE", "VERIFY-UNATTRIBUTED")


ELSEWHERE = (
    "the program holds its numbers in another form than the model, or what feeds it was not "
    "recorded"
)


@dataclass(frozen=True)
class LayerCauses:
    """Errors of a layer fed by the reference: mismatches per spike of the model (without spikes
    the relative root mean square error).

    `error` is the program's, `causes` has that of each cause in isolation. `shift` is by how many
    steps the layer is late. `unit` is the unit of errors: "places" or "values".
    """

    layer: str
    spikes: int
    error: float
    causes: Mapping[str, float]
    shift: int
    unit: str

    @property
    def dominant(self) -> str | None:
        """The cause with the largest share; None if there is no error."""
        largest = max(self.causes, key=lambda c: self.causes[c], default=None)
        return largest if largest is not None and self.causes[largest] > 0 else None


FIX = {
    "decay": "choose time constants that the chip can hold (check names its roundings)",
    "threshold": "compare the model's thresholds and its comparison with the bundle's (inspect)",
    "bias": "compare the model's biases and v_leak with the bundle's (inspect)",
    "reset": "train with the reset that the chip has",
    "pooling": "compare the program's pool with the model's window, stride and channels (inspect)",
    "latency": "look at the delays of the synapses that lead to it, and at its stated latency",
}


@dataclass(frozen=True)
class Ways:
    """Options that can still be changed for a bundle. `coarse` are layers whose weights have fewer
    bits, by a scheme, than the chip has. `calibrated`: the bundle was compiled with data.
    `by_event`: the chip has no time steps."""

    coarse: frozenset[str] = frozenset()
    calibrated: bool = False
    by_event: bool = False

    def fix(self, cause: str, *layers: str) -> str:
        """Return the fix for a cause that these layers share."""
        ways = {
            "weights": self._weights(layers),
            "saturation": self._room(),
            "order": NO_STEP,
            "arithmetic": NO_STEP
            if self.by_event
            else "a larger gain leaves less to rounding (gain in --scheme)",
        }
        rewrite = "leave its --allow out, if the chip can do without it"
        return ways.get(cause) or FIX.get(cause, rewrite)

    def bits(self, *layers: str) -> str:
        few = self.coarse & set(layers)
        return "give the layer more weight_bits in --scheme S.toml" if few else ""

    def _weights(self, layers: Sequence[str]) -> str:
        data = "" if self.calibrated else CALIBRATE
        fixes = either(self.bits(*layers), data)
        return fixes or "the chip has no more bits for them: train with weights of more equal size"

    def _room(self) -> str:
        return either("" if self.calibrated else CALIBRATE, "lower the gain (gain in --scheme)")


NO_STEP = (
    "no option removes it: the chip has no time step and takes events one by one, and a shorter "
    "--bin changes the model as well; judge by the task (--labels), or train with a shorter step"
)
CALIBRATE = "compile with --calibrate REC on data like this input"


def either(*ways: str) -> str:
    """Join the fixes that are not empty to one sentence."""
    there = [way for way in ways if way]
    return ", or ".join([", ".join(there[:-1]), there[-1]] if len(there) > 1 else there)


@dataclass(frozen=True)
class Attribution:
    layers: tuple[LayerCauses, ...]
    left_out: Mapping[str, str]  # layer -> why it was not attributed
    ways: Ways = Ways()

    def findings(self) -> Iterator[Finding]:
        for layer in self.layers:
            if layer.dominant is not None and layer.error:
                yield self._said(layer)
        yield from self._unattributed()

    def told(self) -> Iterator[Finding]:
        """Yield the findings for a text: layers with the same cause and fix as one."""
        for layers in self._alike().values():
            yield self._said(layers[0]) if len(layers) == 1 else self._said_of_all(layers)
        yield from self._unattributed()

    def _alike(self) -> dict[tuple[str, int], list[LayerCauses]]:
        alike: dict[tuple[str, int], list[LayerCauses]] = {}
        for layer in self.layers:
            cause = layer.dominant
            if cause is not None and layer.error:
                late = layer.shift if cause == "latency" else 0
                alike.setdefault((cause, late), []).append(layer)
        return alike

    def _said(self, layer: LayerCauses) -> Finding:
        cause = layer.dominant
        assert cause is not None
        shares = sorted(layer.causes.items(), key=lambda c: -c[1])
        others = ", ".join(f"{c} {e:.3g}" for c, e in shares if e and c != cause)
        of = "places a spike" if layer.unit == "places" else "of its values"
        return _finding(
            cause,
            f"fed by the reference it is {layer.error:.3g} {of} off; most by "
            f"{cause}{_late(layer, cause)}: "
            f"{layer.causes[cause]:.3g} alone{f'; {others}' if others else ''}",
            self.ways.fix(cause, layer.layer),
            layer.layer,
        )

    def _said_of_all(self, layers: Sequence[LayerCauses]) -> Finding:
        """Name the worst layer with its number; the others' numbers are in the table."""
        cause = layers[0].dominant
        assert cause is not None
        worst, *others = sorted(layers, key=lambda x: -x.causes[cause])
        names = ", ".join(repr(layer.layer) for layer in others)
        return _finding(
            cause,
            f"fed by the reference, {len(layers)} layers are off most by "
            f"{cause}{_late(worst, cause)}; worst: layer {worst.layer!r}, "
            f"{worst.causes[cause]:.0%} by {cause} ({_unit(worst)}); then {names}",
            self.ways.fix(cause, *(layer.layer for layer in layers)),
        )

    def _unattributed(self) -> Iterator[Finding]:
        for name, why in self.left_out.items():
            yield info(
                UNATTRIBUTED,
                "not attributed: its error was not divided among causes",
                why=why,
                layer=name,
            )


WHY = {
    "weights": "its weights on the chip's grid: a rounding, or not those of the model",
    "decay": "its decays in the chip's steps: a rounding, or not those of the model",
    "threshold": "its thresholds, or how they are met (v > threshold or v >= threshold)",
    "bias": "what is added in every step: a rounding, or a bias that was lost",
    "reset": "what it starts from after a spike",
    "saturation": "sums or potentials that do not fit into the chip's bits",
    "pooling": "what the chip makes of the pool before it: other places, or sums that do not fit",
    "latency": "it comes later or earlier than the program states",
    "order": "events of a step come one by one, and are not added up: what would have held a "
    "neuron back can come too late",
    "arithmetic": "what the chip does within a step: rounding of its states, sums on their way, "
    "several spikes",
}


def _late(layer: LayerCauses, cause: str) -> str:
    return f" ({layer.shift:+d} steps)" if cause == "latency" else ""


def _unit(layer: LayerCauses) -> str:
    return "mismatches per spike" if layer.unit == "places" else "of its values"


def _finding(cause: str, what: str, fix: str, layer: str | None = None) -> Finding:
    return (warning if cause == "latency" else info)(
        CAUSE,
        what,
        why=WHY.get(cause, "a rewrite that changes spikes, which was allowed"),
        fix=fix,
        layer=layer,
    )
