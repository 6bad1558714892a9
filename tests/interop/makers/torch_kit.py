"""Parts of the makers whose frameworks are made of torch modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

torch.set_num_threads(1)


def filled(module: nn.Module, draw: Callable[..., np.ndarray], seed: int = 1) -> nn.Module:
    """Fill every weight and bias of torch's own layers in `module` from a seed; return it."""
    for layer in module.modules():
        if not isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
            continue
        seed += 1
        layer.weight.data = torch.from_numpy(draw(tuple(layer.weight.shape), seed))
        if layer.bias is not None:
            layer.bias.data = torch.from_numpy(draw(tuple(layer.bias.shape), seed + 100))
    return module.eval()


class Watch:
    """The outputs of some modules, in the order in which they first ran."""

    def __init__(self, root: nn.Module, neurons: Callable[[nn.Module], bool]):
        self.outputs: dict[str, list[np.ndarray]] = {}
        self.modules: dict[str, nn.Module] = {}
        self.hooks = []
        for name, module in root.named_modules():
            if neurons(module):
                self.modules[name] = module
                self.hooks.append(module.register_forward_hook(self._hook(name)))

    def _hook(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            first = output[0] if isinstance(output, tuple) else output
            self.outputs.setdefault(name, []).append(first.detach().numpy().copy())

        return hook

    def close(self) -> None:
        for hook in self.hooks:
            hook.remove()
