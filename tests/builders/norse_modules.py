"""Modules of torch and Norse whose later steps differ from the first, and some that keep to it.

Each factory can be named on the command line (`nrf-deploy export norse_modules:feed_back`).
"""

from __future__ import annotations

from typing import Any

import norse.torch as norse
import torch
from torch import nn

WIDTH = 6


class _Parts(nn.Module):  # type: ignore[misc]
    """A layer in, a layer back, and a readout; a forward method says how they hang together."""

    input_shape = (WIDTH,)

    def __init__(self, cell: Any) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        self.i, self.r = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.o = nn.Linear(WIDTH, 2)
        for p in self.parameters():
            p.data = torch.randn(p.shape, generator=generator) / 2
        self.l, self.li = cell, norse.LIBoxCell()


class FeedBack(_Parts):
    """Spikes fed back."""

    def forward(self, x: Any, st: Any = None) -> Any:
        z, s0, s1 = st if st is not None else (None, None, None)
        i = self.i(x)
        if z is not None:
            i = i + self.r(z)
        z, s0 = self.l(i, s0)
        y, s1 = self.li(self.o(z), s1)
        return y, (z, s0, s1)


class FeedBackPotential(_Parts):
    """The potential of the readout fed back."""

    def __init__(self, cell: Any) -> None:
        super().__init__(cell)
        self.r = nn.Linear(2, WIDTH)

    def forward(self, x: Any, st: Any = None) -> Any:
        s0, s1 = st if st is not None else (None, None)
        i = self.i(x)
        if s1 is not None:
            i = i + self.r(s1.v)
        z, s0 = self.l(i, s0)
        y, s1 = self.li(self.o(z), s1)
        return y, (s0, s1)


class FeedBackUnlessNone(_Parts):
    """Spikes fed back, where they are asked for by `is None`."""

    def forward(self, x: Any, st: Any = (None, None, None)) -> Any:
        z, s0, s1 = st
        i = self.i(x) if z is None else self.i(x) + self.r(z)
        z, s0 = self.l(i, s0)
        y, s1 = self.li(self.o(z), s1)
        return y, (z, s0, s1)


class FeedBackDict(_Parts):
    """The state in a dict."""

    def forward(self, x: Any, st: Any = None) -> Any:
        st = st or {}
        i = self.i(x)
        if "z" in st:
            i = i + self.r(st["z"])
        z, s0 = self.l(i, st.get("s0"))
        y, s1 = self.li(self.o(z), st.get("s1"))
        return y, {"z": z, "s0": s0, "s1": s1}


class NoWeightsBack(_Parts):
    """Spikes fed back without a layer: no parameter is missing."""

    def __init__(self, cell: Any) -> None:
        super().__init__(cell)
        del self.r

    def forward(self, x: Any, st: Any = None) -> Any:
        z, s0, s1 = st if st is not None else (None, None, None)
        i = self.i(x)
        if z is not None:
            i = i - 0.5 * z
        z, s0 = self.l(i, s0)
        y, s1 = self.li(self.o(z), s1)
        return y, (z, s0, s1)


class Shared(NoWeightsBack):
    """A layer that is called again from the second step on."""

    def forward(self, x: Any, st: Any = None) -> Any:
        z, s0, s1 = st if st is not None else (None, None, None)
        i = self.i(x)
        if z is not None:
            i = i + self.i(z)
        z, s0 = self.l(i, s0)
        y, s1 = self.li(self.o(z), s1)
        return y, (z, s0, s1)


class Halved(NoWeightsBack):
    """It changes the state of its cell between two steps."""

    def forward(self, x: Any, st: Any = None) -> Any:
        s0, s1 = st if st is not None else (None, None)
        z, s0 = self.l(self.i(x), s0)
        y, s1 = self.li(self.o(z), s1)
        return y, (s0, s1._replace(v=s1.v / 2))


class Forgetful(NoWeightsBack):
    """It hands no state on."""

    def forward(self, x: Any) -> Any:
        z, _ = self.l(self.i(x))
        y, _ = self.li(self.o(z))
        return y


class Counting(NoWeightsBack):
    """It does something else from the fourth step on."""

    def forward(self, x: Any, st: Any = None) -> Any:
        n, s0, s1 = st if st is not None else (0, None, None)
        z, s0 = self.l(self.i(x), s0)
        o = self.o(z)
        if n >= 3:
            o = o + 0.01
        y, s1 = self.li(o, s1)
        return y, (n + 1, s0, s1)


class TwoOutputs(NoWeightsBack):
    """A module with two outputs beside its state."""

    def __init__(self, cell: Any) -> None:
        super().__init__(cell)
        self.p = nn.Linear(WIDTH, 2)
        del self.li

    def forward(self, x: Any, st: Any = None) -> Any:
        z, st = self.l(self.i(x), st)
        return (self.o(z), self.p(z)), st


class InnerOutput(NoWeightsBack):
    """The spikes of an inner layer are returned beside the output."""

    def forward(self, x: Any, st: Any = None) -> Any:
        z, _ = self.l(self.i(x), st)
        return self.o(z), z


class Auxiliary(NoWeightsBack):
    """A head that served in training only."""

    def __init__(self, cell: Any) -> None:
        super().__init__(cell)
        self.aux = nn.Linear(WIDTH, 3)

    def forward(self, x: Any, st: Any = None) -> Any:
        s0, s1 = st if st is not None else (None, None)
        z, s0 = self.l(self.i(x), s0)
        y, s1 = self.li(self.o(z), s1)
        return y, (s0, s1)


class Plain(NoWeightsBack):
    """Nothing leads back: it can be exported."""

    def forward(self, x: Any, st: Any = None) -> Any:
        s0, s1 = st if st is not None else (None, None)
        z, s0 = self.l(self.i(x), s0)
        y, s1 = self.li(self.o(z), s1)
        return y, (s0, s1)


class PlainDict(NoWeightsBack):
    """The module Plain with its states in a dict."""

    def forward(self, x: Any, st: Any = None) -> Any:
        st = st or {}
        z, s0 = self.l(self.i(x), st.get("s0"))
        y, s1 = self.li(self.o(z), st.get("s1"))
        return y, {"s0": s0, "s1": s1}


class PlainApart(NoWeightsBack):
    """The module Plain with each state as a separate argument."""

    def forward(self, x: Any, s0: Any = None, s1: Any = None) -> Any:
        z, s0 = self.l(self.i(x), s0)
        y, s1 = self.li(self.o(z), s1)
        return y, s0, s1


def feed_back() -> Any:
    return FeedBack(norse.LIFBoxCell())


def feed_back_potential() -> Any:
    return FeedBackPotential(norse.LIFBoxCell())


def feed_back_lifcell() -> Any:
    return FeedBackUnlessNone(norse.LIFCell())


def feed_back_dict() -> Any:
    return FeedBackDict(norse.LIFBoxCell())


def no_weights_back() -> Any:
    return NoWeightsBack(norse.LIFBoxCell())


def shared() -> Any:
    return Shared(norse.LIFBoxCell())


def halved() -> Any:
    return Halved(norse.LIFBoxCell())


def forgetful() -> Any:
    return Forgetful(norse.LIFBoxCell())


def counting() -> Any:
    return Counting(norse.LIFBoxCell())


def two_outputs() -> Any:
    return TwoOutputs(norse.LIFBoxCell())


def inner_output() -> Any:
    return InnerOutput(norse.LIFBoxCell())


def auxiliary() -> Any:
    return Auxiliary(norse.LIFBoxCell())


def plain() -> Any:
    return Plain(norse.LIFBoxCell())


def plain_dict() -> Any:
    return PlainDict(norse.LIFBoxCell())


def plain_apart() -> Any:
    return PlainApart(norse.LIFBoxCell())


def sequence() -> Any:
    """Build a sequence as Norse's users write it: it passes the states on."""
    module = norse.SequentialState(
        nn.Linear(WIDTH, WIDTH), norse.LIFBoxCell(), nn.Linear(WIDTH, 2), norse.LICell()
    )
    return module, (WIDTH,)


def without_state() -> Any:
    """Build torch's sequence, which passes no state on: each step starts anew."""
    return nn.Sequential(nn.Linear(WIDTH, 2), norse.LIBoxCell()), (WIDTH,)


def never_fires() -> Any:
    """Build a layer with weights of 0: no input makes the spiking layer fire."""
    module = Plain(norse.LIFBoxCell())
    for p in module.i.parameters():
        p.data.zero_()
    return module
