"""A float neuron on this chip: two decays, a gain, and a constant drive.

With k = dt/tau forward Euler reads v' = (1 - k) v + k (r x + v_leak). The chip holds
v_int = 64 S v and computes v_int' = v_int (4096 - dv)/4096 + u + bias, so

    dv = 4096 k,    weights carry S k r,    v_threshold becomes S v_threshold,
    bias = 64 S k (v_leak + r b)            for a constant input b (a layer's bias).

The weights hold g * w, so g alone is chosen and S = g / (k r) follows for each neuron.
A current with its own time constant (CubaLIF) decays by ks = dt/tau_syn; its
input counts ks * w_in, and du + 1 = 4096 ks. Without it du = 4095: no memory.

I, LI and CubaLI are the same without a threshold; their value is v (see analogue.py).
"""

from collections.abc import Collection, Iterator, Mapping

import numpy as np

from nrf_deploy.compiler import checks
from nrf_deploy.compiler.quantize.neuron import Neuron
from nrf_deploy.compiler.quantize.ratio_preserving_decays import anchored
from nrf_deploy.compiler.quantize.rules import Rules
from nrf_deploy.diagnostics.findings import Finding, info
from nrf_deploy.ir.network import Array

from ..chip import DECAY_BITS, PREFIX, Chip

LARGEST_DECAY = 2**DECAY_BITS - 1
"""Of the potential: 1/4096 of it stays at least."""


def mantissa_and_exponent(bias: Array, chip: Chip) -> tuple[Array, Array]:
    """Return bias ~ mantissa << exponent, with the smallest exponent that lets it fit."""
    size = np.abs(bias)
    exponent = np.zeros(bias.shape, np.int64)
    for e in range(chip.bias_exponent):
        exponent += np.rint(size / 2**e) > chip.bias_mantissa
    return np.rint(bias / 2.0**exponent).astype(np.int64), exponent


Params = dict[str, Array | int]


def decay_steps(decay: Array) -> Array:
    """Return the part that is lost in a step, in 4096ths."""
    return np.asarray(np.rint(decay * 2**DECAY_BITS).astype(np.int64))


def rounded_decays(form: Neuron, decay: Array | None = None, mirrored: bool = False) -> Params:
    """Return du and dv; `decay` replaces the potential's, where it is anchored.

    Of `mirrored` neurons the current decays as the potential of the model (subtracting.py). A
    current without a leak would have du = -1: check.py refuses it, mirrored it has du = 0.
    """
    voltage = form.decay if decay is None else decay
    if mirrored:
        return {"du": np.maximum(decay_steps(voltage), 1) - 1, "dv": LARGEST_DECAY}
    return {
        "du": decay_steps(form.current_decay) - 1,
        "dv": np.minimum(decay_steps(voltage), LARGEST_DECAY),
    }


def decays(
    forms: Mapping[str, Neuron], rules: Rules, mirrored: Collection[str] = ()
) -> dict[str, Params]:
    """Return du and dv of each population."""
    ladder = {name: form.decay for name, form in forms.items() if rules.anchored(name)}
    moved = anchored(ladder, DECAY_BITS)
    return {
        name: rounded_decays(form, moved.get(name), name in mirrored)
        for name, form in forms.items()
    }


def decay_faults(
    layer: str,
    form: Neuron,
    params: Params,
    dt: float,
    moved: bool = False,
    mirrored: bool = False,
) -> Iterator[Finding]:
    """Report decays that the chip holds otherwise than the model.

    Args:
        layer: The population.
        form: The neurons in floats.
        params: `du` and `dv` as the chip holds them.
        dt: The time of a step.
        moved: The potential's decay is anchored; that of the current was reported.
        mirrored: The current decays as the potential of the model.
    """
    if mirrored:
        lost = decay_steps(form.decay) == 0  # du = 0 is a leak all the same
        integers = np.where(lost, 0, np.asarray(params["du"]) + 1)
        yield from checks.decays(
            PREFIX, layer, "tau", form.decay, integers, DECAY_BITS, dt, anchored=moved
        )
        return
    du, dv = np.asarray(params["du"]), np.asarray(params["dv"])
    if np.any((dv == LARGEST_DECAY) & (form.decay * 2**DECAY_BITS - dv >= 0.5)):
        yield info(
            "LOIHI-DECAY-LIMIT",
            "tau is dt: the potential decays by 4095/4096 a step, the largest decay",
            layer=layer,
            why="decays have 12 bits; 1/4096 of the potential stays, where the model keeps none",
        )
    kinds = [("tau", form.decay, dv), ("tau_syn", form.current_decay, du + 1)]
    for name, decay, integers in kinds[: 1 if moved else 2]:
        yield from checks.decays(
            PREFIX, layer, name, decay, integers, DECAY_BITS, dt, anchored=moved
        )


def anchored_faults(
    forms: Mapping[str, Neuron],
    rates: Mapping[str, Params],
    dt: float,
    mirrored: Collection[str] = (),
) -> Iterator[Finding]:
    """Report what anchoring does to decays: `check` knows no rules, and saw the nearest ones."""
    for name, form in forms.items():
        own = name in mirrored
        nearest = rounded_decays(form, mirrored=own)
        if any(np.any(rates[name][key] != nearest[key]) for key in ("du", "dv")):
            yield from decay_faults(name, form, rates[name], dt, moved=True, mirrored=own)
