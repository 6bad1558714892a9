"""Cells of the fast engine: the kernel of each neuron model, and its parameters in 32 bits.

neurons.py is normative. A cell computes the same in fewer bits: parameters within the chip's
limits lead to states and sums of 32 bits. For other parameters the functions return None, and
the plain engine runs the model. The kernels are in neurons_compiled.py and messages_compiled.py,
which load numba and are therefore imported only when a cell is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nrf_deploy.engines.emulator.kernels import WORD, Cell, Range
from nrf_deploy.ir.network import Array

from .integers import LIMIT, i32, shift

Numbers = Mapping[str, Array]


def _whole_word(arriving: Range) -> Range:
    return WORD


def _passed(arriving: Range) -> Range:
    """Return the range of a value that is passed unchanged or set to 0."""
    low, high = min(arriving[0], 0), max(arriving[1], 0)
    return (low, high) if WORD[0] <= low and high <= WORD[1] else WORD


def _ternary(arriving: Range) -> Range:
    return (-1, 1)


def _state(arriving: Range) -> Range:
    """Return the range of a potential, which does not depend on the input."""
    return (-LIMIT, LIMIT)


def _within(values: Array, low: int, high: int) -> bool:
    return bool(np.all((low <= values) & (values <= high)))


def _plain(values: Numbers) -> dict[str, Any]:
    return {name: int(x) if x.ndim == 0 else x for name, x in values.items()}


def _leaking(p: Numbers) -> Numbers | None:
    """Return the parameters that all leaky models share; None if they need more bits."""
    ranges = (("du", 0, 4095), ("dv", 0, 4096), ("u0", -(2**30), 2**30), ("v0", -(2**30), 2**30))
    thresholds = {name: x << 6 for name, x in p.items() if name.startswith("vth")}
    if not all(_within(p[name], *ends) for name, *ends in ranges):
        return None
    if not all(_within(p[name], -(2**25), 2**25 - 1) for name in thresholds):
        return None
    bias = i32(shift(p["bias_mant"].astype(np.int16).astype(np.int64), p["bias_exp"]))
    kept = {"keep_u": 4095 - p["du"], "keep_v": 4096 - p["dv"]}
    return {**kept, "bias": bias, **thresholds}


def lif(p: Numbers) -> Cell | None:
    from . import neurons_compiled as compiled

    if (params := _leaking(p)) is None:
        return None
    current, leak = bool(np.any(params["keep_u"])), bool(np.any(params["keep_v"] != 4096))
    driven = bool(np.any(params["bias"])) or not _within(params["vth"], 0, LIMIT - 2)
    shown, unseen = (compiled.LIF[current, leak, driven, seen] for seen in (True, False))
    return Cell(shown, _plain(params), unseen=unseen)


def lif_reset(p: Numbers) -> Cell | None:
    from . import neurons_compiled as compiled

    params, interval = _leaking(p), p["interval"]
    if params is None or not _within(interval, 1, WORD[1]):
        return None
    when = {"interval": interval, "offset": p["offset"] % interval}
    return Cell(compiled.lif_reset, _plain({**params, **when}))


def lif_refractory(p: Numbers) -> Cell | None:
    from . import neurons_compiled as compiled

    params, period = _leaking(p), p["period"]
    if params is None or not (_within(period, 0, WORD[1]) and _within(p["rest0"], 0, WORD[1])):
        return None
    return Cell(compiled.lif_refractory, _plain({**params, "period": period}))


def ternary_lif(p: Numbers) -> Cell | None:
    from . import neurons_compiled as compiled

    if (params := _leaking(p)) is None:
        return None
    return Cell(compiled.ternary_lif, _plain(params), output=_ternary)


def li(p: Numbers) -> Cell | None:
    from . import neurons_compiled as compiled

    params = _leaking(p)
    if params is None or not _within(p["shift"], 0, 23) or not _within(p["rectify"], 0, 1):
        return None
    shifted = {**params, "shift": p["shift"], "lowest": np.where(p["rectify"], 0, WORD[0])}
    return Cell(compiled.li, _plain(shifted), payload=True, output=_state)


def through(p: Numbers) -> Cell | None:
    from . import neurons_compiled as compiled

    return _payload(compiled.pass_, p)


def graded(p: Numbers) -> Cell | None:
    from . import neurons_compiled as compiled

    return _payload(compiled.graded_, p)


def graded_relu(p: Numbers) -> Cell | None:
    from . import neurons_compiled as compiled

    return _payload(compiled.graded_relu_, p)


def _payload(kernel: Any, p: Numbers) -> Cell | None:
    if not all(_within(x, *WORD) for x in p.values()):
        return None
    return Cell(kernel, _plain(p), payload=True, output=_passed)


def delta(p: Numbers) -> Cell | None:
    from . import messages_compiled as compiled

    if (params := _encoding(p)) is None:
        return None
    return Cell(compiled.delta, _plain(params), payload=True, output=_whole_word)


def sigma_delta(p: Numbers) -> Cell | None:
    from . import messages_compiled as compiled

    if (params := _encoding(p)) is None:
        return None
    more = {
        "bias": i32(p["bias"] << params["scale"]),
        "rectify": (p["act_mode"] == 1).astype(np.int64),
    }
    return Cell(compiled.sigma_delta, _plain({**params, **more}), payload=True, output=_whole_word)


def _encoding(p: Numbers) -> Numbers | None:
    scale = p["spike_exp"] + p["state_exp"]
    if not (_within(scale, 0, 31) and _within(p["state_exp"], 0, 31)):
        return None
    return {
        "scale": scale,
        "state_exp": p["state_exp"],
        "cumulative": (p["cum_error"] != 0).astype(np.int64),
        "threshold": i32(p["vth"] << scale),
    }


def rf(p: Numbers) -> Cell | None:
    from . import messages_compiled as compiled

    return _resonator(compiled.rf, p)


def rf_iz(p: Numbers) -> Cell | None:
    from . import messages_compiled as compiled

    return _resonator(compiled.rf_iz, p)


def _resonator(kernel: Any, p: Numbers) -> Cell | None:
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
    return Cell(kernel, _plain(params))
