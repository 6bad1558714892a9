"""Populations of every membrane and rule, drawn from what their fields declare.

The registry of neurons/ is the only list: a new membrane, rule, part, field or word is drawn
as soon as it stands there.
"""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nrf_deploy import neurons
from nrf_deploy.ir.network import Array, Input, Linear, Network, Output, Population, Shape
from nrf_deploy.neurons import Part, Unit

DT = 0.5
RANGES: dict[Unit, tuple[float, float]] = {
    "time": (1.0, 64.0),
    "input": (-4.0, 4.0),
    "current": (-4.0, 4.0),
    "potential": (-4.0, 4.0),
    "amount": (0.0, 4.0),
    "rate": (-4.0, 4.0),
    "steps": (0.0, 9.0),
    "value": (0.125, 4.0),
}
"""Of each unit, from where to where a sound number lies."""
FAULTY: dict[Unit, tuple[float, ...]] = {
    "time": (0.0, -1.0, DT / 2),
    "amount": (-0.25,),
    "steps": (-1.0, 0.5, 2.0**40),
    "value": (0.0, -1.0),
}
"""Numbers that a unit does not allow; none are finite and wrong of the others."""


def numbers(unit: Unit, shape: Shape) -> st.SearchStrategy[Array]:
    low, high = RANGES[unit]
    whole = st.integers(int(low * 8), int(high * 8)).map(lambda n: n / 8)
    value = st.integers(int(low), int(high)).map(float) if unit == "steps" else whole
    types = st.sampled_from([np.float32, np.float64])
    return types.flatmap(lambda t: arrays.arrays(t, shape, elements=value))


def parts(cls: type[Part], shape: Shape) -> st.SearchStrategy[Any]:
    """Return parts of this type; each field with a default is neutral or of any other value."""
    return st.fixed_dictionaries(
        {f.name: _field(cls, f, shape) for f in dataclasses.fields(cls) if f.default is MISSING},
        optional={
            f.name: _field(cls, f, shape)
            for f in dataclasses.fields(cls)
            if f.default is not MISSING
        },
    ).map(lambda fields: cls(**fields))


def _field(cls: type[Part], f: dataclasses.Field[Any], shape: Shape) -> st.SearchStrategy[Any]:
    if "unit" in f.metadata:
        return numbers(f.metadata["unit"], shape)
    hint = get_type_hints(cls)[f.name]
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if hint is bool:
        return st.booleans()
    return st.one_of(*(parts(p, shape) for p in neurons.PARTS if p in get_args(hint)))


def populations(shape: Shape = (3,), name: str = "n") -> st.SearchStrategy[Population]:
    """Return populations of every membrane and every rule."""
    kinds = [(m, r) for m in neurons.MEMBRANES for r in neurons.RULES]
    drawn = st.sampled_from(kinds).flatmap(
        lambda kind: st.builds(
            Population,
            name=st.just(name),
            membrane=parts(kind[0], shape),
            rule=parts(kind[1], shape),
        )
    )
    return drawn.filter(lambda node: not any(True for p in node.every_part() for _ in p.faults()))


def around(node: Population) -> Network:
    """Return a network of an input, a connection, these neurons and an output."""
    (size,) = node.shape
    nodes = (
        Input(name="x", port_shape=(size,)),
        Linear(name="w", weight=np.eye(size, dtype=np.float32)),
        node,
        Output(name="y", port_shape=(size,)),
    )
    return Network(nodes, (("x", "w"), ("w", node.name), (node.name, "y")), DT)
