"""A witness: what the training framework itself gave on a short input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .nodes import Array
from .recording import Recording


@dataclass(frozen=True, eq=False, kw_only=True)
class Witness:
    """Spikes of every layer of a trained model, made by the framework that trained it.

    Attributes:
        producer: The framework, such as "snntorch".
        version: Its version.
        input: The input of each step.
        outputs: By population, what left it in each step: spikes, or values.
        potentials: By population, its potential after each step, (steps, *shape) in float32;
            empty where the framework does not show it.
        undecided: What this input does not decide, in words, such as "layer 'fc': no neuron
            spiked twice in a row".
    """

    producer: str
    version: str
    input: Recording
    outputs: Mapping[str, Recording]
    potentials: Mapping[str, Array] = field(default_factory=dict)
    undecided: tuple[str, ...] = ()
