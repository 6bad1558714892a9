"""Ranges of signals on this machine: the bound over all inputs, and the maximum on data.

A gain has limits: thresholds, resets and potentials must be held, and, where it is known
what arrives (data, or the bound behind and in layers without spikes), sums and currents too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

import numpy as np

from nrf_deploy.compiler import checks
from nrf_deploy.compiler.quantize.signal_bounds import (
    MARGIN,
    Reach,
    Seen,
    analogue,
    over,
    payload_levels,
    seen_on,
    sum_seen,
    through,
    usual,
    value_reach,
)
from nrf_deploy.diagnostics.findings import Finding, error, info, warning
from nrf_deploy.engines.reference import run
from nrf_deploy.ir.layer_view import Layers, Link
from nrf_deploy.ir.network import Array, Conv, Input, Linear, Network, Population, Scale, SumPool
from nrf_deploy.ir.recording import Recording

from ..arithmetic.additions import HIGHEST, largest_count
from ..settings import PREFIX, RANGES, Settings
from .units import Unit

ROOM = 0.9
"""Share of a range that is used: the rest is for rounded weights."""
ROOM_SHARE = 4
"""One of this many bits of a potential is for what lies beyond the threshold (far below rest, as
a rule), where the bound over all inputs is further away than that."""
CALIBRATE = "calibrate on typical data (--calibrate), or "
LIKE_DATA = "nothing, for input like the data; for denser input "


@dataclass(eq=False)
class Ranges:
    """In the model's units: `peaks` what a stop sends, `sums` what arrives at neurons,
    `values` the potentials of those without threshold. `units`: payload units of a float one."""

    network: Network
    view: Layers
    units_of: Mapping[str, Unit]
    peaks: dict[str, Array] = field(default_factory=dict)
    sums: dict[str, Reach] = field(default_factory=dict)
    values: dict[str, Reach] = field(default_factory=dict)
    units: dict[str, Array] = field(default_factory=dict)

    @staticmethod
    def of(
        network: Network,
        view: Layers,
        units_of: Mapping[str, Unit],
        peak: int,
        calibration: Recording | None,
    ) -> Ranges:
        self = Ranges(network, view, units_of)
        seen = seen_on(network, view, list(units_of), calibration)
        for stop in view.stops:
            self.peaks[stop] = np.full(network[stop].shape, self._first(stop, peak), np.float64)
        for stop in view.stops:
            if type(network[stop]) is Input:
                continue
            arriving = self.bound(stop)
            if stop not in units_of:
                self.peaks[stop] = arriving
                continue
            self.sums[stop] = Reach(arriving, sum_seen(view.into(stop), seen))
            unit = units_of[stop]
            if not unit.spiking:
                self.values[stop] = value_reach(self._value(stop), seen.get(stop))
                self.peaks[stop] = self.values[stop].allowed
            elif unit.keeps:
                self.values[stop] = value_reach(
                    self._value(stop), _potential(network, stop, calibration)
                )
            if unit.firing is not None and unit.many:
                counts = largest_count(unit.firing, self._counted(stop))
                self.peaks[stop] = Reach(
                    counts, seen[stop].largest if stop in seen else None
                ).allowed
        return self

    def _first(self, stop: str, peak: int) -> float:
        """Return a stop's peak before its sources are known: in loops, which hold spikes only.

        Several spikes a step have no other bound there than the rule's own.
        """
        node, unit = self.network[stop], self.units_of.get(stop)
        if type(node) is SumPool:
            return float(np.prod(node.window))
        if unit is not None and unit.many and unit.firing is not None:
            limit = unit.firing.most
            return np.inf if limit is None else float(np.max(limit))
        return peak if type(node) is Input else 1

    def bound(self, stop: str, weights: Mapping[str, Array] | None = None) -> Array:
        """Return the largest sums, of floats, or of these integers and payloads."""
        shape = self.network[stop].shape
        total = np.zeros(shape)
        for link in self.view.into(stop):
            frame = self.peaks[link.source]
            own = None
            if weights is not None and stop in self.units_of:
                frame, own = frame * self.units.get(link.source, 1.0), weights[link.name]
            total += through(link, np.minimum(frame, 1e30), own).reshape(shape)
        return total

    def _value(self, name: str) -> Array:
        """Return a bound of |v|: its start, or the steady state of the largest input."""
        unit = self.units_of[name]
        form = unit.form
        pushed = form.drive * self.sums[name].allowed / np.where(
            form.current_decay > 0, form.current_decay, 1
        ) + np.abs(unit.rest + unit.bias)
        steady = np.divide(
            pushed, form.decay, out=np.full(pushed.shape, np.inf), where=form.decay > 0
        )
        return np.maximum(np.abs(form.first), np.where(pushed > 0, steady, 0.0))

    def _counted(self, name: str) -> Array:
        """Return a bound of the potential at the test of neurons with several spikes a step.

        If each spike takes a threshold off, less than one is left after a step without a limit.
        """
        unit = self.units_of[name]
        form, rule = unit.form, unit.firing
        assert rule is not None
        other = (rule.subtracts, rule.most, rule.adaptation)
        plain = rule.reset == "subtract" and all(x is None for x in other)
        if not plain or form.threshold is None:
            return np.minimum(self._value(name), 1e30)
        memory = np.where(form.current_decay > 0, form.current_decay, 1)
        pushed = form.drive * self.sums[name].bound / memory + np.abs(unit.rest + unit.bias)
        started = np.maximum(np.abs(form.first), form.threshold)
        return np.asarray(np.minimum(started + pushed, 1e30))

    def unbounded(self) -> Iterator[Finding]:
        for name, reach in self.values.items():
            keeps = self.units_of[name].keeps
            if not np.all(reach.allowed < 1e30):
                yield error(
                    "EMULATOR-UNBOUNDED",
                    f"the potential of {self.network[name].kind} can grow for ever",
                    layer=name,
                    why="no gain is small enough for every input",
                    fix="give typical input of full length with --calibrate, or use "
                    + ("a leak or a reset" if keeps else "LI with a leak"),
                )

    # --- what limits a gain --------------------------------------------------

    def cap(self, name: str, s: Settings) -> Array:
        """Return the largest gain, a neuron."""
        return np.asarray(np.minimum.reduce(list(self.caps(name, s).values())))

    def caps(self, name: str, s: Settings) -> dict[str, Array]:
        """Return the largest gain that each part of the machine allows, a neuron."""
        unit = self.units_of[name]
        form, fraction = unit.form, 2**s.fraction_bits
        values = np.maximum(np.abs(form.first), np.abs(unit.rest) + np.abs(unit.bias))
        caps = {}
        if form.threshold is not None:
            size = np.abs(form.threshold)
            caps["threshold"] = over(form.drive * (s.largest_threshold - 1) / fraction, size)
            reach = np.minimum(self._value(name), 2 ** (s.state_bits / ROOM_SHARE) * size)
            highest = size + unit.lift(reach)
            values = np.maximum.reduce([values, 2 * size, np.abs(unit.v_reset), reach, highest])
            values = np.maximum(values, unit.placed)
        if name in self.values:
            values = np.maximum(values, self.values[name].allowed)
        caps["potential"] = over(form.drive * s.largest_state / fraction, values)
        arriving = self.arriving(name)
        if arriving is not None:
            caps["sum"] = over(np.asarray(s.largest_sum), arriving)
            memory = np.maximum(form.current_decay, 1e-9)
            caps["current"] = over(memory * s.largest_state / fraction, arriving)
        return {part: np.asarray(ROOM * cap) for part, cap in caps.items()}

    def arriving(self, name: str) -> Array | None:
        """Return the sums that a neuron must hold; None where only a far bound is known."""
        graded = any(
            analogue(self.network, s) for s in (name, *(k.source for k in self.view.into(name)))
        )
        return self.sums[name].allowed if graded or self.sums[name].seen is not None else None

    # --- payloads --------------------------------------------------------------

    def sent(self, name: str, scale: Array, s: Settings) -> tuple[Array, Array]:
        """Return the shift and the payload units of a float unit of a layer that sends its v.

        A neuron with a slow tau counts more units of v, and shifts more of them out.
        """
        largest = np.maximum(scale * float(self.values[name].allowed.max(initial=0)), 1)
        levels = min(self._levels(name, s), default=s.largest_payload)
        wanted = np.rint(np.log2(largest / levels))
        needed = np.ceil(np.log2(largest / s.largest_payload))
        shift = np.clip(np.maximum(wanted, needed), 0, 31).astype(np.int64)
        unit = scale / 2.0**shift
        self.units[name] = unit
        for stop in self.view.stops:  # what only passes it on
            into = self.view.into(stop)
            if len(into) == 1 and into[0].source in self.units and stop not in self.units_of:
                self.units[stop] = _passed(self.units[into[0].source], self.network[stop].shape)
        return shift, unit

    def _levels(self, name: str, s: Settings) -> Iterator[float]:
        """Yield the payload units of the largest value that each link behind asks for.

        The gain is the largest that the layer there allows.
        """
        for link in self._behind(name):
            gain = min(float(self.cap(t, s).min()) for t in link.targets)
            yield payload_levels(link, gain, self.values[name], s.largest_weight)

    def _behind(self, name: str) -> Iterator[Link]:
        """Yield the links to the next neurons, seen through what only passes a payload on."""
        for link in self.view.links:
            if link.source == name and link.targets[0] in self.units_of:
                yield link
            elif link.source == name and link.targets[0] not in (name, *self.units_of):
                yield from self._behind(link.targets[0])

    # --- after rounding ----------------------------------------------------------

    def judged(self, name: str, weights: Mapping[str, Array], s: Settings) -> Iterator[Finding]:
        """Report coarse payloads, and sums or currents that can leave their range."""
        yield from self._coarse(name)
        unit = self.units_of[name]
        bound = float(self.bound(name, weights).max(initial=0))
        memory = float(unit.form.current_decay.min(initial=1)) or 1e-9
        state = bound * 2**s.fraction_bits / memory
        parts = [
            ("the sum that arrives", bound, s.largest_sum, "sum_bits", s.sum_bits),
            ("the current", state, s.largest_state, "state_bits", s.state_bits),
        ]
        if unit.outgrows and (higher := self._outgrown(unit)) > 0:
            top = state * higher
            parts.append(("the potential", top, s.largest_state, "state_bits", s.state_bits))
        if np.all(unit.form.decay > 0) and (higher := self._risen(unit)) > 0:
            top = state / float(unit.form.decay.min(initial=1)) * higher
            who = "the potential, or the threshold that rises,"
            parts.append((who, top, s.largest_state, "state_bits", s.state_bits))
        beyond = [part for part in parts if part[1] > part[2]]
        if not beyond:
            sums, current = (f"{value:.4g} of {limit}" for _, value, limit, *_ in parts[:2])
            what = f"over all inputs sums reach {sums}, input {current}"
            yield info("EMULATOR-RANGE", what, layer=name)
            return
        does = "wraps" if s.overflow == "wrap" else "saturates"
        texts = (
            f"{who} would {f'be {value:,.0f}' if np.isfinite(value) else 'grow without end'}, "
            f"{bits} {key} hold {limit:,}: it {does}"
            for who, value, limit, key, bits in beyond
        )
        seen = self.sums[name].seen is not None
        yield warning(
            "EMULATOR-RANGE",
            f"if every input fires at once {'; '.join(texts)}",
            layer=name,
            why=f"room is kept for {MARGIN} times what the calibration data show, not for any input"
            if seen
            else "without calibration data bits are given to weights, not to such input",
            fix=_more_bits(beyond, LIKE_DATA if seen else CALIBRATE),
        )

    def _risen(self, unit: Unit) -> float:
        """Return how far a threshold rises, in units of the largest potential: 1 at least.

        0 where no threshold rises: there a spike takes the potential down in time.
        """
        form = unit.form
        memory = np.where(form.current_decay > 0, form.current_decay, 1)
        reach = form.drive * self.sums[unit.node.name].bound / memory / form.decay
        lift = unit.lift(reach)
        if form.threshold is None or not np.any(lift):
            return 0.0
        top = np.maximum(np.abs(form.threshold) + lift, reach)
        return float(np.divide(top, reach, out=np.ones(top.shape), where=reach > 0).max())

    def _outgrown(self, unit: Unit) -> float:
        """Return a bound of a potential that rises although it spikes, in inputs of a step.

        A step adds up to `pushed` and takes off what its spikes take; the leak ends the rise.
        """
        form, rule = unit.form, unit.firing
        assert rule is not None
        memory = np.where(form.current_decay > 0, form.current_decay, 1)
        pushed = form.drive * self.sums[unit.node.name].bound / memory
        limit = 1.0 if rule.most is None else rule.most.astype(np.float64)
        taken = np.zeros(pushed.shape) if unit.keeps else rule.taken * limit
        left = np.maximum(pushed + np.abs(unit.rest + unit.bias) - taken, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            risen = np.where(left > 0, left / form.decay, 0)
            top = np.maximum(risen, np.abs(rule.threshold) + 2 * pushed) / pushed
        return float(np.where(pushed > 0, top, 0).max(initial=0))

    def _coarse(self, name: str) -> Iterator[Finding]:
        if name not in self.units or not (allowed := self.values[name].allowed).any():
            return
        levels = float((self.units[name] * allowed.max()).min())
        yield from checks.payload(
            PREFIX,
            name,
            levels,
            why="payload, weight and fan-in share the bits of a sum and of a potential",
            fix="calibrate on typical data (--calibrate), or set more message_bits, sum_bits "
            "and state_bits",
        )


def _potential(network: Network, name: str, calibration: Recording | None) -> Seen | None:
    """Return the magnitudes on the data of a potential that no spike resets."""
    if calibration is None:
        return None
    v = run(network, calibration, record=(), states=(name,)).states[name]["v"]
    return Seen(float(np.abs(v).max(initial=0)), usual(v))


def _more_bits(beyond: Sequence[tuple[str, float, int, str, int]], otherwise: str) -> str:
    """Return `otherwise`, and the bits that would hold this where a machine can have them."""
    needed = {
        key: ceil(value).bit_length() + 1 if np.isfinite(value) else HIGHEST
        for _, value, _, key, _ in beyond
    }
    wide = " and ".join(f"{key} to at least {bits}" for key, bits in needed.items())
    enough = f"set {wide} (enough for these weights and fraction_bits)"
    if any(bits > RANGES[key][1] for key, bits in needed.items()):
        enough = "train smaller weights"
    return f"{otherwise}{enough}"


def _passed(unit: Array, shape: tuple[int, ...]) -> Array:
    """Return the unit behind a pool or a delay; only a constant one fits a pool's shape."""
    if unit.shape == shape:
        return unit
    each = unit.reshape(len(unit), -1)[:, :1]
    return np.broadcast_to(each.reshape(-1, *[1] * (len(shape) - 1)), shape)


def per_payload(ranges: Ranges, link: Link, rows: Array) -> Array | None:
    """Return rows of float weights for payloads; None where one weight needs several values."""
    unit = ranges.units.get(link.source)
    if unit is None:
        return rows
    if np.all(unit == unit.flat[0]):
        return np.asarray(rows / unit.flat[0])
    if type(link.node) is Linear:
        return np.asarray(rows / unit.ravel())
    if link.node is None or type(link.node) is Scale:
        return np.asarray(rows / unit.reshape(len(rows), -1))
    each = unit.reshape(len(unit), -1)
    if type(link.node) is Conv and np.all(each == each[:, :1]):
        groups = link.node.groups
        a_row = np.repeat(each[:, 0].reshape(groups, -1), len(rows) // groups, axis=0)
        return np.asarray(rows / np.repeat(a_row, int(np.prod(link.node.kernel)), axis=1))
    return None


def analogue_inside(network: Network, view: Layers, name: str) -> bool:
    node = network[name]
    return (
        type(node) is Population
        and not node.spikes
        and any(link.source == name for link in view.links)
    )
