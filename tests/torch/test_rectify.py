"""A leaky integrator with a ReLU behind it, all the way from torch to the chips' integers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.diagnostics.findings import InputError, TargetError
from nrf_deploy.engines.reference import run
from nrf_deploy.io import nir
from nrf_deploy.ir.network import LI, Input, Linear, Network, Output, Population
from nrf_deploy.ir.recording import Recording
from nrf_deploy.neurons import Value

DT, INPUTS, WIDTH = 1e-3, 6, 5


def network(rectified: bool = True) -> Network:
    rng, ones = np.random.default_rng(3), np.ones(WIDTH)
    cell = LI(name="cell", tau=8 * DT * ones, r=ones, v_leak=0 * ones, rectified=rectified)
    last = LI(name="last", tau=4 * DT * ones, r=ones, v_leak=0 * ones)
    return Network(
        (
            Input(name="x", port_shape=(INPUTS,)),
            Linear(name="w", weight=rng.normal(size=(WIDTH, INPUTS))),
            cell,
            Linear(name="behind", weight=rng.normal(size=(WIDTH, WIDTH))),
            last,
            Output(name="y", port_shape=(WIDTH,)),
        ),
        (("x", "w"), ("w", "cell"), ("cell", "behind"), ("behind", "last"), ("last", "y")),
        DT,
    )


def rectified(network: Network, name: str) -> bool:
    node = network[name]
    assert type(node) is Population
    assert type(node.rule) is Value
    return node.rule.rectified


def noise() -> Recording:
    rng = np.random.default_rng(0)
    return Recording.from_dense((rng.random((80, INPUTS)) < 0.3).astype(np.int64), DT)


@pytest.mark.parametrize("decay", ["euler", "exact"])
def test_the_value_is_cut_at_0_and_the_potential_is_not(decay: str) -> None:
    plain, cut = (
        run(network(cuts), noise(), record=["cell"], states=["cell"], decay=decay)  # type: ignore[arg-type]
        for cuts in (False, True)
    )
    wanted = plain.outputs["cell"].dense()
    assert wanted.min() < 0
    assert np.array_equal(cut.outputs["cell"].dense(), np.maximum(wanted, 0))
    assert np.array_equal(cut.states["cell"]["v"], plain.states["cell"]["v"])


def test_a_file_keeps_it(tmp_path: Path) -> None:
    nir.write(network(), tmp_path / "m.nir")
    read, _ = nir.read(tmp_path / "m.nir")
    assert rectified(read, "cell")
    assert not rectified(read, "last")


def test_a_word_that_is_neither_yes_nor_no_is_refused(tmp_path: Path) -> None:
    import h5py

    nir.write(network(), tmp_path / "m.nir")
    with h5py.File(tmp_path / "m.nir", "r+") as f:
        found: list[str] = []
        f.visit(lambda name: found.append(name) if name.endswith("cell/metadata/rectify") else None)
        del f[found[0]]
        f[found[0]] = "perhaps"
    with pytest.raises(InputError, match="NIR-RECTIFY"):
        nir.read(tmp_path / "m.nir")


@pytest.mark.parametrize("chip", ["loihi2", "emulator", "emulator-float-like"])
def test_chips_follow_the_model(chip: str) -> None:
    bundle = nd.compile(network(), chip, noise())
    report = nd.verify(bundle, noise())
    assert report.passed, report.text()
    sent = nd.run(bundle, noise()).outputs["cell"].value
    assert sent.min() > 0
    plain = nd.run(nd.compile(network(False), chip, noise()), noise()).outputs["cell"].value
    assert plain.min() < 0


def test_torchs_relu_behind_a_cell_becomes_a_part_of_it() -> None:
    torch = pytest.importorskip("torch", reason="torch is absent: pip install '.[models]'")
    norse = pytest.importorskip("norse.torch", reason="Norse is absent: pip install '.[models]'")
    from nrf_deploy.torch import from_torch

    class Net(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, twice: bool) -> None:
            super().__init__()
            self.w, self.cell = torch.nn.Linear(3, 4), norse.LIBoxCell(dt=DT)
            self.relu, self.twice = torch.nn.ReLU(), twice

        def forward(self, x: object, state: object = None) -> object:
            y, state = self.cell(self.w(x), state)
            z = self.relu(y)
            return (z + y if self.twice else z), state

    made, _, _ = from_torch(Net(False), (3,))
    assert [n.kind for n in made.nodes] == ["Input", "Linear", "LI", "Output"]
    assert rectified(made, made.nodes[2].name)
    with pytest.raises(TargetError, match="EXPORT-LAYER"):
        from_torch(Net(True), (3,))


def test_a_bundle_keeps_it(tmp_path: Path) -> None:
    bundle = nd.compile(replace(network()), "loihi2", noise())
    nd.save(bundle, tmp_path / "b.nrfb")
    assert rectified(nd.load(tmp_path / "b.nrfb").network, "cell")


def test_trial_runs_of_the_emulator_rectify_too() -> None:
    """A trial run reads the scheme; layers behind are fitted to what it gives."""
    scheme = nd.compile(network(), "emulator", noise()).scheme
    assert scheme.populations["cell"].params["rectify"] == 1
    assert "rectify" not in scheme.populations["last"].params
