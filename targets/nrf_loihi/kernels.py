"""This chip for the fast engine: which kernel runs a population, what a synapse does to sums.

arithmetic.py is the normative text. What is said here is the same in fewer bits: parameters
that the chip can hold lead to states and sums of 32 bits, others are left to the plain
emulator. The kernels themselves are in neurons_compiled.py and
messages_compiled.py, which start numba.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nrf_deploy.emulator.kernels import WORD, Cell, Delivery, Range
from nrf_deploy.network import Array
from nrf_deploy.program import Conv, Dense, Population, Synapses

from .arithmetic import LIMIT, i32, parameters, shift

Numbers = Mapping[str, Array]


def _whole_word(arriving: Range) -> Range:
    return WORD


def _passed(arriving: Range) -> Range:
    """What goes through unchanged, or is set to 0."""
    low, high = min(arriving[0], 0), max(arriving[1], 0)
    return (low, high) if WORD[0] <= low and high <= WORD[1] else WORD


def _ternary(arriving: Range) -> Range:
    return (-1, 1)


def _state(arriving: Range) -> Range:
    """A potential, whatever arrives."""
    return (-LIMIT, LIMIT)


def _within(values: Array, low: int, high: int) -> bool:
    return bool(np.all((low <= values) & (values <= high)))


def _plain(values: Numbers) -> dict[str, Any]:
    return {name: int(x) if x.ndim == 0 else x for name, x in values.items()}


class LoihiKernels:
    def graded(self, synapses: Synapses) -> bool:
        return bool(synapses.params.get("num_message_bits", 0) > 0)

    def delivery(self, synapses: Synapses) -> Delivery:
        if isinstance(synapses, Conv):
            return Delivery(after=24)
        delayed = isinstance(synapses, Dense) and (
            synapses.delays is not None or synapses.delay > 1
        )
        exponent = int(synapses.params.get("weight_exp", 0))
        return Delivery(before=64 if delayed else 32, shift=exponent, after=32)

    def cell(self, population: Population) -> Cell | None:
        p = parameters(population)
        model = population.model
        if model in ("lif", "lif_reset", "lif_refractory", "ternary_lif"):
            return _leaky(model, p)
        if model == "li":
            return _potential(p)
        if model in ("pass", "graded", "graded_relu"):
            return _through(model, p)
        if model in ("delta", "sigma_delta"):
            return _sigma_delta(model, p)
        return _resonator(model, p) if model in ("rf", "rf_iz") else None


def _leaking(p: Numbers) -> Numbers | None:
    """The parameters that all these models have; None where they need more bits."""
    ranges = (("du", 0, 4095), ("dv", 0, 4096), ("u0", -(2**30), 2**30), ("v0", -(2**30), 2**30))
    thresholds = {name: x << 6 for name, x in p.items() if name.startswith("vth")}
    if not all(_within(p[name], *ends) for name, *ends in ranges):
        return None
    if not all(_within(p[name], -(2**25), 2**25 - 1) for name in thresholds):
        return None
    bias = i32(shift(p["bias_mant"].astype(np.int16).astype(np.int64), p["bias_exp"]))
    kept = {"keep_u": 4095 - p["du"], "keep_v": 4096 - p["dv"]}
    return {**kept, "bias": bias, **thresholds}


def _leaky(model: str, p: Numbers) -> Cell | None:
    from . import neurons_compiled as compiled

    params = _leaking(p)
    if params is None:
        return None
    if model == "lif":
        current, leak = bool(np.any(params["keep_u"])), bool(np.any(params["keep_v"] != 4096))
        driven = bool(np.any(params["bias"])) or not _within(params["vth"], 0, LIMIT - 2)
        shown, unseen = (compiled.LIF[current, leak, driven, seen] for seen in (True, False))
        return Cell(shown, _plain(params), unseen=unseen)
    if model == "ternary_lif":
        return Cell(compiled.ternary_lif, _plain(params), output=_ternary)
    if model == "lif_refractory":
        if not (_within(p["period"], 0, WORD[1]) and _within(p["rest0"], 0, WORD[1])):
            return None
        return Cell(compiled.lif_refractory, _plain({**params, "period": p["period"]}))
    interval = p["interval"]
    if not _within(interval, 1, WORD[1]):
        return None
    when = {"interval": interval, "offset": p["offset"] % interval}
    return Cell(compiled.lif_reset, _plain({**params, **when}))


def _potential(p: Numbers) -> Cell | None:
    from . import neurons_compiled as compiled

    params = _leaking(p)
    if params is None or not _within(p["shift"], 0, 23) or not _within(p["rectify"], 0, 1):
        return None
    shifted = {**params, "shift": p["shift"], "lowest": np.where(p["rectify"], 0, WORD[0])}
    return Cell(compiled.li, _plain(shifted), payload=True, output=_state)


def _through(model: str, p: Numbers) -> Cell | None:
    from . import neurons_compiled as compiled

    if not all(_within(x, *WORD) for x in p.values()):
        return None
    return Cell(getattr(compiled, f"{model}_"), _plain(p), payload=True, output=_passed)


def _sigma_delta(model: str, p: Numbers) -> Cell | None:
    from . import messages_compiled as compiled

    scale = p["spike_exp"] + p["state_exp"]
    if not (_within(scale, 0, 31) and _within(p["state_exp"], 0, 31)):
        return None
    params = {
        "scale": scale,
        "state_exp": p["state_exp"],
        "cumulative": (p["cum_error"] != 0).astype(np.int64),
        "threshold": i32(p["vth"] << scale),
    }
    kernel = compiled.delta
    if model == "sigma_delta":
        params["bias"] = i32(p["bias"] << scale)
        params["rectify"] = (p["act_mode"] == 1).astype(np.int64)
        kernel = compiled.sigma_delta
    return Cell(kernel, _plain(params), payload=True, output=_whole_word)


def _resonator(model: str, p: Numbers) -> Cell | None:
    from . import messages_compiled as compiled

    if not (_within(p["decay_bits"], 0, 62) and _within(p["state_exp"], 0, 31)):
        return None
    threshold = p["vth"] << p["state_exp"]
    params = {
        "sin_decay": p["sin_decay"],
        "cos_decay": p["cos_decay"],
        "decay_bits": p["decay_bits"],
        "state_exp": p["state_exp"],
        "threshold": threshold,
    }
    if not all(_within(x, *WORD) for x in (p["vth"], *params.values())):
        return None
    kernel = compiled.rf if model == "rf" else compiled.rf_iz
    return Cell(kernel, _plain(params))
