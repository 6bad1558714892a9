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

from nrf_deploy.compiler.quantize.neuron import Neuron, neuron

__all__ = ["Neuron", "neuron"]
