"""The effect of a weight's error on spikes: the inputs that add up between two of them.

A neuron that starts at 0 after a spike at t0 fires at t when the sum of what arrived since,
each step's share decayed, reaches the threshold. With x(t) that sum for each weight, an
error e in the weights moves the potential at t by e . x(t). Squared and averaged over the
spikes of the model this is e M e with M the second moments of x(t): so M, and not that of a
single step's input, says which errors in the weights cost spikes. Without a reset the sum
is a linear filter F, and so x(t) = F(t) - (1 - k)^(t - t0) F(t0).
"""

from __future__ import annotations

import numpy as np

from nrf_deploy.compiler.quantize.neuron import Neuron
from nrf_deploy.compiler.quantize.signals import Signals
from nrf_deploy.ir.layer_view import Link
from nrf_deploy.ir.network import Array, Conv, Linear, exact

SAMPLES = 20_000
"""Spikes of one population that are looked at."""


def moments(data: Signals, link: Link, forms: dict[str, Neuron]) -> Array | None:
    """Return second moments of x, in units of the threshold; None where the link has no matrix."""
    node = link.node
    if exact(node, Linear) or (exact(node, Conv) and node.groups == 1):
        inputs = _inputs(node)
    else:
        return None
    total, count = np.zeros((len(inputs),) * 2), 0
    for name in link.targets:
        x = _sums(data, link, name, forms[name], inputs)
        total += x.T @ x
        count += len(x)
    return total / count if count else None


def _sums(data: Signals, link: Link, name: str, form: Neuron, inputs: Array) -> Array:
    """Return (samples, weights of a row): at each spike, the inputs since the last one."""
    decay, current = float(form.decay.mean()), float(form.current_decay.mean())
    filtered = _filtered(data.source(link), decay, current)
    t, last, neuron = _events(data.model[name], form.threshold is not None)
    chosen = slice(None, None, max(1, len(t) // SAMPLES))
    t, last, neuron = t[chosen], last[chosen], neuron[chosen]
    places = inputs[:, neuron % inputs.shape[1]].T
    x = filtered[t[:, None] + 1, places]
    x -= ((1 - decay) ** (t - last))[:, None] * filtered[last[:, None] + 1, places]
    return np.asarray(x * _in_thresholds(form).ravel()[neuron][:, None])


def _in_thresholds(form: Neuron) -> Array:
    """Return what an input of 1 adds, in thresholds; in units of v where none is above 0."""
    unit = np.ones(()) if form.threshold is None else form.threshold
    return np.asarray(form.drive / np.where(unit > 0, unit, 1.0))


def _filtered(frames: Array, decay: float, current_decay: float) -> Array:
    """Return (1 + steps, 1 + inputs) of the filter's state around each step; last, the border."""
    flat = frames.reshape(len(frames), -1)
    out = np.zeros((len(flat) + 1, flat.shape[1] + 1))
    u = np.zeros(flat.shape[1])
    for t, x in enumerate(flat):
        u = (1 - current_decay) * u + x
        out[t + 1, :-1] = (1 - decay) * out[t, :-1] + u
    return out


def _events(signal: Array, spiking: bool) -> tuple[Array, Array, Array]:
    """List (step, step of the spike before or -1, neuron) of each spike, or of each value."""
    fired = signal.reshape(len(signal), -1) != 0
    neuron, t = np.nonzero(fired.T)
    if not spiking:
        return t, np.full(len(t), -1), neuron
    last = np.full(len(t), -1)
    same = neuron[1:] == neuron[:-1]
    last[1:][same] = t[:-1][same]
    return t, last, neuron


def _inputs(node: Conv | Linear) -> Array:
    """Return the flat input of each weight of a row at each position (-1: the border)."""
    return _taps(node) if exact(node, Conv) else np.arange(node.weight.shape[1])[:, None]


def _taps(node: Conv) -> Array:
    channels, size = node.weight.shape[1], node.input_size
    axes = zip(node.kernel, node.shape[1:], node.stride, node.padding, node.dilation, strict=True)
    places = []
    for kernel, out, stride, pads, dilation in axes:
        places.append(np.arange(kernel)[:, None] * dilation + np.arange(out) * stride - pads[0])
    flat = np.zeros((1,) * (2 * len(size)), np.int64)
    inside = np.ones_like(flat, bool)
    for axis, (place, extent) in enumerate(zip(places, size, strict=True)):
        view = [1] * (2 * len(size))
        view[axis], view[len(size) + axis] = place.shape
        place = place.reshape(view)
        flat = flat * extent + place
        inside = inside & (place >= 0) & (place < extent)
    taps = int(np.prod(node.kernel))
    flat, inside = flat.reshape(taps, -1), inside.reshape(taps, -1)
    step = int(np.prod(size))
    return np.concatenate([np.where(inside, flat + c * step, -1) for c in range(channels)])
