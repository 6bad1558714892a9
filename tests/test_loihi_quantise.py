"""The quantiser for Loihi: what it is given, what it keeps, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from nrf_loihi import target

import nrf_deploy as nd
from nrf_deploy.findings import TargetError
from nrf_deploy.network import IF, LIF, Input, Linear, Network, Output
from nrf_deploy.pipeline import check, compile
from nrf_deploy.quantise.rules import LayerRules, Rules
from nrf_deploy.recording import Recording
from nrf_deploy.recordings import read as read_recording


def layer(weight: np.ndarray, *, bias: np.ndarray | None = None, **lif: object) -> Network:
    out, inputs = weight.shape
    full = np.ones(out)
    parameters: dict[str, object] = {
        "tau": full / 50, "r": full * 20, "v_leak": full * 0,
        "v_threshold": full, "v_reset": full * 0,
    }  # fmt: skip
    return Network(
        (
            Input(name="x", port_shape=(inputs,)),
            Linear(name="w", weight=weight, bias=bias),
            LIF(name="n", **(parameters | lif)),  # type: ignore[arg-type]
            Output(name="y", port_shape=(out,)),
        ),
        (("x", "w"), ("w", "n"), ("n", "y")),
        dt=1e-3,
    )


def noise(inputs: int, steps: int, seed: int) -> Recording:
    rng = np.random.default_rng(seed)
    return Recording.from_dense((rng.random((steps, inputs)) < 0.2).astype(np.int64))


def differing(network: Network, recording: Recording, *given: object) -> int:
    report = nd.verify(compile(network, "loihi2", *given), recording)  # type: ignore[arg-type]
    return sum(x.mismatches for x in report.comparison.layers)


@pytest.mark.parametrize("bits", [8, 6, 4])
def test_fitted_integers_spike_more_alike_than_scaled_ones_on_other_data(bits: int) -> None:
    """Over four random layers, and judged on data that the quantiser has not seen."""
    scaled, by_weights, by_spikes = 0, 0, 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        network = layer(rng.normal(size=(20, 30)) * rng.uniform(0.1, 1, (20, 1)) / 4 + 0.03)
        other, seen = noise(30, 400, seed=20 + seed), noise(30, 400, seed=10 + seed)
        scaled += differing(network, other, None, Rules(method="max", weight_bits=bits))
        by_weights += differing(network, other, None, Rules(weight_bits=bits))
        by_spikes += differing(network, other, seen, Rules(weight_bits=bits))
    assert by_weights < 0.9 * scaled
    assert by_spikes < 0.9 * scaled
    assert by_spikes < 1.25 * by_weights  # data may help, and does not mislead


def test_weights_that_are_fractions_of_two_are_held_exactly() -> None:
    rng = np.random.default_rng(0)
    full = np.ones(3)
    network = layer(rng.integers(-31, 32, (3, 4)) / 64)
    node = IF(name="n", r=full * 1000, v_threshold=full * 0.75, v_reset=0 * full)
    network = replace(network, nodes=(*network.nodes[:2], node, network.nodes[3]))
    assert differing(network, noise(4, 500, 0)) == 0


def test_anchored_decays_keep_the_ratios_of_a_ladder() -> None:
    """Over S steps the channel of the slowest decays as its S times faster sister in one."""
    tau = np.array([5.48, 10.95, 21.9, 43.8]) * 1e-3
    network = layer(np.ones((4, 1)), tau=tau, r=tau * 1000)
    dv = {}
    for rule in ("nearest", "anchored"):
        program = check(network, "loihi2", rules=Rules(decay=rule)).program
        assert program is not None
        dv[rule] = np.asarray(program.population("n").params["dv"])
    assert dv["nearest"].tolist() == np.rint(4096 * 1e-3 / tau).astype(int).tolist()
    slowest = 1 - dv["anchored"][3] / 4096
    for k, s in ((0, 8), (1, 4), (2, 2)):
        assert abs((1 - dv["anchored"][k] / 4096) - slowest**s) < 1.5 / 4096


def test_weights_that_all_round_to_zero_are_refused() -> None:
    """A tiny layer meets a large one in the same neurons, and must count in its units."""
    network = layer(np.full((3, 3), 0.5))
    tiny = Linear(name="tiny", weight=np.full((3, 3), 1e-5))
    network = replace(
        network,
        nodes=(*network.nodes, tiny),
        edges=(*network.edges, ("x", "tiny"), ("tiny", "n")),
    )
    with pytest.raises(TargetError) as refusal:
        compile(network, "loihi2")
    assert [(f.code, f.layer) for f in refusal.value.findings if f.severity == "error"] == [
        ("LOIHI-ALL-ZERO", "tiny")
    ]


def test_a_threshold_far_below_the_weights_is_refused() -> None:
    with pytest.raises(TargetError, match="LOIHI-THRESHOLD-LOST"):
        compile(layer(np.ones((2, 2)) * 1e4, v_threshold=np.full(2, 1e-3)), "loihi2")


def test_a_threshold_far_above_the_weights_takes_a_smaller_gain() -> None:
    program = check(layer(np.eye(2) / 1000, v_threshold=np.full(2, 5.0)), "loihi2").program
    assert program is not None
    assert 100_000 < np.max(program.population("n").params["vth"]) <= 131071


def test_a_gain_that_breaks_a_threshold_is_refused() -> None:
    rules = Rules(layers={"w": LayerRules(gain=1e6)})
    with pytest.raises(TargetError, match="LOIHI-GAIN-TOO-LARGE"):
        compile(layer(np.eye(2)), "loihi2", rules=rules)


def test_a_current_that_wraps_on_the_data_is_refused() -> None:
    many = Recording.from_dense(np.full((20, 600), 3, np.int64))
    with pytest.raises(TargetError, match="LOIHI-CURRENT-WRAPS"):
        compile(layer(np.ones((2, 600)), v_threshold=np.full(2, 300.0)), "loihi2", many)


def test_thresholds_are_one_a_layer_where_the_chip_has_few() -> None:
    rng = np.random.default_rng(0)
    network = layer(rng.normal(size=(6, 4)) * rng.uniform(0.1, 1, (6, 1)))
    for chip, count in (("loihi1", 1), ("loihi2", 6)):
        program = check(network, chip).program
        assert program is not None
        assert np.unique(program.population("n").params["vth"]).size == count


def test_integers_do_not_depend_on_anything_but_their_inputs() -> None:
    network, data = layer(np.random.default_rng(0).normal(size=(5, 7))), noise(7, 100, 0)
    made = [compile(network, "loihi2", data).program.synapses[0].weight for _ in range(2)]
    assert np.array_equal(*made)


def test_an_if_layer_needs_no_decay() -> None:
    full = np.ones(2)
    network = layer(np.eye(2))
    node = IF(name="n", r=full * 1000, v_threshold=full, v_reset=0 * full)
    network = replace(network, nodes=(*network.nodes[:2], node, network.nodes[3]))
    program = check(network, "loihi2", noise(2, 50, 0)).program
    assert program is not None
    assert program.population("n").params["dv"] == 0


def test_the_nmnist_network_keeps_more_spikes_in_place(shared: Path) -> None:
    """Fitted on the mirror image of the recording, judged on the recording."""
    path = shared / "recordings" / "nmnist_sample.npz"
    digits, _ = read_recording(path, shape=(2, 34, 34), bin=1e-3)
    mirrored = Recording.from_dense(digits.dense()[:, :, :, ::-1])
    network = nd.read(shared / "conformance" / "nir" / "cnn_sinabs.nir", dt=1.0).network
    scaled = differing(network, digits, None, Rules(method="max"))
    fitted = differing(network, digits, mirrored)
    assert fitted < 0.75 * scaled


def test_the_target_is_what_is_registered() -> None:
    from nrf_deploy.target import targets

    assert targets()["loihi"] is target
