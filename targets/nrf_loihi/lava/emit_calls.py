"""Calls of Lava constructors for the populations and connections of a Program.

If a constructor takes one number per population and the program has one per neuron, or if it
computes an integer from a float (the decays of an RF), the value is set after the call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nrf_deploy.ir.network import Array, Shape
from nrf_deploy.ir.program import Conv, Dense, Population, Sparse, Synapses

from ..arithmetic.neurons import MODELS, Lava, parameters
from ..arithmetic.rules import EXCITATORY, INHIBITORY, MIXED
from .emit_axes import flat_order, kernel, reverse, turned
from .window import with_equal_padding

MODULES = {
    "tag": "lava.magma.core.decorator",
    "AbstractPyLifModelFixed": "lava.proc.lif.models",
    "PyLifModelBitAcc": "lava.proc.lif.models",
    "Conv": "lava.proc.conv.process",
    "Dense": "lava.proc.dense.process",
    "DelayDense": "lava.proc.dense.process",
    "GradedVec": "lava.proc.graded.process",
    "GradedReluVec": "lava.proc.graded.process",
    "LIF": "lava.proc.lif.process",
    "LIFReset": "lava.proc.lif.process",
    "TernaryLIF": "lava.proc.lif.process",
    "RF": "lava.proc.rf.process",
    "RF_IZ": "lava.proc.rf_iz.process",
    "ActivationMode": "lava.proc.sdn.process",
    "Delta": "lava.proc.sdn.process",
    "SigmaDelta": "lava.proc.sdn.process",
    "DelaySparse": "lava.proc.sparse.process",
    "Sparse": "lava.proc.sparse.process",
    "SignMode": "lava.utils.weightutils",
    "csr_matrix": "scipy.sparse",
}
SIGN_MODES = {MIXED: "MIXED", EXCITATORY: "EXCITATORY", INHIBITORY: "INHIBITORY"}

SET_BELOW = "0,  # set below, one a neuron"

Keep = Callable[[str, Array], str]
"""Function that stores an array under a parameter's name and returns the text that loads it."""


@dataclass
class Call:
    """`NAME = cls(arguments)` and the lines after it, as text with {name}."""

    cls: str
    arguments: dict[str, Any]
    later: list[str] = field(default_factory=list)

    def lines(self, name: str) -> list[str]:
        inside = [f"    {key}={value}".rstrip(",") + "," for key, value in self.arguments.items()]
        inside = [line.replace(SET_BELOW + ",", SET_BELOW) for line in inside]
        return [f"{name} = {self.cls}(", *inside, ")", *(t.format(name=name) for t in self.later)]


# --- neurons --------------------------------------------------------------


class Values:
    """A population's parameters as text: a number, or an array in Lava's order."""

    def __init__(self, population: Population, keep: Keep) -> None:
        self._parameters = parameters(population)
        self._shape, self._keep = population.shape, keep

    def number(self, key: str) -> int | None:
        """Return the value that all neurons share; None if they differ."""
        value = self._parameters[key]
        return int(value.flat[0]) if np.all(value == value.flat[0]) else None

    def one(self, key: str) -> int:
        number = self.number(key)
        assert number is not None, f"{key} differs between neurons; faults() should have refused it"
        return number

    def text(self, key: str) -> int | str:
        number = self.number(key)
        if number is not None:
            return number
        return self._keep(key, turned(self._parameters[key], self._shape))

    def some(self, **keys: str) -> dict[str, Any]:
        """Return the arguments that are not 0."""
        return {name: self.text(key) for name, key in keys.items() if self.number(key) != 0}


def population_call(p: Population, keep: Keep) -> Call:
    lava = MODELS[p.model].lava
    assert isinstance(lava, Lava), "faults() refused the others"
    call = _CALLS[lava.process](Values(p, keep))
    call.arguments = {"shape": reverse(p.shape), **call.arguments}
    return call


def _currents(v: Values) -> dict[str, Any]:
    bias = v.some(bias_mant="bias_mant", bias_exp="bias_exp") if v.number("bias_mant") != 0 else {}
    return {"du": v.text("du"), "dv": v.text("dv"), **bias, **v.some(u="u0", v="v0")}


def _lif(v: Values) -> Call:
    return Call("LIF", {**_currents(v), "vth": v.text("vth")})


def _li(v: Values) -> Call:
    later = [f'{{name}}.proc_params["{key}"] = {v.text(key)}' for key in ("shift", "rectify")]
    return Call("Potential", {**_currents(v), "vth": v.text("vth")}, later)


def _lif_reset(v: Values) -> Call:
    due = {"reset_interval": v.one("interval"), "reset_offset": v.one("offset")}
    return Call("LIFReset", {**_currents(v), "vth": v.text("vth"), **due})


def _ternary_lif(v: Values) -> Call:
    low, high = v.number("vth_lo"), v.number("vth_hi")
    if low is not None and high is not None and low <= high:
        return Call("TernaryLIF", {**_currents(v), "vth_hi": high, "vth_lo": low})
    call = Call("TernaryLIF", _currents(v))
    for key in ("vth_hi", "vth_lo"):
        if v.number(key) is None:
            call.later.append(f"one_each({{name}}.{key}, {v.text(key)})")
        else:
            call.later.append(f"{{name}}.{key}.init = {v.number(key)}")
    return call


def _with_threshold(v: Values, cls: str, arguments: dict[str, Any], shift: int = 0) -> Call:
    """Set the threshold; if it differs between neurons, after the call and with the shift that
    Lava's constructor applies."""
    number = v.number("vth")
    if number is not None:
        return Call(cls, {"vth": number, **arguments})
    moved = f" << {shift}" if shift else ""
    later = f"one_each({{name}}.vth, {v.text('vth')}{moved})"
    return Call(cls, {"vth": SET_BELOW, **arguments}, [later])


def _encoder(v: Values, cls: str, **more: Any) -> Call:
    exponents = {name: v.one(name) for name in ("spike_exp", "state_exp")}
    arguments = {**more, "cum_error": bool(v.one("cum_error")), **exponents}
    return _with_threshold(v, cls, arguments, sum(exponents.values()))


def _sigma_delta(v: Values) -> Call:
    mode = "ActivationMode.RELU" if v.one("act_mode") == 1 else "ActivationMode.UNIT"
    return _encoder(v, "SigmaDelta", **v.some(bias="bias"), act_mode=mode)


def _resonator(v: Values, cls: str) -> Call:
    exponents = {name: v.one(name) for name in ("state_exp", "decay_bits")}
    unused = {"period": "1,  # gives way to the decays below", "alpha": 0}
    call = _with_threshold(v, cls, {**unused, **exponents}, exponents["state_exp"])
    call.later += [f"{{name}}.{key}.init = {v.text(key)}" for key in ("sin_decay", "cos_decay")]
    return call


_CALLS: Mapping[str, Callable[[Values], Call]] = {
    "LIF": _lif,
    "Potential": _li,
    "LIFReset": _lif_reset,
    "TernaryLIF": _ternary_lif,
    "GradedVec": lambda v: _with_threshold(v, "GradedVec", {}),
    "GradedReluVec": lambda v: _with_threshold(v, "GradedReluVec", {}),
    "Delta": lambda v: _encoder(v, "Delta"),
    "SigmaDelta": _sigma_delta,
    "RF": lambda v: _resonator(v, "RF"),
    "RF_IZ": lambda v: _resonator(v, "RF_IZ"),
}
"""Functions by the name of the Lava process."""


# --- synapses -------------------------------------------------------------


def synapses_call(s: Synapses, source: Shape, target: Shape, keep: Keep) -> Call:
    """Return the call for a connection; `source` and `target` are our shapes of its two ends."""
    message = {k: int(v) for k, v in s.params.items() if k == "num_message_bits"}
    if isinstance(s, Conv):
        return _conv(with_equal_padding(s), message, keep)
    how: dict[str, Any] = {
        k: int(v) for k, v in s.params.items() if k in ("weight_exp", "num_weight_bits")
    }
    if "sign_mode" in s.params:
        how["sign_mode"] = f"SignMode.{SIGN_MODES[int(s.params['sign_mode'])]}"
    rows, columns = flat_order(target), flat_order(source)
    if isinstance(s, Sparse):
        return _sparse(s, np.argsort(rows), np.argsort(columns), {**how, **message}, keep)
    assert isinstance(s, Dense)
    weight = keep("weights", s.weight[np.ix_(rows, columns)])
    delays = np.asarray(s.delay - 1 if s.delays is None else s.delay - 1 + s.delays)
    if not delays.any():
        return Call("Dense", {"weights": weight, **how, **message})
    whole = np.broadcast_to(delays, s.weight.shape)[np.ix_(rows, columns)]
    delayed = {"weights": weight, "delays": keep("delays", whole)}
    return Call("DelayDense", {**delayed, **how, **message})


def _conv(s: Conv, message: dict[str, int], keep: Keep) -> Call:
    padding = tuple(before for before, _ in s.padding)
    return Call(
        "Conv",
        {
            "weight": keep("weight", kernel(s.weight)),
            "input_shape": reverse(s.input_shape),
            "stride": reverse(s.stride),
            "padding": reverse(padding),
            "dilation": reverse(s.dilation),
            "groups": int(s.groups),
            **message,
        },
    )


def _sparse(s: Sparse, row: Array, column: Array, how: dict[str, Any], keep: Keep) -> Call:
    size = (math.prod(s.shape), math.prod(s.input_shape))
    rows, columns = keep("rows", row[s.row]), keep("columns", column[s.column])

    def matrix(values: int | str) -> str:
        inside = "".join(f"\n        {x}," for x in (size, rows, columns, values))
        return f"sparse({inside}\n    )"

    weights = matrix(keep("weights", s.weight))
    if s.delay == 1:
        return Call("Sparse", {"weights": weights, **how})
    delays = f"{matrix(s.delay - 1)}.astype(int)"
    return Call("DelaySparse", {"weights": weights, "delays": delays, **how})
