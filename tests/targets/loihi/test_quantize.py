"""The quantiser for Loihi: what it is given, what it keeps, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.bundle.pipeline import check, compile
from nrf_deploy.compiler.passes.exact_decay import ExactDecay
from nrf_deploy.compiler.quantize.rules import LayerRules, Rules, parse_rules
from nrf_deploy.compiler.quantize.toml import scheme_toml
from nrf_deploy.diagnostics.findings import TargetError
from nrf_deploy.engines.sdk import environments
from nrf_deploy.io.recordings import read as read_recording
from nrf_deploy.ir.network import IF, LIF, Conv, Input, Linear, Network, Output, Scale
from nrf_deploy.ir.recording import Recording
from nrf_loihi import target
from nrf_loihi.lava import engine
from tests.builders.loihi_programs import Case, first_difference, run_golden


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
        program = check(network, "loihi2", scheme=Rules(decay=rule)).program
        assert program is not None
        dv[rule] = np.asarray(program.population("n").params["dv"])
    assert dv["nearest"].tolist() == np.rint(4096 * 1e-3 / tau).astype(int).tolist()
    slowest = 1 - dv["anchored"][3] / 4096
    for k, s in ((0, 8), (1, 4), (2, 2)):
        assert abs((1 - dv["anchored"][k] / 4096) - slowest**s) < 1.5 / 4096


def test_anchored_decays_of_an_exponential_ladder_are_the_model_s_own() -> None:
    """There k = 1 - exp(-dt/tau), and S the ratio of log(1 - k): only rounding moves them."""
    tau = np.array([4, 8, 16, 32]) * 1e-3
    network, _ = ExactDecay().apply(layer(np.ones((4, 1)), tau=tau, r=tau * 1000))
    program = check(network, "loihi2", scheme=Rules(decay="anchored")).program
    assert program is not None
    kept = 1 - np.asarray(program.population("n").params["dv"]) / 4096
    np.testing.assert_allclose(kept, kept[3] ** np.array([8, 4, 2, 1]), atol=0.51 / 4096)
    np.testing.assert_allclose(kept, np.exp(-1e-3 / tau), atol=4 / 4096)


@pytest.mark.parametrize("rule", ["nearest", "anchored"])
def test_what_has_no_leak_keeps_none_and_no_ladder_is_needed(rule: str) -> None:
    tau = np.array([1.0, 16.0])
    network = layer(np.ones((2, 1)), tau=tau * 1e-3, r=np.ones(2))
    exact, _ = ExactDecay().apply(network)
    other = IF(name="n", r=np.ones(2) * 1e3, v_threshold=np.ones(2), v_reset=np.zeros(2))
    without = replace(network, nodes=tuple(other if n.name == "n" else n for n in network.nodes))
    for given, expected in ((exact, np.exp(-1 / tau)), (without, np.ones(2))):
        program = check(given, "loihi2", scheme=Rules(decay=rule)).program
        assert program is not None
        kept = 1 - np.asarray(program.population("n").params["dv"]) / 4096
        np.testing.assert_allclose(np.broadcast_to(kept, 2), expected, atol=8 / 4096)


@pytest.mark.parametrize(
    ("rule", "exact", "least", "most"),
    [
        ("nearest", False, 0.1, 1),
        ("anchored", False, 0, 0.02),
        ("nearest", True, 0, 0.02),
        ("anchored", True, 0, 0.02),
    ],
)
def test_anchored_decays_make_a_ladder_covariant(
    rule: str, exact: bool, least: float, most: float
) -> None:
    """A scene that runs S times slower, given to channel k + 1, is what channel k sees.

    The rules of thresholds and decays together: with data, neither is moved from its ratio.
    """
    ratio, taus = 2, np.array([4, 8, 16]) * 1e-3
    weight = np.tile(np.random.default_rng(0).uniform(0.2, 1, 12), (3, 1))
    network = layer(weight, tau=taus, r=np.ones(3), v_threshold=5e-3 / taus)
    data, seen = noise(12, 400, 0), noise(12, 400, 1)
    allow = [ExactDecay.choice] if exact else []
    bundle = compile(network, "loihi2", seen, Rules(decay=rule), allow=allow)
    slow = np.zeros((400 * ratio, 12), np.int64)
    slow[::ratio] = data.dense()
    late = bundle.program.origins[0].latency
    one = nd.run(bundle, data).outputs["n"].dense()[late:]
    other = nd.run(bundle, Recording.from_dense(slow)).outputs["n"].dense()[late:]
    steps = min(len(one), len(other) // ratio)
    expected = np.zeros((steps * ratio, 2), np.int64)
    expected[::ratio] = one[:steps, :2]
    differ = int((expected != other[: steps * ratio, 1:]).sum())
    assert expected.sum() > 100
    assert least <= differ / expected.sum() <= most


def meeting(size: float, seed: int = 0) -> Network:
    """Build a second connection, much smaller, to the same neurons as the first."""
    rng = np.random.default_rng(seed)
    network = layer(rng.normal(0.1, 0.2, (20, 10)))
    small = Linear(name="small", weight=rng.normal(0.1, 0.2, (20, 10)) * size)
    return replace(
        network,
        nodes=(*network.nodes, small),
        edges=(*network.edges, ("x", "small"), ("small", "n")),
    )


@pytest.mark.parametrize(("size", "exponent"), [(1.0, 0), (1 / 40, 5), (1 / 300, 6)])
def test_each_connection_has_its_own_exponent_and_keeps_its_bits(
    size: float, exponent: int
) -> None:
    bundle = compile(meeting(size), "loihi2")
    made = bundle.scheme.connections
    assert (made["w"].exponent, made["small"].exponent) == (exponent, 0)
    assert abs(np.abs(made["w"].weight).max() - 254) < 40
    assert np.abs(made["small"].weight).max() > 80
    for name in ("w", "small"):
        weight = meeting(size)[name].weight  # type: ignore[attr-defined]
        off = made[name].held / made[name].gain.reshape(-1, 1) - weight
        assert np.linalg.norm(off) < 0.03 * np.linalg.norm(weight)


def test_who_has_calibrated_is_not_told_to_calibrate() -> None:
    wide = layer(np.ones((2, 1000)))
    for data, calibrate in ((None, True), (noise(1000, 20, 0), False)):
        (said,) = [
            f for f in check(wide, "loihi2", data).findings if f.code == "LOIHI-CURRENT-MAY-WRAP"
        ]
        assert ("calibrate" in (said.fix or "")) == calibrate


def test_exponents_leave_room_for_the_current_and_the_threshold() -> None:
    """With a large fan-in, or a high threshold, an exponent would make a current wrap."""
    rng = np.random.default_rng(0)
    wide = layer(np.abs(rng.normal(size=(4, 900))))
    small = Linear(name="small", weight=np.full((4, 900), 1e-3))
    wide = replace(
        wide, nodes=(*wide.nodes, small), edges=(*wide.edges, ("x", "small"), ("small", "n"))
    )
    verdict = check(wide, "loihi2")
    assert verdict.scheme is not None
    assert verdict.scheme.connections["w"].exponent < 4
    assert "LOIHI-CURRENT-MAY-WRAP" not in [f.code for f in verdict.findings]
    informed = check(wide, "loihi2", noise(900, 50, 0)).scheme
    assert informed is not None
    assert informed.connections["w"].exponent > verdict.scheme.connections["w"].exponent
    high = layer(np.eye(2), v_threshold=np.full(2, 400.0))
    tiny = Linear(name="small", weight=np.eye(2) / 60)
    high = replace(
        high, nodes=(*high.nodes, tiny), edges=(*high.edges, ("x", "small"), ("small", "n"))
    )
    program = check(high, "loihi2").program
    assert program is not None
    assert np.max(program.population("n").params["vth"]) <= 131071


def test_an_exponent_in_the_scheme_is_taken_as_it_is() -> None:
    rules = Rules(layers={"w": LayerRules(exponent=3)})
    made = compile(meeting(1 / 40), "loihi2", scheme=rules).scheme.connections
    assert (made["w"].exponent, made["small"].exponent) == (3, 0)


@pytest.mark.parametrize("kind", ["dense", "conv", "direct"])
def test_a_small_connection_counts_on_the_chip_as_in_the_model(kind: str) -> None:
    """Whatever the kind: the small one alone makes the neurons fire."""
    network = two_kinds(kind)
    frames = np.zeros((300, 18), np.int64)
    frames[:, :9] = 1
    recording = Recording.from_dense(frames.reshape(300, *network["x"].shape))
    report = nd.verify(compile(network, "loihi2"), recording)
    found = report.comparison.layers[0]
    assert found.spikes_right > 20
    assert abs(found.spikes_left - found.spikes_right) <= 0.05 * found.spikes_right


def two_kinds(kind: str) -> Network:
    """Build a large Linear from the silent half of the input beside a small connection."""
    shape = (2, 3, 3) if kind == "conv" else (18,)
    full = np.ones(shape)
    silent = np.zeros((18, 18))
    silent[:, 9:] = 1.0

    def pointwise(name: str, weight: np.ndarray) -> Conv:
        border = ((0, 0), (0, 0))
        return Conv(
            name=name, weight=weight.reshape(2, 2, 1, 1), input_size=(3, 3),
            stride=(1, 1), padding=border, dilation=(1, 1),
        )  # fmt: skip

    large, small = {
        "dense": (
            Linear(name="large", weight=silent),
            Linear(name="small", weight=np.eye(18) / 60),
        ),
        "direct": (Linear(name="large", weight=silent), Scale(name="small", scale=full / 60)),
        "conv": (
            pointwise("large", np.array([[0.0, 1.0], [0.0, 1.0]])),
            pointwise("small", np.eye(2) / 60),
        ),
    }[kind]
    neurons = {"tau": 0.05 * full, "r": full * 50, "v_leak": 0 * full, "v_threshold": full / 10}
    return Network(
        (
            Input(name="x", port_shape=shape),
            large,
            small,
            LIF(name="n", v_reset=0 * full, **neurons),
            Output(name="y", port_shape=shape),
        ),
        (("x", "large"), ("x", "small"), ("large", "n"), ("small", "n"), ("n", "y")),
        dt=1e-3,
    )


def test_weights_that_all_round_to_zero_are_refused() -> None:
    """No exponent compensates for it."""
    with pytest.raises(TargetError) as refusal:
        compile(meeting(1e-7), "loihi2")
    assert [(f.code, f.layer) for f in refusal.value.findings if f.severity == "error"] == [
        ("LOIHI-ALL-ZERO", "small")
    ]


# --- what the user fixes ---------------------------------------------------


def test_layers_that_the_network_has_not_are_refused_with_the_nearest_name() -> None:
    rules = Rules(layers={"smal": LayerRules(weight_bits=4), "n": LayerRules(gain=3.0)})
    with pytest.raises(TargetError) as refusal:
        compile(meeting(1.0), "loihi2", scheme=rules)
    found = {f.what: f.fix for f in refusal.value.findings}
    assert found == {
        "the scheme refers to layer 'smal', which does not exist in the network": (
            "did you mean 'small'?"
        ),
        "the scheme sets gain of 'n', which is neurons": "set only decay of it",
    }


def test_spikes_cannot_be_counted_without_data() -> None:
    for rules in (Rules(error="spikes"), Rules(layers={"w": LayerRules(error="spikes")})):
        with pytest.raises(TargetError, match="SCHEME-NO-DATA"):
            compile(layer(np.eye(2)), "loihi2", scheme=rules)
        assert check(layer(np.eye(2)), "loihi2", noise(2, 50, 0), rules).fits


def test_bits_method_and_gains_are_set_a_layer(tmp_path: Path) -> None:
    """A rule of one layer leaves the others unchanged; the bundle keeps it."""
    network = layer(np.random.default_rng(0).normal(0.1, 0.3, (6, 12)))
    plain = compile(network, "loihi2").scheme.connections["w"]
    for own, expected in (
        (LayerRules(weight_bits=4), lambda c: c.weight_bits == 4 and np.all(c.weight % 32 == 0)),
        (LayerRules(per_channel=False), lambda c: c.gain.ndim == 0),
        (LayerRules(gain=100.0), lambda c: c.gain == 100.0),
        (LayerRules(method="max"), lambda c: c.gain.ndim == 0 and np.abs(c.weight).max() == 254),
        (LayerRules(error="weights"), lambda c: np.array_equal(c.weight, plain.weight)),
    ):
        bundle = compile(network, "loihi2", noise(12, 60, 0), Rules(layers={"w": own}))
        assert expected(bundle.scheme.connections["w"]), own
        nd.save(bundle, tmp_path / "b.nrfb")
        kept = nd.load(tmp_path / "b.nrfb").scheme
        assert kept.rules == Rules(layers={"w": own})
        assert parse_rules(scheme_toml(kept)) == kept.rules


def test_a_decay_is_anchored_for_one_layer() -> None:
    tau = np.array([5.48, 10.95, 21.9, 43.8]) * 1e-3
    network = layer(np.ones((4, 1)), tau=tau, r=tau * 1000)
    anchored = check(network, "loihi2", scheme=Rules(decay="anchored")).scheme
    own = check(network, "loihi2", scheme=Rules(layers={"n": LayerRules(decay="anchored")})).scheme
    assert anchored is not None
    assert own is not None
    assert np.array_equal(own.populations["n"].params["dv"], anchored.populations["n"].params["dv"])


def test_lava_counts_exponents_as_the_emulator_does() -> None:
    there = environments.status(engine.sdk)
    if not there.installed:
        pytest.skip(f"Lava is not installed: {there.todo}")
    rng = np.random.default_rng(1)
    frames = (rng.random((80, 18)) < 0.3).astype(np.int64)
    pairs = []
    for kind in ("dense", "conv", "direct"):
        network = two_kinds(kind)
        data = Recording.from_dense(frames.reshape(80, *network["x"].shape))
        pairs.append((compile(network, "loihi2").program, data))
    pairs.append((compile(meeting(1 / 40), "loihi2").program, noise(10, 80, 1)))
    for (program, data), trace in zip(pairs, engine.run_many(pairs), strict=True):
        assert first_difference(run_golden(Case(program, data)), trace) is None
        assert trace.outputs["n"].counts().sum() > 20


# --- ranges ------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [np.zeros(3), np.array([0.0, 0.5, 1.0])])
def test_a_threshold_of_0_is_calibrated_as_any_other(threshold: np.ndarray) -> None:
    """Such a neuron fires on whatever is above its rest; there is no unit to measure errors in."""
    weight = np.random.default_rng(0).uniform(-1, 1, (3, 6))
    network, recording = layer(weight, v_threshold=threshold), noise(6, 60, 1)
    assert differing(network, recording, recording) == 0


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
        compile(layer(np.eye(2)), "loihi2", scheme=rules)


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


@pytest.mark.conformance
def test_the_nmnist_network_keeps_more_spikes_in_place(shared: Path) -> None:
    """Fitted on the mirror image of the recording, judged on the recording."""
    path = shared / "recordings" / "nmnist_sample.npz"
    digits, _ = read_recording(path, shape=(2, 34, 34), bin=1e-3)
    mirrored = Recording.from_dense(digits.dense()[:, :, :, ::-1])
    network = nd.read(
        shared / "conformance" / "nir" / "cnn_sinabs.nir", dt=1.0, producer="nir"
    ).network
    scaled = differing(network, digits, None, Rules(method="max"))
    fitted = differing(network, digits, mirrored)
    assert fitted < 0.75 * scaled


def test_the_target_is_what_is_registered() -> None:
    from nrf_deploy.compiler.target import targets

    assert targets()["loihi"] is target
