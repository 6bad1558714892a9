"""A layer that is replayed step by step beside the outputs of its framework.

Sums of a connection may be rounded in another order here than in the framework. So a spike may
differ where the potential is within 1e-5 of the threshold (of 1e-5 thresholds, above 1): the
layer then continues as in the framework, and the place is counted. Where every sum is exact, no
such place is allowed. Potentials of the framework, where it shows them, may be 1e-5 apart; the
next step starts from them, so that rounding does not grow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nrf_deploy.engines.reference.neurons import neuron
from nrf_deploy.ir.network import Array, Node, Population
from nrf_deploy.ir.witness_faults import sends_spikes
from nrf_deploy.neurons import Spikes

NEAR = 1e-5
NUDGES = (1e-2, 1e-1, 1.0)
"""Parts of the tolerance; the smallest that explains a spike is used."""


@dataclass(frozen=True)
class Place:
    """An output of one neuron in one step."""

    layer: str
    neuron: tuple[int, ...]
    step: int
    variable: str
    theirs: float
    ours: float
    potential: float | None = None
    """Before the test, for neurons that spike."""
    threshold: float | None = None

    @property
    def what(self) -> str:
        """The two outputs, and how near the potential is to the threshold."""
        by = f"{self.variable} {self.theirs:g} in the framework, {self.ours:g} here"
        if self.potential is None:
            return by
        return f"{by}, at v = {self.potential:.7g} for a threshold of {self.threshold:.7g}"

    @property
    def words(self) -> str:
        """The place and the two outputs."""
        return f"layer {self.layer!r}, neuron {self.neuron}, step {self.step}: {self.what}"


class Stepper:
    """A node, its state, and the places where it differs from what was recorded.

    Args:
        node: the node
        dt: the time step of the network
        sums_exact: whether its input has no rounding, so that no place may differ
    """

    def __init__(self, node: Node, dt: float, sums_exact: bool) -> None:
        self.node = node
        self.near: list[Place] = []
        self.near_count = 0
        self.first: Place | None = None
        self.steps = 0
        self._spikes = sends_spikes(node)
        self._slack = 0.0 if sums_exact else NEAR
        self._population = _Population(node, dt) if type(node) is Population else None

    def __call__(self, x: Array, theirs: Array, potentials: Array | None = None) -> None:
        """Run a chunk of input beside the recorded outputs, up to the first place that differs."""
        for t in range(len(x)):
            if self.first is not None:
                return
            self._step(x[t], theirs[t], None if potentials is None else potentials[t])
            self.steps += 1

    def _step(self, x: Array, theirs: Array, potential: Array | None) -> None:
        if self._population is None:
            self._compare("output", theirs, x)
            return
        ours = self._population.step(x)
        if self._spikes and not np.array_equal(ours, theirs):
            self._spikes_differ(ours, theirs)
        elif not self._spikes:
            self._compare("output", theirs, ours)
        if potential is not None and self.first is None:
            self._compare("potential", potential, self._population.state["v"])
            self._population.state["v"] = potential.astype(np.float32)

    def _compare(self, variable: str, theirs: Array, ours: Array) -> None:
        """Compare values, which may be apart by rounding; a NaN is never equal."""
        if self._spikes and variable == "output":
            wrong = ours != theirs
        else:
            least = 1.0
            if self._spikes and self._population is not None:
                least = float(np.abs(self._population.threshold).max(initial=0)) or 1.0
            largest = max(least, float(np.abs(theirs).max(initial=0)))
            wrong = ~(np.abs(ours.astype(np.float64) - theirs) <= NEAR * largest)
        if wrong.any():
            at = tuple(int(i) for i in np.argwhere(wrong)[0])
            values = float(theirs[at]), float(ours[at])
            self.first = Place(self.node.name, at, self.steps, variable, *values)

    def _spikes_differ(self, ours: Array, theirs: Array) -> None:
        assert self._population is not None
        wrong = ours != theirs
        left = self._population.nudged(theirs, wrong, self._slack)
        v, threshold = self._population.moved["v"], self._population.threshold
        for at in map(tuple, np.argwhere(wrong)):
            place = Place(
                self.node.name,
                tuple(int(i) for i in at),
                self.steps,
                "output",
                float(theirs[at]),
                float(ours[at]),
                float(v[at]),
                float(threshold[at]),
            )
            if left[at]:
                self.first = place
                return
            self.near_count += 1
            if len(self.near) < 8:
                self.near.append(place)


class _Population:
    """Neurons in the float reference, one step at a time, with what the step was made of."""

    def __init__(self, node: Population, dt: float) -> None:
        start, _ = neuron(node, dt, "euler")
        self.state = start
        self._advance = node.membrane.euler(dt, node.spikes)
        _, self._fire = node.rule.fire(node.shape, dt, np.float32)
        limit = node.rule.threshold if isinstance(node.rule, Spikes) else np.float32(0)
        self.threshold = np.broadcast_to(limit, node.shape).astype(np.float32)
        self.before = self.moved = start

    def step(self, x: Array) -> Array:
        with np.errstate(all="ignore"):  # a value that is not finite differs from all others
            self.before = self.state
            self.moved = {**self.before, **self._advance(self.before, x)}
            value, self.state = self._fire(self.before, self.moved)
        return value

    def nudged(self, theirs: Array, wrong: Array, slack: float) -> Array:
        """Take over spikes of the framework that a nudge of the potential explains.

        Return the places that no nudge explains.
        """
        size = np.abs(self.threshold)
        scale = slack * np.where(size > 0, size, 1)
        left = wrong.copy()
        for part in NUDGES if slack else ():
            for sign in (1, -1):
                v = (self.moved["v"] + np.float32(sign * part) * scale).astype(np.float32)
                value, after = self._fire(self.before, {**self.moved, "v": v})
                good = left & (value == theirs)
                if good.any():
                    names = after.keys()
                    self.state = {k: np.where(good, after[k], self.state[k]) for k in names}
                    left &= ~good
        return left
