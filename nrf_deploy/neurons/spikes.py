"""The rule of neurons that spike: threshold, reset, floor, rest and adaptation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .base import Array, Fire, Rule, State, choice, number
from .rising import Rising

Reset = Literal["value", "subtract", "late", "none", "doubled"]
Fires = Literal["above", "at"]
PerStep = Literal["one", "many"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Spikes(Rule):
    """A spike leaves where v passes `threshold`, and then v is reset.

        value       v = reset_to
        subtract    v -= the threshold
        late        nothing now; in the next step v -= the threshold, after the membrane moved
        none        nothing
        doubled     as subtract; but the test is against 2 thresholds in the step after one that
                    ended above the threshold (snnTorch with reset_delay=False): one is taken off
                    before the test, and given back where no spike leaves

    `subtracts` is taken off instead of the threshold if it is given. With per_step="many"
    n = trunc(v / threshold) spikes leave, at most `most`, and n times that much is taken off.

    The order in a step: late subtraction, rest, test, reset, `floor`. For `refractory` steps after
    a spike v does not change and no spike leaves, while a current continues. With an `adaptation`
    the test is against a threshold that rises. A floor is computed as max(v - floor, 0) + floor,
    which is sinabs' order of float operations.
    """

    spikes = True
    runs = frozenset(
        {"reset=subtract", "reset=late", "reset=none", "reset=doubled", "reset_to", "subtracts",
         "fires=at", "per_step=many", "most", "floor", "worth", "refractory",
         "adaptation=Rising", "adaptation.takes=adapted"}
    )  # fmt: skip

    threshold: Array = number("potential")
    reset: Reset = choice("another reset than to a value", "value")
    reset_to: Array | float = number("potential", "a reset to a value", default=0.0)
    subtracts: Array | None = number("amount", "a reset by another amount", default=None)
    fires: Fires = choice("a spike at v = threshold too", "above")
    per_step: PerStep = choice("as many spikes as v holds thresholds", "one")
    most: Array | None = number("steps", "a limit on the spikes of a step", default=None)
    floor: Array | None = number("potential", "a floor of the potential", default=None)
    worth: Array | None = number("value", "spikes that stand for a value", default=None)
    refractory: Array | None = number("steps", "steps of rest after a spike", default=None)
    adaptation: Rising | None = choice("a threshold that rises with spikes", None)

    @property
    def states(self) -> tuple[str, ...]:
        more = {"rest": self.refractory, "b": self.adaptation}
        return tuple(name for name, feature in more.items() if feature is not None)

    @property
    def taken(self) -> Array:
        """Return what a spike takes off the potential, if the reset subtracts."""
        return np.asarray(self.threshold if self.subtracts is None else self.subtracts)

    def faults(self) -> Iterator[str]:
        yield from super().faults()
        threshold, many = np.asarray(self.threshold), self.per_step == "many"
        if many and self.fires != "at":
            yield (
                f"per_step is many with fires={self.fires}; expected at: v = threshold holds one "
                "threshold"
            )
        if many and self.reset in ("late", "doubled"):
            yield f"per_step is many with reset={self.reset}; expected subtract, value or none"
        if many and np.any(low := threshold <= 0):
            value = float(threshold[low].flat[0])
            yield f"threshold is {value:g} with per_step=many; expected numbers above 0"
        if self.most is not None and not many:
            yield "most is given with per_step=one; it limits the spikes of per_step=many"
        elif self.most is not None and np.any(self.most < 1):
            yield f"most is {float(np.min(self.most)):g}; expected whole numbers from 1"
        if self.subtracts is not None and self.reset in ("value", "none"):
            yield f"subtracts is given with reset={self.reset}, which subtracts nothing"
        if self.subtracts is not None and self.reset == "doubled":
            yield "subtracts is given with reset=doubled, which is known with the threshold only"
        if self.reset in ("late", "doubled"):
            for name in ("refractory", "adaptation"):
                if getattr(self, name) is not None:
                    yield f"{name} is given with reset={self.reset}; no neuron is known with both"
        if self.subtracts is not None and self.adaptation is not None:
            yield "subtracts is given with an adaptation; no neuron is known with both"
        if self.floor is not None and np.any(self.floor >= threshold):
            yield "the floor is not below the threshold: such a neuron spikes in every step"

    @property
    def origin(self) -> Array | float:
        return self.reset_to

    def fire(self, shape: tuple[int, ...], dt: float, dtype: Any) -> tuple[State, Fire]:
        def full(x: Array | float) -> Array:
            return np.broadcast_to(x, shape).astype(dtype)

        threshold, taken = full(self.threshold), full(self.taken)
        over = np.greater if self.fires == "above" else np.greater_equal
        period = None if self.refractory is None else full(self.refractory)
        rises, late, doubled = self.adaptation, self.reset == "late", self.reset == "doubled"
        if rises is not None:
            lost, jump = rises.decay(shape, dt, dtype), full(rises.jump)
        many = self.per_step == "many"
        limit = None if self.most is None else full(self.most)
        ends = self._ends(full)

        def fire(before: State, s: State) -> tuple[Array, State]:
            v, own = s["v"], {}
            above = over(before["v"] - threshold, 0) if late or doubled else np.False_
            if late or doubled:
                v = v - above * taken
            free: Array | bool = True
            if period is not None:
                free = before["rest"] <= 0
                v = np.where(free, v, before["v"])
            test, less = threshold, taken
            if rises is not None:
                b = before["b"] - lost * before["b"]
                test = threshold + b
                less = test if rises.takes == "adapted" else taken
            z = np.trunc(np.maximum(v, 0) / test) if many else over(v - test, 0)
            if limit is not None:
                z = np.minimum(z, limit)
            z = (z * free).astype(dtype)
            if period is not None:
                own["rest"] = np.where(z > 0, period, np.maximum(before["rest"] - 1, 0))
            if rises is not None:
                own["b"] = b + jump * z
            n = z - above if doubled else z
            return z, {**s, "v": ends(v, n, less), **own}

        return {name: full(0.0) for name in self.states}, fire

    def _ends(
        self, full: Callable[[Array | float], Array]
    ) -> Callable[[Array, Array, Array], Array]:
        """Return the function (v, spikes, what one takes off) -> v after reset and floor."""
        many, doubled = self.per_step == "many", self.reset == "doubled"
        subtract = doubled or self.reset == "subtract"
        to, floor = full(self.reset_to), None if self.floor is None else full(self.floor)

        def reset(v: Array, z: Array, less: Array) -> Array:
            if self.reset in ("late", "none"):
                return v
            if many or doubled:
                return v - z * less if subtract else np.where(z > 0, to, v)
            return np.asarray((1 - z) * v + z * (v - less if subtract else to))

        if floor is None or np.all(free := np.isneginf(floor)):
            return reset
        low = np.where(free, 0, floor)

        def ends(v: Array, z: Array, less: Array) -> Array:
            v = reset(v, z, less)
            return np.where(free, v, np.maximum(v - low, 0) + low)

        return ends
