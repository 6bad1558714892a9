"""The constant that is added to a potential in every step, for any input."""

from __future__ import annotations

import numpy as np

from nrf_deploy.ir.layer_view import Layers
from nrf_deploy.ir.network import Array, Conv, Linear, exact

from .neuron import Neuron


def constant(view: Layers, name: str, form: Neuron, *, late_only: bool = False) -> Array:
    """Return the resting drive plus the layers' biases for each neuron, in floats.

    `late_only`: only the part that is missing in the model's first step, in which loops start
    at zero.
    """
    shape = form.rest.shape
    total = np.zeros(shape) if late_only else np.array(form.rest)
    seen = set()
    for link in view.into(name):
        node = link.node
        if not exact(node, Conv, Linear) or node.bias is None:
            continue
        if node in seen or late_only > link.late:
            continue
        seen.add(node)  # a node with several sources is several links, with one bias
        bias = node.bias.reshape(*node.bias.shape, *[1] * (len(node.shape) - node.bias.ndim))
        sums = node.shape if link.pool is None else link.pool.shape
        total = total + form.drive * np.broadcast_to(bias, sums).reshape(shape)
    return total
