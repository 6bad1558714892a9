"""Constant input of neurons: in their bias register, or by synapses from a neuron always on.

The bias register adds to the potential. Where a current filters what arrives, a connection's
bias must pass the filter too, so it arrives as spikes do: one neuron (threshold 0, bias of one
unit) spikes in every step from the first, and its synapses to a layer hold the layer's biases.

A layer of latency L takes its first input of the model in step L. Its constant input has to
start in that step, neither before nor after, so it leaves relay L - 1 of that neuron (each relay
repeats it a step later). The bias of a loop that the model lacks in its first step leaves the
relay behind that one.

A synapse stores 8 bits times 2^exponent. An integer n is two of them, (n >> e) << e and the rest,
for each sign: exact up to MOST.

A sum counts whole weight units, which is coarse where a current and a leak add them up. What
rounding leaves, r, goes to the register. With a current that loses the part k of itself in a step

    u' = (1 - k) u + r, v' = ... + u'    is    u' = (1 - k) u, v' = ... + u' + r / k

if the current starts r / k lower; r / k is rounded to 64ths of a unit, not r to units.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nrf_deploy.compiler.quantize.constant_input import constant
from nrf_deploy.compiler.quantize.neuron import Neuron
from nrf_deploy.diagnostics.findings import Finding, info
from nrf_deploy.diagnostics.text import several
from nrf_deploy.ir import program as chip_program
from nrf_deploy.ir.layer_view import Layers
from nrf_deploy.ir.network import Array, Population, Shape
from nrf_deploy.ir.program import Dense, Program, Sparse, Synapses
from nrf_deploy.neurons import CurrentLeaky

from ..arithmetic.neurons import relay
from ..arithmetic.rules import LoihiArithmetic
from ..chip import STATE_SHIFT
from .subtracting import mirrors

BYTE, EXPONENT = 255, 7  # the largest weight of one sign, and its largest exponent
MOST = (BYTE << EXPONENT) + (1 << EXPONENT) - 1
ONE_A_STEP = {"bias_mant": 1, "bias_exp": STATE_SHIFT}


@dataclass(frozen=True, eq=False)
class ConstantInput:
    """Constant input of a population a step, for each neuron.

    Attributes:
        register: What is added to v, in units of v.
        register_late: The part of it that the model lacks in its first step.
        arrives: What is added to the weighted inputs, in their units.
        arrives_late: The part of it that the model lacks in its first step.
    """

    register: Array
    register_late: Array
    arrives: Array
    arrives_late: Array

    @property
    def most(self) -> Array:
        """The largest magnitude of what arrives."""
        return np.asarray(
            np.maximum(np.abs(self.arrives), np.abs(self.arrives - self.arrives_late))
        )

    def integers(self, gain: Array) -> tuple[Array, Array]:
        """Return what arrives in every step, and what is missing of it in the first one."""
        late = np.rint(self.arrives_late * gain).astype(np.int64)
        return np.rint((self.arrives - self.arrives_late) * gain).astype(np.int64) + late, late

    def register_of_rest(self, gain: Array, du: Array | int) -> Array:
        """Return what the register adds for what rounding leaves of `arrives`, in 64ths."""
        rest = self.arrives * gain - self.integers(gain)[0]
        return np.asarray(np.rint(rest * 2**STATE_SHIFT * 4096 / (np.asarray(du) + 1)))


def filters(node: Population) -> bool:
    """Return True for neurons whose input is filtered before it moves the potential."""
    return type(node.membrane) is CurrentLeaky


def constant_input(view: Layers, node: Population, form: Neuron) -> ConstantInput:
    """Return the constant input of a population: resting drive and biases of connections."""
    every = constant(view, node.name, form)
    late = constant(view, node.name, form, late_only=True)
    none = np.zeros(node.shape)
    if mirrors(node):
        return ConstantInput(none, none, every / form.drive, late / form.drive)
    if not filters(node):
        return ConstantInput(every, late, none, none)
    return ConstantInput(form.rest, none, (every - form.rest) / form.drive, late / form.drive)


def parts(integers: Array) -> Iterator[tuple[Array, int]]:
    """Yield (weights, exponent) of synapses whose sums are these integers.

    Each has weights of one sign, which keep all 8 bits.
    """
    for sign in (1, -1):
        size = np.maximum(sign * integers, 0)
        exponent = max(int(size.max(initial=0)).bit_length() - 8, 0)
        low = size & ((1 << exponent) - 1)
        for weights, e in ((size >> exponent, exponent), (low, 0)):
            if weights.any():
                yield sign * weights, e


class AlwaysOn:
    """The neuron that spikes in every step, its relays and their synapses, as they are needed."""

    def __init__(self, taken: Collection[str]):
        self.taken = set(taken)
        self.populations: list[chip_program.Population] = []
        self.synapses: list[Synapses] = []

    def feed(self, target: str, shape: Shape, integers: Array, first: int) -> Iterator[Finding]:
        """Add what gives a population these integers in every step from step `first` on."""
        flat = np.broadcast_to(integers, shape).ravel()
        if flat.any():
            each = sum((weights != 0).astype(np.int64) for weights, _ in parts(flat))
            yield info(
                "LOIHI-BIAS-SOURCE",
                f"its bias comes by {several(int(np.max(each)), 'synapse')} a neuron from a neuron "
                f"that spikes in every step, behind {several(first - 1, 'relay')}; the largest "
                f"adds {np.abs(flat).max()} units of a weight",
                layer=target,
            )
        for weights, exponent in parts(flat):
            source = self._from(first - 1)
            ends = {"source": source, "targets": (target,), "target_shape": shape}
            sign = "raises" if weights.max() > 0 else "lowers"
            self._dense(f"{source} {sign} {target}", weights.reshape(-1, 1), exponent, ends)

    def _from(self, step: int) -> str:
        """Return the population that spikes in every step from this one on."""
        assert step >= 0, "every layer is fed by an input, and so is at least a step behind it"
        while len(self.populations) <= step:
            late = len(self.populations)
            name = self.fresh(f"always on ({late})" if late else "always on")
            model, params = relay(payloads=False)
            if late:
                before = self.populations[-1].name
                ends = {"source": before, "targets": (name,), "target_shape": (1,)}
                self._dense(f"{before} to {name}", np.ones((1, 1), np.int64), 0, ends)
            else:
                params = {**params, **ONE_A_STEP}
            self.populations.append(
                chip_program.Population(name=name, shape=(1,), model=model, params=params)
            )
        return self.populations[step].name

    def _dense(self, name: str, weight: Array, exponent: int, ends: Mapping[str, Any]) -> None:
        params = {"num_message_bits": 0, "num_weight_bits": 8}
        if exponent:
            params["weight_exp"] = exponent
        self.synapses.append(
            Dense(
                name=self.fresh(name),
                weight=weight,
                params=params,
                source_shape=(1,),
                **ends,
            )
        )

    def fresh(self, name: str) -> str:
        while name in self.taken:
            name += "~"
        self.taken.add(name)
        return name


def reset_synapses(
    population: chip_program.Population, amounts: Array, fresh: Callable[[str], str]
) -> Iterator[Synapses]:
    """Yield synapses of each neuron to itself that take these amounts off, a step after a spike.

    `fresh` makes a name unique.
    """
    for weights, exponent in parts(-amounts.ravel()):
        places = np.flatnonzero(weights)
        yield Sparse(
            name=fresh(f"{population.name} (reset)"),
            source=population.name,
            targets=(population.name,),
            weight=weights[places],
            row=places,
            column=places,
            source_shape=population.shape,
            target_shape=population.shape,
            params={"num_message_bits": 0} | ({"weight_exp": exponent} if exponent else {}),
        )


def arriving_always(program: Program, name: str) -> Array:
    """Return what neurons that are always on add to u of a population in every step."""
    total = np.zeros(program.population(name).size, np.int64)
    for s in program.into(name):
        if isinstance(s, Dense) and _always_on(program, s.source):
            stored = LoihiArithmetic().held(s).sum(axis=1)
            total += stored << (int(s.params.get("weight_exp", 0)) + STATE_SHIFT)
    return total.reshape(program.population(name).shape)


def _always_on(program: Program, name: str) -> bool:
    """Return True for the neuron that spikes in every step, and for its relays."""
    known = {p.name: p for p in program.populations}
    model, params = relay(payloads=False)
    relays, sources = (model, params), (model, {**params, **ONE_A_STEP})
    for _ in known:  # a chain of relays is no longer
        if name not in known or known[name].shape != (1,):
            return False
        neuron = (known[name].model, dict(known[name].params))
        into = program.into(name)
        if not into:
            return neuron == sources
        if len(into) != 1 or neuron != relays or not np.all(into[0].weight > 0):
            return False
        name = into[0].source
    return False
