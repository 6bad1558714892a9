"""Norse's cells and layers as populations.

A cell holds its parameters in a named tuple `p` and its own time step. LIFCell adds its
input to the current unscaled, a CubaLIF adds dt/tau_syn * w_in of it: w_in = tau_syn/dt.
IAFCell adds its input to the voltage, an IF adds dt * r of it: r = 1/dt.

    LIFRecurrentCell  LIFCell on W_in x + W_rec z, with the spikes z of the step before
    LIFRefracCell     LIFCell whose v stands still for rho_reset steps after a spike

Layers over time (LIF, LI, LIFRecurrent) are their cell in every step, time first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, TargetError, error, warning
from nrf_deploy.ir.network import IF, LI, LIF, Array, CubaLI, CubaLIF, Linear, Population, Reset

from ..arrays import finite, plain
from .base import Call, Framework, Piece

SLACK = 1e-6  # dt * tau_inv is a float32 product: this much above 1 is still 1
CONTAINERS = ("SequentialState", "RecurrentSequential", "Lift")
FIX = "use LIFBoxCell, LIBoxCell, LIFCell, LICell, LIFRefracCell, LIFRecurrentCell or IAFCell"
WHY = {
    "LSNN": "its input moves v one step late, and its threshold is rounded in another order than "
    "a rising threshold here",
}

Make = Callable[[Call, Any, float], Population]


def leaf(module: Any) -> bool:
    """Return True for a cell or layer, and for all that is not a known container."""
    ours = next(c for c in type(module).__mro__ if c.__module__.startswith("norse."))
    return ours.__name__ not in CONTAINERS


def read(call: Call, dt: float) -> Piece:
    """Return the nodes of a cell or layer; refuse one whose step is not known exactly."""
    module = call.module
    if not _steps_as_norse(module):
        raise _unknown(call)
    activation = module.activation
    p = module.p.lif if activation in _refractory() else module.p
    if (make := _feed_forward().get(activation)) is not None:
        return Piece((make(call, p, dt),))
    if activation in _recurrent():
        return _looped(call, _recurrent()[activation](call, p, dt))
    raise _unknown(call)


def time_step(module: Any) -> float | None:
    dt = getattr(module, "dt", None)
    return None if dt is None else float(dt)


def time(module: Any) -> tuple[str, ...] | None:
    """Return the leading axes of a layer that makes all steps in one call."""
    from norse.torch.module.snn import SNN, SNNRecurrent

    return ("T", "B") if isinstance(module, SNN | SNNRecurrent) else None


def potential(module: Any, output: Any) -> Any:
    """Return v of the state that a cell returns beside its spikes."""
    if time(module) is not None or not isinstance(output, tuple) or len(output) != 2:
        return None
    state = getattr(output[1], "lif", output[1])
    return getattr(state, "v", None)


def doubts(call: Call, dt: float) -> Iterator[Finding]:
    """Yield a finding for each dt * tau_inv that Norse does not compute in float32."""
    p = getattr(call.module, "p", None)
    p = getattr(p, "lif", p)
    for name in ("tau_mem_inv", "tau_syn_inv"):
        inverse = plain(getattr(p, name, np.float32(1)))
        ours = np.float32(dt) * inverse.astype(np.float32)
        if inverse.dtype != np.float32 and np.any((dt * inverse).astype(np.float32) != ours):
            yield warning(
                "EXPORT-PRECISION",
                f"{name} is {inverse.dtype}: dt * {name} rounds differently than in float32",
                layer=call.name,
                why="states may differ from the reference in the last bit",
                fix=f"give {name} as a float32 tensor",
            )


def _unknown(call: Call) -> TargetError:
    kind = type(call.module).__name__
    return TargetError(
        error(
            "EXPORT-CELL",
            f"{kind} of Norse has no exact counterpart",
            layer=call.name,
            why=next((why for name, why in WHY.items() if name in kind), ""),
            fix=FIX,
        )
    )


def _steps_as_norse(module: Any) -> bool:
    """Return True if a module runs one of Norse's own forward methods."""
    from norse.torch.module.snn import SNN, SNNCell, SNNRecurrent, SNNRecurrentCell

    bases = (SNNCell, SNNRecurrentCell, SNN, SNNRecurrent)
    unchanged = "forward" not in vars(module)
    return unchanged and any(type(module).forward is base.forward for base in bases)


def _feed_forward() -> dict[Any, Make]:
    """Map each step function to its converter; a subclass may replace the function."""
    from norse.torch.functional import iaf, leaky_integrator, leaky_integrator_box, lif_box
    from norse.torch.module import lif, lif_refrac

    return {
        lif_box.lif_box_feed_forward_step: _lif_box,
        leaky_integrator_box.li_box_feed_forward_step: _li_box,
        lif.lif_feed_forward_step: _lif,
        lif.lif_feed_forward_adjoint_step: _lif,
        leaky_integrator.li_feed_forward_step: _li,
        iaf.iaf_feed_forward_step: _iaf,
        lif_refrac.lif_refrac_feed_forward_step: _lif_refrac,
        lif_refrac.lif_refrac_feed_forward_adjoint_step: _lif_refrac,
    }


def _recurrent() -> dict[Any, Make]:
    """Map each step function of a recurrent cell to the converter of its neurons."""
    from norse.torch.module import lif, lif_refrac

    return {
        lif.lif_step: _lif,
        lif.lif_adjoint_step: _lif,
        lif_refrac.lif_refrac_step: _lif_refrac,
        lif_refrac.lif_refrac_adjoint_step: _lif_refrac,
    }


def _refractory() -> tuple[Any, ...]:
    from norse.torch.module import lif_refrac

    return (
        lif_refrac.lif_refrac_feed_forward_step,
        lif_refrac.lif_refrac_feed_forward_adjoint_step,
        lif_refrac.lif_refrac_step,
        lif_refrac.lif_refrac_adjoint_step,
    )


def _looped(call: Call, population: Population) -> Piece:
    """Return a population with its matrices in and back; neither has a bias."""
    name, cell = call.name, call.module
    into, back = f"{name}.input", f"{name}.recurrent"
    return Piece(
        (
            population,
            Linear(name=into, weight=call.arrays(cell.input_weights, name, "input_weights")),
            Linear(name=back, weight=call.arrays(cell.recurrent_weights, name, "the weight")),
        ),
        ((into, name), (name, back), (back, name)),
        entry=into,
        exit=name,
    )


def _lif_box(call: Call, p: Any, dt: float) -> Population:
    return LIF(
        name=call.name,
        tau=_tau(call, p, "tau_mem_inv", dt),
        r=_constant(call, 1.0),
        v_leak=_voltage(call, p, "v_leak"),
        reset=_reset(call, p),
        **_firing(call, p),
    )


def _li_box(call: Call, p: Any, dt: float) -> Population:
    return LI(
        name=call.name,
        tau=_tau(call, p, "tau_mem_inv", dt),
        r=_constant(call, 1.0),
        v_leak=_voltage(call, p, "v_leak"),
    )


def _lif(call: Call, p: Any, dt: float) -> Population:
    return CubaLIF(name=call.name, **_cuba(call, p, dt), **_firing(call, p))


def _lif_refrac(call: Call, p: Any, dt: float) -> Population:
    rest = _voltage(call, call.module.p, "rho_reset")
    if np.any(rest != np.rint(rest)) or np.any(rest < 1):
        raise TargetError(
            error(
                "EXPORT-PARAMETER",
                f"rho_reset is {rest.flat[0]:g}; expected whole steps, at least 1",
                layer=call.name,
                fix="give it a whole number of steps, or use LIFCell",
            )
        )
    return CubaLIF(name=call.name, **_cuba(call, p, dt), **_firing(call, p), refractory=rest)


def _li(call: Call, p: Any, dt: float) -> Population:
    return CubaLI(name=call.name, **_cuba(call, p, dt))


def _iaf(call: Call, p: Any, dt: float) -> Population:
    return IF(name=call.name, r=_constant(call, 1.0 / dt), **_firing(call, p))


def _cuba(call: Call, p: Any, dt: float) -> dict[str, Any]:
    tau_syn = _tau(call, p, "tau_syn_inv", dt)
    return {
        "tau_syn": tau_syn,
        "tau_mem": _tau(call, p, "tau_mem_inv", dt),
        "r": _constant(call, 1.0),
        "v_leak": _voltage(call, p, "v_leak"),
        "w_in": tau_syn / dt,
    }


def _firing(call: Call, p: Any) -> dict[str, Any]:
    return {"v_threshold": _voltage(call, p, "v_th"), "v_reset": _voltage(call, p, "v_reset")}


def _reset(call: Call, p: Any) -> Reset:
    from norse.torch.functional.reset import reset_subtract, reset_value

    method = p.reset_method
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


def _tau(call: Call, p: Any, inverse: str, dt: float) -> Array:
    """Return 1/tau_inv in float64, from which the float32 tau_inv is recovered exactly."""
    value = _voltage(call, p, inverse)
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


def _voltage(call: Call, p: Any, parameter: str) -> Array:
    """Return a parameter in full shape and float64, with the exact value that Norse has."""
    value = plain(getattr(p, parameter)).astype(np.float64)
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


FRAMEWORK = Framework(
    "Norse", "norse", leaf, read, time_step, time=time, potential=potential, doubts=doubts
)
