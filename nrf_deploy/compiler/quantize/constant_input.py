"""What is added to a potential in every step, whatever arrives."""

from __future__ import annotations

import numpy as np

from nrf_deploy.ir.layer_view import Layers
from nrf_deploy.ir.network import Array, Conv, Linear, exact

from .neuron import Neuron


def constant(view: Layers, name: str, form: Neuron, *, late_only: bool = False) -> Array:
    """The resting drive and the layers' biases, in floats, a neuron.

    `late_only`: only the part that misses the model's first step, where loops start at zero.
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
        total = total + form.drive * np.broadcast_to(bias, node.shape).reshape(shape)
    return total
