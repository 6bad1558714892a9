"""NIR's own equations, as its documentation prints them, in steps of forward Euler.

    IF       v += dt*r*x                                     spike where v > v_threshold
    LIF      tau v' = v_leak - v + r*x                       then v = v_reset
    CubaLIF  tau_syn i' = -i + w_in*x;  tau_mem v' = v_leak - v + r*i

With Euler's step these are Norse's cells (docs/semantics.md). The membranes are built from the
fields of the same names, so this dialect has no algebra: neuron_builders.py reads them.
"""

from __future__ import annotations

from .base import Defaults, Dialect


class NirItself(Dialect):
    """The reading by NIR's definition."""

    name = "nir"
    framework = "NIR"
    rule = Defaults()
    kinds = ("IF", "LIF", "CubaLIF", "I", "LI", "CubaLI")
    means = "NIR's printed equations: v = v_reset after a spike, at v > v_threshold"
