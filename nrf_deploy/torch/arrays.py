"""torch tensors as numpy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import TargetError, error
from nrf_deploy.ir.network import Array


class Arrays:
    """Copies of tensors; the same tensor gives the same array, so that sharing is kept."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[Any, Array]] = {}

    def __call__(self, tensor: Any, layer: str, what: str) -> Array:
        """Return a float32 weight as an array; refuse other types."""
        if id(tensor) not in self.known:
            self.known[id(tensor)] = tensor, plain(tensor)
        array = self.known[id(tensor)][1]
        if array.dtype != np.float32:
            raise TargetError(
                error(
                    "EXPORT-DTYPE",
                    f"{what} is {array.dtype}, not float32",
                    layer=layer,
                    why="the model would compute in another precision than its reference",
                    fix="call .float() on the module and test it again before the export",
                )
            )
        finite(array, layer, what)
        return array


def plain(value: Any) -> Array:
    """Copy a tensor, so that later training does not change the array."""
    return np.array(value.detach().cpu().numpy() if hasattr(value, "detach") else value)


def finite(array: Array, layer: str, what: str) -> None:
    bad = int(array.size - np.count_nonzero(np.isfinite(array)))
    if bad:
        raise TargetError(
            error(
                "EXPORT-NOT-FINITE",
                f"{bad} of {array.size} values of {what} are NaN or infinite",
                layer=layer,
                fix="the training has diverged: export an earlier checkpoint",
            )
        )
