"""A function between layers, and the calls of layers that it is recorded as."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nrf_deploy.diagnostics.findings import Finding

from .functions import at_random, no_function
from .layers import behind, by_step, features, tensors
from .user_code import user_line
from .values import (
    Constant,
    Foreign,
    Made,
    OverTime,
    Random,
    Signal,
    Term,
    Terms,
    Value,
)

if TYPE_CHECKING:
    from .record import Recorder


class Recorded:
    """One call of a function, and what its operands are.

    Attributes:
        operands: The values of all tensors among its arguments.
        followed: Those that are not constants.
        module: The layer of the model that it stands for, if any.
    """

    def __init__(
        self,
        recorder: Recorder,
        name: str,
        args: Any,
        kwargs: Any,
        operands: Sequence[Value],
        followed: Sequence[Value],
        results: list[Any],
        module: Any = None,
    ):
        self.recorder, self.args, self.kwargs, self.results = recorder, args, kwargs, results
        self.operands, self.followed, self.module = operands, followed, module
        self.in_place = module is None and name.endswith("_") and not name.endswith("__")
        self.name = name[:-1] if self.in_place else name

    def call(
        self,
        layer: Any,
        signal: Any,
        axes: tuple[str, ...] | None = None,
        key: Any = None,
    ) -> Signal:
        """Record a call of a layer of torch that stands for the function."""
        tensor, result = self.args[0], self.results[0]
        leading = signal.leading
        after = axes or (*signal.axes[:leading], *("F",) * (result.ndim - leading))
        record = self.made(layer, signal.steps)
        record.input_shape = features(signal.axes, tuple(tensor.shape))
        record.shape = features(after, tuple(result.shape))
        record.key = key or getattr(layer, "nrf_key", None)
        if self.name == "relu":
            record.key = ("relu", *behind(self.recorder, signal.steps))
        if self.recorder.keep == "all":
            record.taken, record.given = by_step(tensor, signal.axes), by_step(result, after)
        number = self.recorder.add(record)
        return Signal(after, tuple((Term(number, t),) for t in range(len(signal.steps))))

    def refused(self, fault: Finding | None = None) -> Signal:
        """Record a call that is refused; not again for what comes of one that was."""
        result = self.results[0]
        known = [v.signal if isinstance(v, OverTime) else v for v in self.followed]
        signals = [s for s in known if isinstance(s, Signal)]
        like = signals[0] if signals else None
        steps: tuple[Terms, ...] = (tuple(t for s in signals for t in s.terms()),)
        axes: tuple[str, ...] = ("B",) if result.shape[:1] == (1,) and result.ndim > 1 else ()
        if (
            like is not None
            and like.timed
            and tuple(result.shape) == tuple(self._tensor(like).shape)
        ):
            axes = like.axes[: like.leading]
            steps = tuple(
                tuple(
                    t
                    for s in signals
                    if isinstance(s, Signal) and len(s.steps) > k
                    for t in s.steps[k]
                )
                for k in range(len(like.steps))
            )
        after = (*axes, *("F",) * (result.ndim - len(axes)))
        record = self.made(None, steps)
        record.key = ("refused", self.name)
        record.shape = features(after, tuple(result.shape))
        again = any(
            t.call >= 0 and self.recorder.calls[t.call].module is None
            for step in steps for t in step
        )  # fmt: skip
        if not again or not steps:
            drawn = next((v for v in self.followed if isinstance(v, Random)), None)
            if drawn is not None:
                fault = at_random(self.name, drawn.function, self.where())
            record.faults.append(fault or no_function(self.name, self.where()))
        if self.recorder.keep == "all":
            record.given = by_step(result, after)
        number = self.recorder.add(record)
        return Signal(after, tuple((Term(number, t),) for t in range(len(steps))))

    def _tensor(self, signal: Signal) -> Any:
        """Return the tensor of an operand."""
        known = list(tensors((self.args, self.kwargs)))
        return next(t for t, v in zip(known, self.operands, strict=True) if v is signal)

    def made(self, layer: Any, steps: tuple[Terms, ...]) -> Made:
        return Made(
            self.name,
            layer,
            steps,
            (),
            (),
            self.recorder.turn,
            in_model=self.module is not None,
            where=self.where(),
        )

    def where(self) -> str:
        return user_line()

    def all(self, value: Value) -> list[Value]:
        return [value] * len(self.results)

    def constant(self) -> Value:
        if any(isinstance(v, Foreign) for v in self.operands):
            return Foreign()
        known = [v.parameters for v in self.operands if isinstance(v, Constant)]
        return Constant(frozenset().union(*known))
