"""Refusal of what a module does out of sight: replaced methods, values that leave torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nrf_deploy.diagnostics.findings import NrfError
from nrf_deploy.torch import from_torch

torch = pytest.importorskip("torch")
norse = pytest.importorskip("norse.torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812


def layers() -> Any:
    torch.manual_seed(0)
    parameters = norse.LIFBoxParameters(v_th=torch.tensor(0.05))
    return norse.SequentialState(
        nn.Linear(6, 8), norse.LIFBoxCell(parameters), nn.Dropout(), nn.Identity(), nn.Linear(8, 3)
    )


def codes(module: Any) -> set[str]:
    with pytest.raises(NrfError) as refused:
        from_torch(module, (6,))
    return {f.code for f in refused.value.findings}


def test_the_module_itself_is_read() -> None:
    assert from_torch(layers(), (6,))[0].nodes


@pytest.mark.parametrize("which", [0, 2, 3])
def test_a_replaced_method_of_a_layer_of_torch_is_refused(which: int) -> None:
    module = layers()
    layer = module[which]
    if which:
        layer.forward = lambda x: 2 * x
    else:
        layer.forward = lambda x: F.linear(x.clamp(-100, 100), layer.weight, layer.bias)
    assert codes(module) == {"EXPORT-LAYER"}


def test_a_replaced_class_or_function_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(self: Any, x: Any) -> Any:
        return F.linear(x, 2 * self.weight, self.bias)

    monkeypatch.setattr(nn.Linear, "forward", other)
    assert codes(layers()) == {"EXPORT-LAYER"}


LEAKS: dict[str, Callable[[Any], Any]] = {
    "numel": lambda x: x[x > 100].numel(),
    "nonzero": lambda x: x.nonzero().shape[0] > 10**6,
    "len": lambda x: len(x[x > 100]),
    "str": lambda x: "999" in str(x),
    "format": lambda x: "999" in f"{x}",
    "dlpack": lambda x: np.from_dlpack(x).max() > 100,
}


class Branching(nn.Module):  # type: ignore[misc]
    def __init__(self, leak: Callable[[Any], Any]) -> None:
        super().__init__()
        self.inner, self.leak = layers(), leak

    def forward(self, x: Any, state: Any = None) -> Any:
        y, state = self.inner(x, state)
        return (y + y if self.leak(x) else y), state


@pytest.mark.parametrize("name", LEAKS)
def test_a_branch_on_a_value_is_refused(name: str) -> None:
    assert codes(Branching(LEAKS[name])) == {"EXPORT-TRACE"}
