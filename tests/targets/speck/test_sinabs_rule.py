"""The scheme "sinabs": the integers of a core beside those of sinabs' own DynapcnnNetwork.

sinabs 3.1.3 runs in its own environment; without it, recorded integers and refusals remain.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.compiler.quantize.rules import NAMED, LayerRules, Rules
from nrf_deploy.diagnostics.findings import Finding, MissingFileError, TargetError
from nrf_deploy.engines.reference import run as run_reference
from nrf_deploy.engines.sdk import environments
from nrf_deploy.ir.network import Array, AvgPool, Flatten, Network, Population
from nrf_deploy.ir.recording import Recording
from nrf_speck.compile.core_form import cores
from nrf_speck.compile.sinabs_rule import bounded_scale
from nrf_speck.configuration import image
from nrf_speck.samna import client as samna_client
from nrf_speck.sinabs import client
from tests.builders.sinabs_networks import Core, in_sinabs
from tests.builders.speck_cores import differing
from tests.builders.speck_networks import chain, conv, linear, neurons, pool

AS_SINABS: dict[str, Any] = {"reset": "subtract", "fires": "at", "per_step": "many"}
COUNTS = {"1": 10942, "3": 26231, "6": 22115, "10": 24268, "12": 1733}
"""Spikes of cnn_sinabs.nir in sinabs, on the N-MNIST recording in steps of 1 ms."""
THRESHOLDS = {"1": 72, "3": 128, "6": 205, "10": 108, "12": 197}
"""Of sinabs' DynapcnnNetwork for the same network; the lower bounds are their negatives."""


@cache
def missing(sdk: Any) -> str:
    there = environments.status(sdk)
    return "" if there.installed else f"{sdk.name} is not installed: {there.todo}"


@pytest.fixture
def needs_sinabs() -> None:
    if missing(client.sdk):
        pytest.skip(missing(client.sdk))


@pytest.fixture
def needs_samna() -> None:
    if missing(samna_client.sdk):
        pytest.skip(missing(samna_client.sdk))


def compiled(network: Network, scheme: Any = "sinabs", **more: Any) -> Bundle:
    return nd.compile(network, "speck2b", scheme=scheme, **more)


def refused(network: Network, scheme: Any = "sinabs", **more: Any) -> list[Finding]:
    with pytest.raises(TargetError) as refusal:
        compiled(network, scheme, **more)
    return [f for f in refusal.value.findings if f.severity == "error"]


def nmnist(shared: Path) -> tuple[Network, Recording]:
    """Read the network of the NIR paper as sinabs runs it, and its recording."""
    file = shared / "conformance/nir/cnn_sinabs.nir"
    network = nd.read(file, dt=1, producer="sinabs").network
    path = shared / "recordings/nmnist_sample.npz"
    return network, nd.read_recording(path, network, bin=1e-3, origin="first")


@cache
def nmnist_bundle(shared: Path, chip: str) -> Bundle:
    return nd.compile(nmnist(shared)[0], chip, scheme="sinabs")


def mean(name: str, shape: tuple[int, ...]) -> AvgPool:
    """Return a mean of 2 x 2, which sinabs makes a sum whose factor goes into the weights."""
    two = (2, 2)
    return AvgPool(name=name, pool_input=shape, window=two, stride=two, padding=((0, 0), (0, 0)))


def drawn(seed: int, quarters: bool = False) -> tuple[Network, Recording]:
    """Draw a network of three layers with its input; with `quarters` no sum is rounded."""
    rng = np.random.default_rng(seed)

    def weights(*shape: int) -> Array:
        w = rng.normal(0.1, 0.6, shape) * rng.choice([0.1, 1.0, 8.0])
        return np.rint(w * 4) / 4 if quarters else w.astype(np.float32).astype(np.float64)

    def biases(count: int) -> Array | None:
        return (
            weights(count) * rng.choice([0.3, 3.0]) if not quarters and rng.random() < 0.6 else None
        )

    def spiking(name: str, shape: tuple[int, ...]) -> Population:
        theta = (
            float(rng.integers(1, 12)) / 4 if quarters else float(np.float32(rng.uniform(0.3, 3)))
        )
        floor = -theta * rng.choice([1.0, 0.5, 2.0])
        kinds = {**AS_SINABS, "reset": str(rng.choice(["subtract", "value"]))}
        full = np.full(shape, np.float32(floor))
        population = neurons(name, shape, theta, floor=full, **kinds)
        if rng.random() < 0.6:
            return population
        first = np.rint(rng.uniform(floor, 0.9 * theta, shape) * 4) / 4
        first = np.clip(first, full, theta - 0.25).astype(np.float32)
        membrane = dataclasses.replace(population.membrane, v0=first)
        return dataclasses.replace(population, membrane=membrane)

    f = int(rng.integers(1, 4))
    network = chain(
        (2, 8, 8),
        conv("c1", weights(f, 2, 3, 3), (8, 8), pad=1, bias=biases(f)),
        spiking("n1", (f, 8, 8)),
        pool("p", (f, 8, 8), 2) if rng.random() < 0.5 else mean("p", (f, 8, 8)),
        conv("c2", weights(3, f, 2, 2), (4, 4), stride=2, bias=biases(3)),
        spiking("n2", (3, 2, 2)),
        Flatten(name="flat", flat_input=(3, 2, 2), start=0, end=-1),
        linear("l", weights(5, 12), biases(5)),
        spiking("n3", (5,)),
    )
    events = rng.poisson(rng.choice([0.05, 0.3, 1.5]), (40, 2, 8, 8))
    return network, Recording.from_dense(events)


def assert_same_integers(bundle: Bundle, theirs: dict[str, Core]) -> None:
    """Compare weights, biases, both thresholds, the first potential and the reset of each core."""
    for layer in cores(bundle.program):
        core, params = theirs[layer.name], layer.population.params
        np.testing.assert_array_equal(layer.conv.weight, core.weights)
        biases = np.broadcast_to(np.ravel(params["bias"]), core.biases.shape)
        np.testing.assert_array_equal(biases, core.biases)
        shape = layer.population.shape
        initial = np.broadcast_to(params["v0"], shape)
        np.testing.assert_array_equal(initial, core.initial.reshape(shape))
        for name in ("threshold_high", "threshold_low", "returns_to_zero"):
            assert params[name] == getattr(core, name), (layer.name, name)


def assert_same_spikes(bundle: Bundle, recording: Recording, theirs: dict[str, Core]) -> int:
    """Compare sinabs' simulation of the chip with the engine "steps"; return the spikes."""
    ours = nd.run(bundle, recording, engine="steps", layer=list(theirs)).outputs
    for name, core in theirs.items():
        assert ours[name].same(core.chip), name
    return sum(int(core.chip.value.sum()) for core in theirs.values())


# --- beside sinabs itself ------------------------------------------------------------


ROUNDED, IN_QUARTERS = range(14), range(100, 110)


@cache
def beside(shared: Path) -> tuple[list[tuple[Network, Recording]], list[dict[str, Core]]]:
    """Run the N-MNIST network and random ones in sinabs, with one start of its worker."""
    pairs = [
        nmnist(shared),
        *(drawn(seed) for seed in ROUNDED),
        *(drawn(seed, quarters=True) for seed in IN_QUARTERS),
    ]
    return pairs, in_sinabs(pairs)


def assert_same_floats(network: Network, recording: Recording, theirs: dict[str, Core]) -> int:
    """Compare the float reference with the network that sinabs trains; return the spikes."""
    ours = run_reference(network, recording, record=list(theirs)).outputs
    for name, core in theirs.items():
        assert ours[name].same(core.trained), name
    return sum(int(core.trained.value.sum()) for core in theirs.values())


@pytest.mark.usefixtures("needs_sinabs")
def test_the_nmnist_network_is_that_of_sinabs_in_floats_and_in_integers(shared: Path) -> None:
    pairs, answers = beside(shared)
    (network, recording), theirs = pairs[0], answers[0]
    assert_same_floats(network, recording, theirs)
    assert {n: int(c.trained.value.sum()) for n, c in theirs.items()} == COUNTS
    bundle = nmnist_bundle(shared, "speck2b")
    assert_same_integers(bundle, theirs)
    assert assert_same_spikes(bundle, recording, theirs) == 83613


@pytest.mark.usefixtures("needs_sinabs")
def test_random_networks_have_the_integers_of_sinabs(shared: Path) -> None:
    pairs, answers = beside(shared)
    last = 1 + len(ROUNDED)
    spikes = [
        count
        for (network, recording), theirs in zip(pairs[1:last], answers[1:last], strict=True)
        if (count := same_integers(network, recording, theirs)) is not None
    ]
    assert len(spikes) >= 10
    assert sum(count > 100 for count in spikes) >= 8


@pytest.mark.usefixtures("needs_sinabs")
def test_the_float_reference_has_every_spike_of_sinabs(shared: Path) -> None:
    """With weights in quarters no sum is rounded, and ties occur."""
    pairs, answers = beside(shared)
    first = 1 + len(ROUNDED)
    counts = [
        assert_same_floats(network, recording, theirs)
        for (network, recording), theirs in zip(pairs[first:], answers[first:], strict=True)
    ]
    assert sum(counts) > 10_000


@pytest.mark.conformance
@pytest.mark.usefixtures("needs_sinabs")
def test_hundreds_of_random_networks_have_the_spikes_and_integers_of_sinabs() -> None:
    rounded, quarters = range(1000, 1200), range(1200, 1400)
    seeds = (*rounded, *quarters)
    pairs = [drawn(seed, seed in quarters) for seed in seeds]
    compared = 0
    for seed, pair, theirs in zip(seeds, pairs, in_sinabs(pairs), strict=True):
        if seed in quarters:
            assert_same_floats(*pair, theirs)
        compared += same_integers(*pair, theirs) is not None
    assert compared > 300


def same_integers(network: Network, recording: Recording, theirs: dict[str, Core]) -> int | None:
    """Compare integers and the simulation of the chip; return its spikes, None where refused."""
    if (bundle := compiled_or_none(network)) is None:
        return None
    assert_same_integers(bundle, theirs)
    return assert_same_spikes(bundle, recording, theirs)


def compiled_or_none(network: Network) -> Bundle | None:
    """Compile a network; None where the rule leaves nothing of a layer."""
    verdict = nd.check(network, "speck2b", scheme="sinabs")
    codes = {f.code for f in verdict.findings if f.severity == "error"}
    assert codes <= {"SPECK-ALL-ZERO", "SPECK-SINABS-COARSE", "SPECK-FLOOR", "SPECK-STATE"}, codes
    return compiled(network) if verdict.fits else None


@pytest.mark.usefixtures("needs_samna")
def test_samna_takes_the_whole_configuration_of_the_nmnist_network(shared: Path) -> None:
    bundle = nmnist_bundle(shared, "speck2b")
    configuration = image.checked(bundle.program, bundle.placement)
    (verdict,) = samna_client.validate([configuration])
    assert verdict.ok, verdict.said
    stream = samna_client.encode(configuration)  # decodes the words, and compares every number
    assert nd.image(bundle).data == stream.to_bytes()
    by_layer = {core.layer: core for core in configuration.cores}
    assert {n: c.threshold_high for n, c in by_layer.items()} == THRESHOLDS
    assert {n: -c.threshold_low for n, c in by_layer.items()} == THRESHOLDS
    assert not any(c.returns_to_zero for c in by_layer.values())


@pytest.mark.usefixtures("needs_sinabs")
def test_the_configuration_builder_of_sinabs_sets_the_same_fields(shared: Path) -> None:
    """For Speck 2f by its own builder; no samna judges that chip without a board."""
    bundles = [nmnist_bundle(shared, chip) for chip in ("speck2b", "speck2f")]
    configurations = [image.checked(b.program, b.placement) for b in bundles]
    for tree, configuration in zip(client.configure(configurations), configurations, strict=True):
        assert differing(tree, configuration) == {}


# --- without sinabs -------------------------------------------------------------------


def test_the_nmnist_network_has_the_counts_and_thresholds_of_sinabs(shared: Path) -> None:
    network, recording = nmnist(shared)
    outputs = run_reference(network, recording, record=list(COUNTS)).outputs
    assert {n: int(r.value.sum()) for n, r in outputs.items()} == COUNTS
    populations = nmnist_bundle(shared, "speck2b").program.populations
    stored = {p.name: p.params for p in populations if p.name in THRESHOLDS}
    assert {n: p["threshold_high"] for n, p in stored.items()} == THRESHOLDS
    assert {n: -int(p["threshold_low"]) for n, p in stored.items()} == THRESHOLDS


def small(theta: float = 1.0, floor: Any = -1.0, bias: Any = None, **more: Any) -> Network:
    weight = np.array([[0.5, -0.25, 1.0], [0.75, 0.1, -1.5]], np.float32).astype(float)
    full = None if floor is None else np.broadcast_to(floor, (2,)).astype(float)
    kinds = {**AS_SINABS, "floor": full, **more}
    return chain((3,), linear("l", weight, bias), neurons("n", (2,), theta, **kinds))


def params(network: Network, scheme: Any = "sinabs") -> dict[str, Any]:
    return dict(compiled(network, scheme).program.population("n").params)


def test_a_scale_is_bounded_by_the_side_that_is_the_larger() -> None:
    """127 / 1.0 and 128 / 1.5; what is all 0 bounds nothing."""
    assert bounded_scale(np.array([-0.5, 1.0], np.float32), 8) == 127
    assert bounded_scale(np.array([-1.5, 1.0], np.float32), 8) == np.float32(128 / 1.5)
    assert bounded_scale(np.zeros(3, np.float32), 8) == np.inf


def test_the_numbers_of_a_core_have_one_scale() -> None:
    """128 / 1.5 = 85.33: by the largest weight."""
    stored = params(small(theta=2.0, floor=-0.5))
    assert (stored["threshold_high"], stored["threshold_low"]) == (171, -43)
    assert stored["returns_to_zero"] == 0
    weight = next(iter(cores(compiled(small()).program))).conv.weight[:, :, 0, 0]
    assert weight.tolist() == [[43, -21, 85], [64, 9, -128]]


def test_biases_have_eight_bits_and_bound_the_scale() -> None:
    stored = params(small(bias=np.array([2.0, 4.0])))
    assert np.ravel(stored["bias"]).tolist() == [64, 127]
    assert stored["threshold_high"] == 32


def test_a_reset_to_zero_returns_to_zero() -> None:
    assert params(small(reset="value", per_step="one"))["returns_to_zero"] == 1


def test_the_name_stands_for_the_method(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text('method = "sinabs"\n')
    by_name = params(small())
    assert params(small(), path) == by_name == params(small(), Rules(method="sinabs"))
    assert NAMED.keys() == {"sinabs"}
    assert params(small(), None) != by_name


def test_a_name_that_no_scheme_has_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(MissingFileError, match="SCHEME-UNKNOWN") as refusal:
        compiled(small(), "sinab")
    assert "'sinabs'" in refusal.value.findings[0].fix


def test_one_layer_may_follow_it_alone() -> None:
    network = chain(
        (3,),
        linear("l", np.array([[0.5, -0.25, 1.0], [0.75, 0.1, -1.5]])),
        neurons("n", (2,), floor=-np.ones(2), **AS_SINABS),
        linear("m", np.array([[0.7, 0.3]])),
        neurons("o", (1,), floor=-np.ones(1), **AS_SINABS),
    )
    bundle = compiled(network, Rules(layers={"m": LayerRules(method="sinabs")}))
    both = compiled(network)
    assert bundle.program.population("o").params == both.program.population("o").params
    assert bundle.program.population("n").params != both.program.population("n").params


def test_without_a_floor_sinabs_leaves_nothing_of_small_weights_and_it_is_said() -> None:
    """Sinabs takes -32768 for the floor, so that its scale is 1: weights below 1/2 become 0."""
    scaled = chain((3,), linear("l", np.array([[0.4, -0.2, 0.1]])), neurons("n", (1,), **AS_SINABS))
    (found,) = refused(scaled)
    assert (found.code, found.layer) == ("SPECK-ALL-ZERO", "l")
    assert "without a floor" in found.why
    assert "--floor" in found.fix
    (found,) = [f for f in compiled(small(floor=None)).findings if "COARSE" in f.code]
    assert (found.severity, found.layer, found.code) == ("warning", "l", "SPECK-SINABS-COARSE")
    assert "without a floor" in found.why


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"fires": "above", "per_step": "one"}, "above its threshold"),
        ({"theta": np.array([1.0, 2.0]), "floor": np.array([-1.0, -2.0])}, "v_threshold"),
    ],
)
def test_neurons_that_sinabs_does_not_have_are_refused(more: dict[str, Any], word: str) -> None:
    found = [f for f in refused(small(**more)) if f.code == "SPECK-SINABS"]
    assert word in found[0].what
    assert all(f.fix for f in found)


def test_a_floor_that_the_rule_rounds_to_0_is_refused() -> None:
    assert [f.code for f in refused(small(floor=-0.001))] == ["SPECK-FLOOR"]


@pytest.mark.parametrize(
    "rules",
    [
        Rules(method="sinabs", weight_bits=6),
        Rules(method="sinabs", error="weights"),
        Rules(method="sinabs", layers={"l": LayerRules(gain=100.0)}),
        Rules(weight_bits=6, layers={"l": LayerRules(method="sinabs")}),
    ],
)
def test_settings_that_the_rule_would_ignore_are_refused(rules: Rules) -> None:
    (found,) = refused(small(), rules)
    assert (found.code, found.layer) == ("SPECK-SINABS", "l")


@pytest.mark.parametrize("chip", ["loihi2", "emulator"])
@pytest.mark.parametrize(
    "rules", [Rules(method="sinabs"), Rules(layers={"l": LayerRules(method="sinabs")})]
)
def test_other_chips_do_not_have_the_method(chip: str, rules: Rules) -> None:
    network = chain((3,), linear("l", np.ones((2, 3))), neurons("n", (2,)))
    with pytest.raises(TargetError) as refusal:
        nd.compile(network, chip, scheme=rules)
    assert [f.code for f in refusal.value.findings if f.severity == "error"] == ["SCHEME-CHIP"]


def test_calibration_reports_the_fit_but_changes_nothing() -> None:
    recording = Recording.from_dense(np.random.default_rng(0).poisson(0.4, (200, 3)))
    rules = Rules(layers={"l": LayerRules(method="sinabs")})
    fitted = compiled(small(), rules, calibrate=recording)
    assert fitted.program.population("n").params == compiled(small()).program.population("n").params
