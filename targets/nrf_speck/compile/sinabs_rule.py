"""sinabs' own rule for the integers of a core: the method "sinabs" of a scheme.

sinabs scales everything in a core by one number and rounds it (3.1.3, `discretize_conv_spike_`):

    scale = min(s(weights, 8 bits), s(biases, 8 bits), s(thresholds, 16 bits), s(v0, 16 bits))
    s(x, n) = (2^(n-1) - 1) / max x, or 2^(n-1) / |min x| where the negative side is the larger

The thresholds are min_v_mem and spike_threshold; without min_v_mem sinabs takes -32768, so the
scale is at most 1. Each step below is the float32 operation of torch in the same order, so every
weight, bias and threshold equals that of sinabs. Whatever sinabs does not have is refused: its
rule would mean something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from nrf_deploy.compiler import checks
from nrf_deploy.compiler.quantize.constant_input import constant
from nrf_deploy.compiler.quantize.groups import ruled
from nrf_deploy.compiler.quantize.neuron import neuron
from nrf_deploy.compiler.quantize.rules import LayerRules, Rules
from nrf_deploy.compiler.quantize.scheme import (
    ConnectionScheme,
    PopulationScheme,
    single,
    whole,
)
from nrf_deploy.diagnostics.findings import Finding, error, warning
from nrf_deploy.ir.layer_view import Layers
from nrf_deploy.ir.network import Array, Network, Population
from nrf_deploy.neurons import Integrator, Spikes

from ..chip import LEAST, MOST, PREFIX
from .branches import Branch, branches, key, rows

METHOD = "sinabs"
WEIGHT_BITS, STATE_BITS = 8, 16
LOST, COARSE = 0.5, 0.1
"""Relative errors of the weights of a connection that are refused, and warned of."""


@dataclass(frozen=True, eq=False)
class Numbers:
    """The numbers of a core as sinabs scales them: float32, in the units of the model's v."""

    weights: Mapping[str, Array]  # key -> (features, weights of a feature)
    drive: Array  # what an input of 1 adds, a number a feature
    biases: Array  # a number a feature
    low: np.float32
    high: np.float32
    first: Array  # a number a neuron
    floor: bool  # the model has one
    returns_to_zero: bool

    @property
    def scale(self) -> np.float32:
        whole_core = np.concatenate([w.ravel() for w in self.weights.values()])
        return min(
            bounded_scale(whole_core, WEIGHT_BITS),
            bounded_scale(self.biases, WEIGHT_BITS),
            bounded_scale(np.array((self.low, self.high)), STATE_BITS),
            bounded_scale(self.first, STATE_BITS),
        )


@dataclass(frozen=True, eq=False)
class Integers:
    """Integers of a core by this rule."""

    connections: Mapping[str, ConnectionScheme]
    population: PopulationScheme

    @property
    def weights(self) -> dict[str, Array]:
        return {name: c.weight for name, c in self.connections.items()}


def bounded_scale(x: Array, bits: int) -> np.float32:
    """Return the number by which sinabs scales these so that they just fit into signed bits."""
    low, high = 2 ** (bits - 1), 2 ** (bits - 1) - 1
    one, least, largest = np.float32(1), np.float32(x.min()), np.float32(x.max())
    with np.errstate(divide="ignore"):  # torch computes n / x as n * (1 / x), which rounds twice
        if abs(least) <= abs(largest) * np.float32(low / high):
            return np.float32(abs(one / largest * np.float32(high)))
        return np.float32(abs(one / least * np.float32(low)))


def rounded(x: Array, scale: np.float32) -> Array:
    return np.asarray(np.rint(np.asarray(x, np.float32) * scale), np.int64)


def follows(parts: tuple[Branch, ...], rules: Rules) -> bool:
    """Return whether a scheme asks for this rule at one of the connections of a core."""
    return any(rules.method_of(ruled(b.link)) == METHOD for b in parts)


def core(
    network: Network, view: Layers, name: str, parts: tuple[Branch, ...], rules: Rules
) -> tuple[Integers | None, list[Finding]]:
    """Return the integers of a core and what they lost; None where the rule is refused."""
    if faults := list(_faults(network, parts, name, rules)):
        return None, faults
    of_model = numbers(network, view, name)
    result = integers(of_model)
    return result, list(losses(of_model, result, name))


def _faults(
    network: Network, parts: tuple[Branch, ...], name: str, rules: Rules
) -> Iterator[Finding]:
    """Refuse a core that sinabs cannot have, and settings that the rule would ignore."""
    node = network[name]
    assert type(node) is Population
    rule = node.rule
    assert type(rule) is Spikes
    for what, why in _foreign(node, rule):
        yield error(
            f"{PREFIX}-SINABS",
            f'{what}: the method "{METHOD}" has no rule for it',
            layer=name,
            why=why,
            fix="leave the scheme out, or set another method for its connections",
        )
    for link in (ruled(b.link) for b in parts):
        for setting, value in _unused(rules, link):
            yield error(
                f"{PREFIX}-SINABS",
                f'the scheme sets {setting} = {value!r} and method = "{METHOD}"',
                layer=link,
                why="this method scales by the largest weight, bias and threshold, and has weights "
                f"of {WEIGHT_BITS} bits",
                fix=f"leave {setting} out, or choose another method",
            )


def _unused(rules: Rules, link: str) -> Iterator[tuple[str, object]]:
    """Yield the settings of a connection that this method would ignore, with their values."""
    own = rules.layers.get(link, LayerRules())
    table = rules if own.method is None else own
    settings = {
        "gain": own.gain,
        "weight_bits": rules.requested_bits(link),
        "error": own.error if own.error is not None else table.error,
    }
    for setting, value in settings.items():
        if value is not None and (setting, value) != ("weight_bits", WEIGHT_BITS):
            yield setting, value


def _foreign(node: Population, rule: Spikes) -> Iterator[tuple[str, str]]:
    if type(node.membrane) is not Integrator:
        yield "it loses a fixed amount in each step", "the neurons of a core in sinabs have no leak"
    if rule.worth is not None:
        yield "its spikes stand for a value", "a rewrite made these neurons, not sinabs"
    if rule.fires != "at":
        yield (
            "it fires above its threshold",
            "neurons of sinabs fire at v >= v_threshold (--fires at, or --producer sinabs)",
        )
    for what, values in (("v_threshold", rule.threshold), ("v_floor", rule.floor)):
        if values is not None and np.any(values != np.ravel(values)[0]):
            yield f"{what} differs among its neurons", "sinabs has one value for a core"


def numbers(network: Network, view: Layers, name: str) -> Numbers:
    """Return the numbers of a core that has no faults."""
    node = network[name]
    assert type(node) is Population
    rule, form = node.rule, neuron(node, network.dt)
    assert type(rule) is Spikes
    floor = None if rule.floor is None else float(np.ravel(rule.floor)[0])
    finite = floor is not None and bool(np.isfinite(floor))
    drive = form.drive.reshape(len(form.drive), -1)[:, 0]
    biases = constant(view, name, form).reshape(len(form.drive), -1)[:, 0]
    return Numbers(
        weights={
            key(b.link, name): (rows(b) * drive[:, None]).astype(np.float32)
            for b in branches(network, view, name)
        },
        drive=drive,
        biases=biases.astype(np.float32),
        low=np.float32(floor if finite else LEAST),
        high=np.float32(np.ravel(rule.threshold)[0]),
        first=form.first.astype(np.float32),
        floor=finite,
        returns_to_zero=rule.reset == "value",
    )


def integers(core: Numbers) -> Integers:
    """Return the integers of a core by sinabs' rule."""
    scale = core.scale
    low, high = (int(rounded(np.asarray(x), scale)) for x in (core.low, core.high))
    params: dict[str, Array | int] = {
        "threshold_high": high,
        "threshold_low": low,
        "bias": rounded(core.biases, scale),
        "v0": rounded(core.first, scale),
        "returns_to_zero": int(core.returns_to_zero),
    }
    gain = single(float(scale) * core.drive)
    return Integers(
        {n: ConnectionScheme(gain, rounded(w, scale), 8) for n, w in core.weights.items()},
        PopulationScheme({k: whole(v) for k, v in params.items()}, {"v": np.array(float(scale))}),
    )


def losses(core: Numbers, result: Integers, name: str) -> Iterator[Finding]:
    """Report what the rule took from weights and biases, and refuse what is beyond use."""
    scale, params = float(core.scale), result.population.params
    no_floor = "" if core.floor else ", and without a floor of the potential sinabs takes -32768"
    why = f"the scale of this core is {scale:.4g}{no_floor}"
    fix = (
        "give the floor of the network in sinabs (--floor V, or --producer sinabs), or choose "
        "another method"
        if not core.floor
        else 'make the weights larger against the threshold, or choose the method "fit"'
    )
    for key_of, floats in core.weights.items():
        weights = result.weights[key_of]
        exact = floats.astype(np.float64)
        lost = list(checks.weights_lost(PREFIX, key_of, exact * scale, weights, why, fix))
        yield from lost
        if lost:
            continue
        off = checks.relative_error(exact, weights / scale)
        if off > COARSE:
            tell = error if off > LOST else warning
            what = f"rounding its weights leaves them off by {off:.0%}"
            yield tell(f"{PREFIX}-SINABS-COARSE", what, layer=key_of, why=why, fix=fix)
            continue
        more = f"; sinabs' scale is {scale:.6g}, the threshold is {params['threshold_high']}"
        yield checks.weights(PREFIX, key_of, weights, off, None, more)
    yield from _thresholds(core, result, name, why, fix)
    exact, bias = core.biases.astype(np.float64) * scale, rounded(core.biases, core.scale)
    yield from checks.biases_lost(PREFIX, name, exact, bias, fix, per="tick")


def _thresholds(
    core: Numbers, result: Integers, name: str, why: str, fix: str
) -> Iterator[Finding]:
    low, high = (result.population.params[f"threshold_{side}"] for side in ("low", "high"))
    if not 1 <= high <= MOST:
        yield error(
            f"{PREFIX}-SINABS-COARSE",
            f"the threshold rounds to {high}; expected 1 to {MOST}",
            layer=name,
            why=why,
            fix=fix,
        )
    if low == 0:
        yield error(
            f"{PREFIX}-FLOOR",
            f"the floor of {float(core.low):.4g} rounds to 0; expected -1 or less",
            layer=name,
            why="sinabs writes this 0, and the chip fails at a lower bound of 0 (data sheet)",
            fix='choose the method "fit", which writes -1, or train with a lower min_v_mem',
        )
