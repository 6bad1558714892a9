"""Parameters of other frameworks' neurons, and the membranes that they stand for.

A framework holds decays, d of `v = d*v + x`; a membrane here has a time constant in float64,
tau = dt/(1 - d), from which the reference gets the same float32 d back. Each membrane that is built
here is checked for that: a number that does not come back is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Literal

import numpy as np

from nrf_deploy.diagnostics.findings import TargetError
from nrf_deploy.ir.network import Array, Node, Population
from nrf_deploy.neurons import CurrentLeaky, Integrator, Leaky, Membrane, Rule

from ..arrays import plain
from ..connections import connection
from .base import Call, Framework

STILL = 2.0**-40
"""The part that a potential without a leak loses in a step, beside others that leak.

1 - STILL is 1 in float32. A population of which no neuron leaks is an Integrator instead.
"""
Order = Literal["scaled", "filtered"]


@dataclass(frozen=True)
class Parameters:
    """The numbers of one layer, as arrays of its full shape with the float32 values of its steps.

    Attributes:
        framework: The framework of the layer.
        call: The call of the layer.
        dt: The time step of the network.
    """

    framework: Framework
    call: Call
    dt: float

    def refused(self, what: str, fix: str, why: str = "") -> TargetError:
        return self.framework.refused(self.call, what, fix, why)

    def array(self, value: Any, what: str) -> Array:
        """Return a number, or one per neuron, in full shape and float32, as torch computes with it.

        torch converts a single number to the type of the signal, float32; an array in float64
        makes the layer compute in float64, and is refused.
        """
        array = plain(value)
        if array.ndim and array.dtype == np.float64:
            raise self.refused(
                f"{what} is float64",
                "call .float() on the module and test it again before the export",
                "the layer would compute in another precision than its reference",
            )
        if array.dtype.kind not in "fiub":
            raise self.refused(f"{what} is {array.dtype}", "give numbers")
        array = array.astype(np.float32)
        if not np.all(np.isfinite(array)):
            raise self.refused(f"{what} is NaN or infinite", "export an earlier checkpoint")
        try:
            return np.array(np.broadcast_to(array, (1, *self.call.shape))[0])
        except ValueError:
            raise self.refused(
                f"{what} has the shape {array.shape}, the layer {self.call.shape}",
                "give one number, or an array that broadcasts to the layer",
            ) from None

    def scalar(self, value: Any, what: str) -> Array:
        """Return numbers that are the same for all neurons, in float32."""
        return plain(value).astype(np.float32)

    def population(self, membrane: Membrane, rule: Rule) -> Population:
        """Return the neurons; refuse numbers that contradict each other."""
        for fault in (*membrane.faults(), *rule.faults()):
            raise self.refused(fault, "change these numbers of the layer")
        return Population(name=self.call.name, membrane=membrane, rule=rule)

    def leaky(
        self, keep: Array, gain: Array, rest: Array | None = None, v0: Array | None = None
    ) -> Membrane:
        """Return v = (keep*v + gain*x) + rest, with the potential v0 (default 0) at first."""
        if np.all(keep == 1) and rest is None:
            return self._same(Integrator(r=_double(gain) / self.dt, v0=v0), "gain", gain)
        tau, k = self._decay(keep, "the decay of the potential")
        v_leak = np.zeros(self.call.shape) if rest is None else _double(rest) / k
        first = v0 if rest is None else np.zeros(self.call.shape) if v0 is None else v0
        membrane = Leaky(tau=tau, r=_double(gain) / k, v_leak=v_leak, order="scaled", v0=first)
        self._same(membrane, "gain", gain)
        return membrane if rest is None else self._same(membrane, "rest", rest)

    def relaxing(
        self, factor: Array, v_leak: Array, order: Literal["divided", "multiplied"], whole: bool
    ) -> Leaky:
        """Return v + (x - (v - v_leak))*q, or (v - (v - v_leak)*q) + x if not `whole`.

        Args:
            factor: in each step, q; with the order "divided" 1/q, by which the step divides
            v_leak: the potential at rest, and at first
            order: whether the step divides by 1/q or multiplies by q
            whole: True if x is multiplied by q too
        """
        tau = self.dt * _double(factor) if order == "divided" else self.dt / _double(factor)
        back = tau / self.dt if order == "divided" else self.dt / tau
        if np.any(back.astype(np.float32) != factor):
            raise self._lost("the decay of the potential", factor)
        r = np.ones(self.call.shape) if whole else tau / self.dt
        return Leaky(tau=tau, r=r, v_leak=_double(v_leak), order=order)

    def current(
        self,
        keeps: tuple[Array, Array],
        gain: Array,
        order: Order,
        rest: Array | None = None,
        v0: Array | None = None,
    ) -> CurrentLeaky:
        """Return a current that decays, and a potential that it moves.

            scaled     i' = i + x;  v = (d*v + gain*i') + rest;  i = a*i'
            filtered   i = a*(i + x);  v = (d*v + gain*i) + rest

        Args:
            keeps: (a, d), what current and potential keep in a step
            gain: what the current is multiplied by
            order: one of the two above
            rest: what is added in each step; None: nothing
            v0: the potential at first; None: 0
        """
        a, d = keeps
        if np.any(a == 1):
            raise self.refused(
                "its current does not decay",
                "train with a shorter synaptic time constant, or use neurons without a current",
                "such a current grows with every input, and no chip has it",
            )
        if order == "filtered" and np.any(a == 0):
            raise self.refused(
                "its current decays to 0 within a step", "use a longer synaptic time constant"
            )
        tau_syn, k_syn = self._decay(a, "the decay of the current")
        tau, k = self._decay(d, "the decay of the potential")
        amount = _double(gain) * (1 - k_syn) if order == "filtered" else _double(gain)
        zeros = np.zeros(self.call.shape)
        membrane = CurrentLeaky(
            tau_syn=tau_syn,
            tau_mem=tau,
            r=amount / k,
            v_leak=zeros if rest is None else _double(rest) / k,
            w_in=1 / k_syn,
            order=order,
            v0=zeros if rest is not None and v0 is None else v0,
        )
        drive = k * membrane.r / (1 - k_syn if order == "filtered" else 1)
        for what, theirs, ours in (
            ("the gain", gain, drive),
            ("the input's gain", np.ones(()), k_syn * membrane.w_in),
            ("the constant input", zeros if rest is None else rest, k * membrane.v_leak),
        ):
            if np.any(ours.astype(np.float32) != theirs):
                raise self._lost(what, theirs)
        return membrane

    def _decay(self, keep: Array, what: str) -> tuple[Array, Array]:
        """Return (tau, dt/tau) in float64 of neurons that keep this much of their value."""
        if np.any((keep < 0) | (keep > 1)):
            worst = float(keep[(keep < 0) | (keep > 1)].flat[0])
            raise self.refused(
                f"{what} keeps {worst:g} of its value; expected 0 to 1",
                "train with a time constant that is positive and not shorter than a step",
            )
        tau = self.dt / np.where(keep == 1, STILL, 1 - _double(keep))
        k = self.dt / tau
        if np.any((1 - k).astype(np.float32) != keep):
            raise self._lost(what, keep)
        return tau, k

    def _same(self, membrane: Membrane, what: str, theirs: Array) -> Membrane:
        """Return the membrane if its form has the framework's number."""
        form = membrane.form(self.dt)
        assert form is not None
        ours = form.drive if what == "gain" else form.rest
        if np.any(ours.astype(np.float32) != theirs):
            raise self._lost(f"the {what} of the potential", theirs)
        return membrane

    def _lost(self, what: str, value: Array) -> TargetError:
        least = float(np.min(np.abs(value)))
        return self.refused(
            f"{what} is {least:g}, which is rounded away in a time constant",
            "set it to 0, or train with a longer time constant",
        )


def _double(value: Array) -> Array:
    return value.astype(np.float64)


def class_of(value: Any) -> str:
    """Return the full name of the class of an object."""
    return f"{type(value).__module__}.{type(value).__qualname__}"


def stock(
    framework: Framework,
    call: Call,
    classes: Iterable[str],
    fix: str,
    harmless: tuple[str, ...] = (),
) -> str:
    """Return the full class name of a layer that computes what its class in the framework does.

    Args:
        framework: the framework of the layer
        call: the call of the layer
        classes: the full names of the classes that are read
        fix: what to use instead of another class
        harmless: names of methods that may be replaced in one object
    """
    module, name = call.module, class_of(call.module)
    if name not in classes:
        first = type(module).__module__.split(".")[0]
        base = next(c for c in type(module).__mro__ if c.__module__.startswith(framework.package))
        if first != framework.package:
            raise framework.refused(
                call,
                f"it is a subclass of {base.__name__}",
                f"use {base.__name__} itself, or export the layers that it is made of",
                "a subclass may compute something else",
            )
        if type(module).__name__ in {c.rpartition(".")[2] for c in classes}:
            raise framework.refused(
                call,
                f"its class is {name}, unlike in {framework.name} {framework.release}",
                f"train and export with {framework.name} {framework.release}",
                "another version may compute it in another way",
            )
        raise framework.refused(call, "it has no exact counterpart", fix)
    replaced = [
        n
        for n, value in vars(module).items()
        if callable(value) and callable(getattr(type(module), n, None)) and n not in harmless
    ]
    replaced += [
        n
        for cls in type(module).__mro__
        if cls.__module__.split(".")[0] == framework.package
        for n, value in vars(cls).items()
        if isinstance(value, FunctionType)
        and value.__module__.split(".")[0] not in (framework.package, "torch")
    ]
    if replaced:
        raise framework.refused(
            call,
            f"its method {replaced[0]!r} is replaced",
            "export the layer as its class defines it",
        )
    return name


def inner_connection(framework: Framework, call: Call, module: Any, what: str) -> Node:
    """Return the connection inside a layer from its spikes back to its input.

    Args:
        framework: the framework of the layer
        call: the call of the layer
        module: the connection
        what: its attribute of the layer
    """
    from torch import nn

    if type(module) not in (nn.Linear, nn.Conv2d):
        raise framework.refused(
            call,
            f"{what} is {type(module).__name__}",
            "use torch.nn.Linear on a flat layer, or torch.nn.Conv2d",
        )
    if module._forward_hooks or module._forward_pre_hooks:
        raise framework.refused(call, f"{what} carries forward hooks", "remove the hooks")
    name = f"{call.name}.{what}"
    inner = Call(name, module, (call.name,), call.shape, call.shape, arrays=call.arrays)
    back = connection(inner, call.arrays)
    if back.shape != call.shape:
        raise framework.refused(
            call,
            f"{what} gives {back.shape}, the layer {call.shape}",
            "use a connection that gives the shape of the layer, such as one with an odd kernel",
        )
    return back


def fires(function: Callable[[Any], Any]) -> Literal["above", "at", ""]:
    """Return where a function of v - threshold gives 1 instead of 0; "" if it gives other values.

    Args:
        function: a step function of torch with any gradient
    """
    import torch

    tiny = [2.0**-149, 1e-38, 1e-20, 1e-7, 0.25, 0.5, 1.0, 1.5, 7.0, 1e4, 3e38]
    below, over = torch.tensor([-x for x in tiny]), torch.tensor(tiny)
    with torch.no_grad():
        try:
            results = [plain(function(x)) for x in (below, over, torch.zeros(3))]
        except Exception:  # a function of the user's: whatever it raises, it is not a step
            return ""
    if any(r.shape != (n,) for r, n in zip(results, (len(tiny), len(tiny), 3), strict=True)):
        return ""
    if np.any(results[0] != 0) or np.any(results[1] != 1):
        return ""
    if np.all(results[2] == 0):
        return "above"
    return "at" if np.all(results[2] == 1) else ""
