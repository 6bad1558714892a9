"""`inspect` shows every constant of every neuron whole: `--dt` is chosen by them."""

from __future__ import annotations

import numpy as np

from nrf_deploy.api.inspection import network_text
from nrf_deploy.diagnostics.text import tables
from nrf_deploy.ir.network import CubaLIF, Input, Linear, Network, Output, Population

NAME = "lif1.a_long_name_of_a_layer_with_many_parts"


def cuba(name: str) -> Population:
    def spread(low: float, high: float) -> np.ndarray:
        return np.linspace(low, high, 3, dtype=np.float32)

    return CubaLIF(
        name=name,
        tau_mem=spread(1.66667e-3, 1.33333e-2),
        tau_syn=spread(2.22222e-4, 2.55556e-4),
        r=spread(2.22222, 7.77778),
        v_leak=spread(0, 0),
        w_in=spread(2.22222, 7.77778),
        v_threshold=spread(0.111111, 0.999999),
        v_reset=spread(-0.333333, -0.111111),
    )


def test_no_constant_and_no_heading_is_cut() -> None:
    network = Network(
        (
            Input(name="in", port_shape=(3,)),
            Linear(name="l", weight=np.eye(3, dtype=np.float32)),
            cuba(NAME),
            Output(name="out", port_shape=(3,)),
        ),
        (("in", "l"), ("l", NAME), (NAME, "out")),
        dt=1e-4,
    )
    _head, _nodes, shown = network_text(network).split("\n\n", 2)
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    words = shown.split()
    for whole in (
        "tau_mem", "tau_syn", "v_threshold", "v_reset", "reset", "fires",
        "0.00166667..0.0133333", "0.000222222..0.000255556", "2.22222..7.77778",
        "0.111111..0.999999", "-0.333333..-0.111111",
    ):  # fmt: skip
        assert whole in words
    assert shown.count(NAME) >= 2, "each part says whose constants they are"


def test_what_fits_is_one_table() -> None:
    assert tables(("neurons", "tau"), [("a", "1"), ("b", "20")]) == "\n".join(
        ("neurons  tau", "-------  ---", "a          1", "b         20")
    )
