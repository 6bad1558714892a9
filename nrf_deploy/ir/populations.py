"""Populations by the names of NIR's nodes, for networks that are built in Python.

Each function returns a Population of the membrane and the rule that NIR's node of its name stands
for. Its numbers have NIR's names; `more` are the other fields of the rule (neurons/), such as
`reset`, `fires` or `rectified`. Neurons that NIR has no node for are built by their parts.
"""

from __future__ import annotations

from typing import Any

from nrf_deploy.neurons import CurrentLeaky, Fires, Integrator, Leaky, Reset, Spikes, Value

from .nodes import Array, Population


def I(*, name: str, r: Array, **more: Any) -> Population:  # noqa: E743, N802 - NIR's name
    """Return integrators whose value is their potential."""
    return Population(name=name, membrane=Integrator(r=r), rule=Value(**more))


def IF(  # noqa: N802
    *,
    name: str,
    r: Array,
    v_threshold: Array,
    v_reset: Array | float = 0.0,
    reset: Reset = "value",
    fires: Fires = "above",
    **more: Any,
) -> Population:
    """Return integrators that spike."""
    rule = Spikes(threshold=v_threshold, reset_to=v_reset, reset=reset, fires=fires, **more)
    return Population(name=name, membrane=Integrator(r=r), rule=rule)


def LI(  # noqa: N802
    *, name: str, tau: Array, r: Array, v_leak: Array, **more: Any
) -> Population:
    """Return leaky integrators whose value is their potential."""
    membrane = Leaky(tau=tau, r=r, v_leak=v_leak)
    return Population(name=name, membrane=membrane, rule=Value(**more))


def LIF(  # noqa: N802
    *,
    name: str,
    tau: Array,
    r: Array,
    v_leak: Array,
    v_threshold: Array,
    v_reset: Array | float = 0.0,
    reset: Reset = "value",
    fires: Fires = "above",
    **more: Any,
) -> Population:
    """Return leaky integrators that spike."""
    membrane = Leaky(tau=tau, r=r, v_leak=v_leak)
    rule = Spikes(threshold=v_threshold, reset_to=v_reset, reset=reset, fires=fires, **more)
    return Population(name=name, membrane=membrane, rule=rule)


def CubaLI(  # noqa: N802
    *, name: str, tau_syn: Array, tau_mem: Array, r: Array, v_leak: Array, w_in: Array, **more: Any
) -> Population:
    """Return leaky integrators behind a leaky current, whose value is their potential."""
    membrane = CurrentLeaky(tau_syn=tau_syn, tau_mem=tau_mem, r=r, v_leak=v_leak, w_in=w_in)
    return Population(name=name, membrane=membrane, rule=Value(**more))


def CubaLIF(  # noqa: N802
    *,
    name: str,
    tau_syn: Array,
    tau_mem: Array,
    r: Array,
    v_leak: Array,
    w_in: Array,
    v_threshold: Array,
    v_reset: Array | float = 0.0,
    reset: Reset = "value",
    fires: Fires = "above",
    **more: Any,
) -> Population:
    """Return leaky integrators behind a leaky current that spike."""
    membrane = CurrentLeaky(tau_syn=tau_syn, tau_mem=tau_mem, r=r, v_leak=v_leak, w_in=w_in)
    rule = Spikes(threshold=v_threshold, reset_to=v_reset, reset=reset, fires=fires, **more)
    return Population(name=name, membrane=membrane, rule=rule)
