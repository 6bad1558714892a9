"""Layers whose value is their potential: I, LI and CubaLI.

On the chip such a layer is a LIF with the highest threshold there is, 131071, which must
never be reached. At an output its v is read as it is. Inside a network each neuron sends
the payload v / 2^shift in each step (Loihi 2 only; v is held in full, only the payload is
rounded). One float unit of v is `unit` = 64 S / 2^shift payload units, so the weights behind it
hold g * w / unit: the sums again count g a float unit, as those of spikes do.

A current has 24 bits, of which 6 lie below a weight unit: weight times payload, summed, must
stay below 2^17. So what a layer can reach decides its gain, and how its 17 bits are shared
between payload and weights behind it. It is known in two ways: a bound over all inputs
(interval arithmetic), and what was seen on the calibration data, of which MARGIN times is
kept free. The smaller one counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from nrf_deploy.compiler import checks
from nrf_deploy.compiler.quantize.neuron import Neuron
from nrf_deploy.compiler.quantize.signal_bounds import (
    MARGIN,
    Reach,
    analogue,
    feeds_on,
    over,
    payload_levels,
    seen_on,
    sum_seen,
    through,
    value_reach,
)
from nrf_deploy.diagnostics.findings import Finding, TargetError, error, info, warning
from nrf_deploy.ir.layer_view import Layers, Link
from nrf_deploy.ir.network import (
    Array,
    AvgPool,
    Conv,
    Input,
    Linear,
    Network,
    Population,
    Scale,
    SumPool,
    exact,
)
from nrf_deploy.ir.recording import Recording

from ..arithmetic.integers import VTH_MAX
from ..chip import PREFIX, STATE_LIMIT, STATE_SHIFT
from .constant_input import ConstantInput, constant_input
from .subtracting import reaches, unbounded

ROOM = 0.9  # of a range is used: the rest is for rounded weights
LARGEST_WEIGHT = 254

Rates = Mapping[str, Mapping[str, Array | int]]


@dataclass(eq=False)
class Reaches:
    """Ranges of analogue layers (`value`), and of the sums at them and behind them.

    `peaks` holds what each stop sends at most, in the model's units; `units` the payload
    units of one float unit, once a layer's gain is known.
    """

    network: Network
    view: Layers
    forms: Mapping[str, Neuron]
    rates: Rates
    value: dict[str, Reach] = field(default_factory=dict)
    mirrored: dict[str, Reach] = field(default_factory=dict)
    arrives: dict[str, Reach] = field(default_factory=dict)
    peaks: dict[str, Array] = field(default_factory=dict)
    units: dict[str, Array] = field(default_factory=dict)

    @staticmethod
    def of(
        network: Network,
        view: Layers,
        forms: Mapping[str, Neuron],
        rates: Rates,
        peak: int,
        calibration: Recording | None,
    ) -> Reaches:
        self = Reaches(network, view, forms, rates)
        for stop in view.stops:
            at_most = peak if exact(network[stop], Input) else 1
            self.peaks[stop] = np.full(network[stop].shape, at_most, np.float64)
        concerned = [s for s in view.stops if self._concerned(s)]
        seen = seen_on(network, view, concerned, calibration) if concerned else {}
        for stop in view.stops:
            if exact(network[stop], SumPool, AvgPool):
                self.peaks[stop] = self._bound(stop)
            if stop not in concerned or stop not in forms:
                continue
            arriving = self._bound(stop)
            self.arrives[stop] = Reach(arriving, sum_seen(view.into(stop), seen))
            if analogue(network, stop):
                self.value[stop] = value_reach(self._value(stop), seen.get(stop))
                self.peaks[stop] = self.value[stop].allowed
        const = {name: self._constant(name).arrives for name in forms}
        self.mirrored = reaches(network, view, forms, rates, const, self.peaks, calibration)
        return self

    def _concerned(self, stop: str) -> bool:
        sources = [link.source for link in self.view.into(stop)]
        return any(analogue(self.network, s) for s in (stop, *sources))

    def _bound(self, stop: str) -> Array:
        shape = self.network[stop].shape
        total = np.zeros(shape) + (self._constant(stop).most if stop in self.forms else 0)
        for link in self.view.into(stop):
            total += through(link, self.peaks[link.source]).reshape(shape)
        return total

    def _constant(self, name: str) -> ConstantInput:
        node = self.network[name]
        assert type(node) is Population
        return constant_input(self.view, node, self.forms[name])

    def _value(self, name: str) -> Array:
        """Return a bound of |v|: its start, or the steady state of the largest input."""
        form, rate = self.forms[name], self.rates[name]
        steady = np.abs(self._constant(name).register)
        pushed = form.drive * self.arrives[name].allowed / _memory(rate["du"]) + steady
        leak = np.broadcast_to(np.asarray(rate["dv"]) / 4096, pushed.shape)
        steady = np.divide(pushed, leak, out=np.full(pushed.shape, np.inf), where=leak > 0)
        return np.maximum(np.abs(form.first), np.where(pushed > 0, steady, 0.0))

    def cap(self, name: str) -> Array | None:
        """Return the largest gain, a neuron, with which neither current nor potential overflows."""
        form = self.forms[name]
        if name in self.mirrored:
            return ROOM * over(VTH_MAX * form.drive, self.mirrored[name].allowed)
        if name not in self.arrives:
            return None
        cap = over(VTH_MAX * _memory(self.rates[name]["du"]), self.arrives[name].allowed)
        if name in self.value:
            cap = np.minimum(cap, over(VTH_MAX * form.drive, self.value[name].allowed))
        return ROOM * cap

    def unbounded(self, name: str) -> Iterator[Finding]:
        """Refuse an integrator whose sum has no bound, where no data show its range."""
        if name in self.mirrored:
            node = self.network[name]
            assert type(node) is Population
            yield from unbounded(node, self.mirrored[name])
        if name in self.value and not np.isfinite(self.value[name].allowed).all():
            yield error(
                "LOIHI-LI-UNBOUNDED",
                f"the potential of {self.network[name].kind} can grow for ever",
                layer=name,
                why=f"it must stay below {VTH_MAX}, where it would spike, and no gain is "
                "small enough for every input",
                fix="give typical input of full length with --calibrate, or use LI with a leak",
            )

    # --- payloads ----------------------------------------------------------

    def payload(self, name: str, scale: Array) -> dict[str, Array]:
        """Return `shift` and `unit` of a layer whose float unit of v is `scale` integers."""
        scale = np.broadcast_to(scale, self.network[name].shape)
        if not feeds_on(self.view, name):
            return {"shift": np.zeros(scale.shape, np.int64), "unit": scale}
        reach = float(self.value[name].allowed.max())
        each = [self._levels(link, name) for link in self.view.links if link.source == name]
        wanted = min(each) / max(reach, 1e-300)
        shift = np.clip(np.rint(np.log2(scale / wanted)), 0, 23).astype(np.int64)
        self.units[name] = scale / 2.0**shift
        return {"shift": shift, "unit": self.units[name]}

    def _levels(self, link: Link, name: str) -> float:
        """Return the payload units of the largest value, at the largest gain of the targets."""
        gains = []
        for target in link.targets:
            form, cap = self.forms[target], self.cap(target)
            gains += [] if cap is None else [float(cap.min())]
            if form.threshold is not None:
                gains.append(float(over(VTH_MAX * form.drive, form.threshold).min()))
        return payload_levels(link, min(gains, default=1.0), self.value[name], LARGEST_WEIGHT)

    def per_payload(self, link: Link, rows: Array) -> Array:
        """Return rows of float weights for the payloads that stand for the model's values."""
        unit = self.units.get(link.source)
        if unit is None:
            if analogue(self.network, link.source):
                raise TargetError(_order(link))
            return rows
        if np.all(unit == unit.flat[0]):
            return np.asarray(rows / unit.flat[0])
        node = link.node
        if exact(node, Linear):
            return rows / unit.ravel()
        if node is None or exact(node, Scale):
            return rows / unit.reshape(len(rows), -1)
        each = unit.reshape(len(unit), -1)
        if exact(node, Conv) and np.all(each == each[:, :1]):
            per_group = each[:, 0].reshape(node.groups, -1)
            per_channel = np.repeat(per_group, len(rows) // node.groups, 0)
            taps = int(np.prod(node.weight.shape[2:]))
            return np.asarray(rows / np.repeat(per_channel, taps, axis=1))
        raise TargetError(checks.graded_units(PREFIX, link.source, link.name))

    def sent(self, name: str, values: Array) -> Array:
        """Return the model's values of a layer as payloads."""
        unit = self.units.get(name)
        return values if unit is None else np.rint(values * unit).astype(np.int64)

    def _payload_said(self, name: str, shift: Array) -> Iterator[Finding]:
        """Report the payload of a layer."""
        if name not in self.units:
            return
        levels = float((self.units[name] * self.value[name].allowed).max())
        yield from checks.payload(
            PREFIX,
            name,
            levels,
            why="payload, weight and fan-in share 17 bits",
            fix="calibrate on typical data, or use a smaller fan-in behind this layer",
            sent=f"v / 2^{shift.min()}{f'..{shift.max()}' if shift.max() > shift.min() else ''}",
        )

    # --- after rounding ------------------------------------------------------

    def judged(
        self,
        name: str,
        integers: Mapping[str, Array],
        scale: Array,
        params: Mapping[str, Array | int],
    ) -> Iterator[Finding]:
        """Report whether the integers can overflow, by the bound over all inputs and the data."""
        if name not in self.value:
            return
        yield from self._payload_said(name, np.asarray(params["shift"]))
        shape, reach, form = self.network[name].shape, self.value[name], self.forms[name]
        const = self._constant(name)
        arriving = np.ceil(const.most * scale * form.drive / 2**STATE_SHIFT)
        for link in self.view.into(name):
            frame = np.abs(self.sent(link.source, self.peaks[link.source]))
            arriving = arriving + through(link, frame, integers[link.name]).reshape(shape)
        u = arriving * 2**STATE_SHIFT / _memory(params["du"])
        bias = np.abs(const.register * scale)
        leak = np.broadcast_to(np.asarray(params["dv"]) / 4096, shape)
        v = np.divide(u + bias, leak, out=np.full(shape, np.inf), where=leak > 0)
        v = float(np.where(u + bias > 0, v, 0).max())
        what = f"|v| is {reach}; as integers at most {v:.4g} of {VTH_MAX << STATE_SHIFT}"
        if v < VTH_MAX << STATE_SHIFT and u.max() <= STATE_LIMIT:
            yield info("LOIHI-LI-RANGE", what + ": it can never spike", layer=name)
        elif reach.seen is not None:
            yield warning(
                "LOIHI-LI-RANGE",
                what,
                layer=name,
                why=f"a potential that reaches its limit starts again at 0; {MARGIN} times what "
                "the calibration data show is kept free",
                fix="calibrate on the densest input that you expect",
            )
        else:
            yield error(
                "LOIHI-LI-RANGE",
                what,
                layer=name,
                why="a potential that reaches its limit would start again at 0",
                fix="give typical input with --calibrate, or use a smaller fan-in or tau",
            )


def _order(link: Link) -> Finding:
    return error(
        "LOIHI-GRADED-ORDER",
        f"what it feeds shares its units with a layer before it (through {link.name!r})",
        layer=link.source,
        why="the units of its payload must be known first",
        fix="give the layers behind it connections of their own",
    )


def _memory(du: Array | int) -> Array:
    """Return the part of a current that is lost in a step."""
    return np.asarray((np.asarray(du) + 1) / 4096)
