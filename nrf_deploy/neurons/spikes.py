"""The rule of neurons that spike: threshold, reset, floor, rest and adaptation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .base import Array, Fire, Rule, State, choice, number
from .rising import Rising

Reset = Literal["value", "subtract"]
Fires = Literal["above", "at"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Spikes(Rule):
    """A spike leaves where v passes `threshold`; then v = reset_to, or v -= threshold.

    The order in a step: v is held at `floor` or above, tested, and reset. For `refractory` steps
    after a spike v does not change and no spike leaves, while a current continues. With an
    `adaptation` the test is against a threshold that rises.
    """

    spikes = True
    runs = frozenset(
        {"reset=subtract", "reset_to", "fires=at", "per_step=many", "floor", "worth", "refractory",
         "adaptation=Rising", "adaptation.takes=adapted"}
    )  # fmt: skip

    threshold: Array = number("potential")
    reset: Reset = choice("a reset that subtracts the threshold", "value")
    reset_to: Array | float = number("potential", "a reset to a value", default=0.0)
    fires: Fires = choice("a spike at v = threshold too", "above")
    per_step: Literal["one", "many"] = choice("as many spikes as v holds thresholds", "one")
    floor: Array | None = number("potential", "a floor of the potential", default=None)
    worth: Array | None = number("value", "spikes that stand for a value", default=None)
    refractory: Array | None = number("steps", "steps of rest after a spike", default=None)
    adaptation: Rising | None = choice("a threshold that rises with spikes", None)

    @property
    def states(self) -> tuple[str, ...]:
        more = {"rest": self.refractory, "b": self.adaptation}
        return tuple(name for name, feature in more.items() if feature is not None)

    def faults(self) -> Iterator[str]:
        yield from super().faults()
        if self.per_step == "many" and (self.reset, self.fires) != ("subtract", "at"):
            yield (
                f"per_step is many with reset={self.reset} and fires={self.fires}; expected "
                "subtract and at: each spike takes one threshold off"
            )
        if self.per_step == "many" and np.any(lows := np.asarray(self.threshold) <= 0):
            low = float(np.asarray(self.threshold)[lows].flat[0])
            yield f"threshold is {low:g} with per_step=many; expected numbers above 0"

    @property
    def origin(self) -> Array | float:
        return self.reset_to

    def fire(self, shape: tuple[int, ...], dt: float, dtype: Any) -> tuple[State, Fire]:
        def full(x: Array | float) -> Array:
            return np.broadcast_to(x, shape).astype(dtype)

        threshold, to = full(self.threshold), full(self.reset_to)
        over = np.greater if self.fires == "above" else np.greater_equal
        floor = None if self.floor is None else full(self.floor)
        period = None if self.refractory is None else full(self.refractory)
        rises = self.adaptation
        if rises is not None:
            lost, jump = rises.decay(shape, dt, dtype), full(rises.jump)
        subtract, many = self.reset == "subtract", self.per_step == "many"

        def fire(before: State, s: State) -> tuple[Array, State]:
            v, own = s["v"] if floor is None else np.maximum(s["v"], floor), {}
            free: Array | bool = True
            if period is not None:
                free = before["rest"] <= 0
                v = np.where(free, v, before["v"])
            test = taken = threshold
            if rises is not None:
                b = before["b"] - lost * before["b"]
                test = threshold + b
                taken = test if rises.takes == "adapted" else threshold
            z = np.floor(np.maximum(v, 0) / test) if many else over(v - test, 0)
            z = (z * free).astype(dtype)
            less = v - z * taken if many else v - taken
            after = less if many else (1 - z) * v + z * (less if subtract else to)
            if period is not None:
                own["rest"] = np.where(z > 0, period, np.maximum(before["rest"] - 1, 0))
            if rises is not None:
                own["b"] = b + jump * z
            return z, {**s, "v": after, **own}

        return {name: full(0.0) for name in self.states}, fire
