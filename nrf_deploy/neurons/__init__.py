"""Neurons: membranes and rules, two closed sets with one file per kind."""

from .base import Advance, Fire, Form, Membrane, Part, Rule, State, Unit
from .current_leaky import CurrentLeaky
from .integrator import Integrator
from .leaky import Leaky
from .linear_leak import LinearLeak
from .rising import Rising
from .spikes import Fires, PerStep, Reset, Spikes
from .value import Value

MEMBRANES: tuple[type[Membrane], ...] = (Integrator, LinearLeak, Leaky, CurrentLeaky)
RULES: tuple[type[Rule], ...] = (Value, Spikes)
PARTS: tuple[type[Part], ...] = (Rising,)
"""Parts that a field of a rule or a membrane can hold."""

__all__ = [
    "MEMBRANES",
    "PARTS",
    "RULES",
    "Advance",
    "CurrentLeaky",
    "Fire",
    "Fires",
    "Form",
    "Integrator",
    "Leaky",
    "LinearLeak",
    "Membrane",
    "Part",
    "PerStep",
    "Reset",
    "Rising",
    "Rule",
    "Spikes",
    "State",
    "Unit",
    "Value",
]
