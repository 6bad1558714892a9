"""What a float neuron is on this chip: two decays, a gain, and a constant drive.

With k = dt/tau forward Euler reads v' = (1 - k) v + k (r x + v_leak). The chip holds
v_int = 64 S v and computes v_int' = v_int (4096 - dv)/4096 + u + bias, so

    dv = 4096 k,    weights carry S k r,    v_threshold becomes S v_threshold,
    bias = 64 S k (v_leak + r b)            for a constant input b (a layer's bias).

The weights hold g * w, so g alone is chosen and S = g / (k r) follows for each neuron.
A current with its own time constant (CubaLIF) decays by ks = dt/tau_syn; its
input counts ks * w_in, and du + 1 = 4096 ks. Without it du = 4095: no memory.

I, LI and CubaLI are the same without a threshold; their value is v (see analogue.py).
"""

from collections.abc import Mapping

import numpy as np

from nrf_deploy.compiler.quantize.neuron import Neuron
from nrf_deploy.compiler.quantize.ratio_preserving_decays import anchored
from nrf_deploy.compiler.quantize.rules import Rules
from nrf_deploy.ir.network import Array

from ..chip import Chip


def mantissa_and_exponent(bias: Array, chip: Chip) -> tuple[Array, Array]:
    """bias ~ mantissa << exponent, with the smallest exponent that lets the mantissa fit."""
    size = np.abs(bias)
    exponent = np.zeros(bias.shape, np.int64)
    for e in range(chip.bias_exponent):
        exponent += np.rint(size / 2**e) > chip.bias_mantissa
    return np.rint(bias / 2.0**exponent).astype(np.int64), exponent


Params = dict[str, Array | int]


def decays(forms: Mapping[str, Neuron], rules: Rules) -> dict[str, Params]:
    """du and dv of each population."""
    held = {name: form.decay for name, form in forms.items()}
    held |= anchored({name: k for name, k in held.items() if rules.anchored(name)}, 12)
    return {
        name: {
            "du": np.maximum(np.rint(4096 * form.current_decay).astype(np.int64) - 1, 0),
            "dv": np.minimum(np.rint(4096 * held[name]).astype(np.int64), 4095),
        }
        for name, form in forms.items()
    }
