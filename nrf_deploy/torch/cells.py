"""Norse's cells as populations.

A cell holds its parameters in a named tuple `p` and its own time step. LIFCell adds its
input to the current unscaled, a CubaLIF adds dt/tau_syn * w_in of it: w_in = tau_syn/dt.
IAFCell adds its input to the voltage, an IF adds dt * r of it: r = 1/dt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, TargetError, error, warning
from nrf_deploy.ir.network import IF, LI, LIF, Array, CubaLI, CubaLIF, Population, Reset

from .arrays import finite, plain
from .trace import Call, Step

SLACK = 1e-6  # dt * tau_inv is a float32 product: this much above 1 is still 1


def is_cell(module: Any) -> bool:
    """Return True for a module of Norse that makes one step, without its own loop over time."""
    from norse.torch.module.snn import SNNCell

    return isinstance(module, SNNCell)


def is_norse_leaf(module: Any) -> bool:
    """Return True for a module of Norse that is not a container: a cell, or refused by name."""
    from norse.torch import SequentialState

    ours = type(module).__module__.startswith("norse.torch.")
    return is_cell(module) or (ours and not isinstance(module, SequentialState))


def population(call: Call, dt: float) -> Population:
    kinds = _kinds()
    make = kinds.get(call.module.activation)
    if make is None or not _steps_as_norse(call.module):
        raise TargetError(
            error(
                "EXPORT-CELL",
                f"{type(call.module).__name__} has no counterpart in NIR",
                layer=call.name,
                fix="use LIFBoxCell, LIBoxCell, LIFCell, LICell or IAFCell",
            )
        )
    return make(call, dt)


def doubts(call: Call, dt: float) -> Iterator[Finding]:
    """Yield a finding for each dt * tau_inv that Norse does not compute in float32."""
    for name in ("tau_mem_inv", "tau_syn_inv"):
        inverse = plain(getattr(call.module.p, name, np.float32(1)))
        ours = np.float32(dt) * inverse.astype(np.float32)
        if inverse.dtype != np.float32 and np.any((dt * inverse).astype(np.float32) != ours):
            yield warning(
                "EXPORT-PRECISION",
                f"{name} is {inverse.dtype}: dt * {name} rounds differently than in float32",
                layer=call.name,
                why="states may differ from the reference in the last bit",
                fix=f"give {name} as a float32 tensor",
            )


def _kinds() -> dict[Any, Callable[[Call, float], Population]]:
    """Map each step function to its converter; a subclass may replace the function."""
    from norse.torch.functional import iaf, leaky_integrator, leaky_integrator_box, lif_box
    from norse.torch.module import lif as module_lif

    return {
        lif_box.lif_box_feed_forward_step: _lif_box,
        leaky_integrator_box.li_box_feed_forward_step: _li_box,
        module_lif.lif_feed_forward_step: _lif,
        module_lif.lif_feed_forward_adjoint_step: _lif,
        leaky_integrator.li_feed_forward_step: _li,
        iaf.iaf_feed_forward_step: _iaf,
    }


def _steps_as_norse(cell: Any) -> bool:
    from norse.torch.module.snn import SNNCell

    return type(cell).forward is SNNCell.forward


def _lif_box(call: Call, dt: float) -> Population:
    return LIF(
        name=call.name,
        tau=_tau(call, "tau_mem_inv", dt),
        r=_constant(call, 1.0),
        v_leak=_voltage(call, "v_leak"),
        reset=_reset(call),
        **_firing(call),
    )


def _li_box(call: Call, dt: float) -> Population:
    tau = _tau(call, "tau_mem_inv", dt)
    return LI(
        name=call.name,
        tau=tau,
        r=_constant(call, 1.0),
        v_leak=_voltage(call, "v_leak"),
        rectified=call.rectified,
    )


def _lif(call: Call, dt: float) -> Population:
    return CubaLIF(name=call.name, **_cuba(call, dt), **_firing(call))


def _li(call: Call, dt: float) -> Population:
    return CubaLI(name=call.name, **_cuba(call, dt))


def _iaf(call: Call, dt: float) -> Population:
    return IF(name=call.name, r=_constant(call, 1.0 / dt), **_firing(call))


def _cuba(call: Call, dt: float) -> dict[str, Any]:
    tau_syn = _tau(call, "tau_syn_inv", dt)
    return {
        "tau_syn": tau_syn,
        "tau_mem": _tau(call, "tau_mem_inv", dt),
        "r": _constant(call, 1.0),
        "v_leak": _voltage(call, "v_leak"),
        "w_in": tau_syn / dt,
    }


def _firing(call: Call) -> dict[str, Any]:
    return {"v_threshold": _voltage(call, "v_th"), "v_reset": _voltage(call, "v_reset")}


def _reset(call: Call) -> Reset:
    from norse.torch.functional.reset import reset_subtract, reset_value

    method = call.module.p.reset_method
    if method is reset_value:
        return "value"
    if method is reset_subtract:
        return "subtract"
    name = getattr(method, "__name__", str(method))
    raise TargetError(
        error(
            "EXPORT-RESET",
            f"the reset method {name!r} is neither reset_value nor reset_subtract",
            layer=call.name,
            fix="use one of these two from norse.torch.functional.reset",
        )
    )


def _tau(call: Call, inverse: str, dt: float) -> Array:
    """Return 1/tau_inv in float64, from which the float32 tau_inv is recovered exactly."""
    value = _voltage(call, inverse)
    rate = np.float32(dt) * value.astype(np.float32)
    if not np.all((value > 0) & (rate <= 1 + SLACK)):
        worst = value.flat[int(np.argmax(np.where(value > 0, value, np.inf)))]
        raise TargetError(
            error(
                "EXPORT-TAU",
                f"{inverse} is {worst:g}, and dt is {dt:g}",
                layer=call.name,
                why="a time constant must be positive and no shorter than the time step",
                fix="give the cell a smaller dt or a longer time constant",
            )
        )
    return 1.0 / value


def _voltage(call: Call, parameter: str) -> Array:
    """Return a parameter in full shape and float64, with the exact value that Norse has."""
    value = plain(getattr(call.module.p, parameter)).astype(np.float64)
    finite(value, call.name, parameter)
    try:
        return np.array(np.broadcast_to(value, (1, *call.shape))[0])
    except ValueError:
        raise TargetError(
            error(
                "EXPORT-PARAMETER",
                f"{parameter} has the shape {value.shape}, the layer {call.shape}",
                layer=call.name,
                fix="give one value, or an array that broadcasts to the layer",
            )
        ) from None


def _constant(call: Call, value: float) -> Array:
    return np.full(call.shape, value)


def rectified(step: Step) -> Step:
    """Merge each ReLU that is the only target of an LIBoxCell into it.

    Other ReLUs stay, and are refused as layers without a counterpart.
    """
    by_name = {c.name: c for c in step.calls}
    uses = Counter([s for c in step.calls for s in c.sources] + list(step.output))
    instead: dict[str, str] = {}
    for call in step.calls:
        before = by_name.get(call.sources[0]) if len(call.sources) == 1 else None
        if _is_relu(call) and before and _is_li(before) and uses[before.name] == 1:
            instead[call.name] = before.name
    followed = set(instead.values())
    calls = tuple(
        replace(
            c,
            sources=tuple(instead.get(s, s) for s in c.sources),
            rectified=c.name in followed,
        )
        for c in step.calls
        if c.name not in instead
    )
    return replace(step, calls=calls, output=tuple(instead.get(s, s) for s in step.output))


def _is_relu(call: Call) -> bool:
    import torch

    return type(call.module) is torch.nn.ReLU and not call.faults


def _is_li(call: Call) -> bool:
    from norse.torch import LIBoxCell

    return isinstance(call.module, LIBoxCell)
