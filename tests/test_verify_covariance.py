"""A stretch of time is a stretch of the response, and what deviates is measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.cli import main
from nrf_deploy.findings import UsageError
from nrf_deploy.legalise.base import parse
from nrf_deploy.legalise.exact_decay import ExactDecay
from nrf_deploy.network import LI, LIF, CubaLIF, Input, Linear, Network, Node, Output
from nrf_deploy.recording import Recording
from nrf_deploy.recordings import write
from nrf_deploy.reference import run as run_reference
from nrf_deploy.verification.covariance import ANCHORED, CHIP, EULER, EXACT, covariance
from nrf_deploy.verification.covariance.ladders import Rung, rungs
from nrf_deploy.verification.covariance.stretch import Run, rebinned, stuffed, t_test, z_test

DT, INPUTS, WIDTH = 1e-3, 6, 5
LADDER = (4.0, 8.0, 16.0)


def noise(steps: int = 120, density: float = 0.15, seed: int = 0) -> Recording:
    rng = np.random.default_rng(seed)
    return Recording.from_dense((rng.random((steps, INPUTS)) < density).astype(np.int64), DT)


def neurons(kind: str, name: str, mu: float) -> Node:
    """Thresholds in proportion to what an event adds, so that all channels are alike."""
    ones = np.ones(WIDTH)
    if kind == "LI":
        return LI(name=name, tau=mu * DT * ones, r=ones, v_leak=0 * ones)
    fires = {"v_threshold": 0.8 / mu * ones, "v_leak": 0 * ones, "v_reset": 0 * ones}
    if kind == "LIF":
        return LIF(name=name, tau=mu * DT * ones, r=ones, **fires)
    syn = mu * DT / 2 * ones
    return CubaLIF(
        name=name, tau_mem=mu * DT * ones, tau_syn=syn, r=ones, w_in=ones,
        **(fires | {"v_threshold": 0.6 / mu**2 * ones}),
    )  # fmt: skip


def channels(kind: str, ladder: tuple[float, ...] = LADDER, depth: int = 2) -> Network:
    """Parallel channels of `depth` layers, alike but for their time constants."""
    rng = np.random.default_rng(1)
    weights = [rng.normal(0.15, 0.5, (WIDTH, INPUTS if k == 0 else WIDTH)) for k in range(depth)]
    nodes: list[Node] = [Input(name="x", port_shape=(INPUTS,))]
    edges = []
    for c, mu in enumerate(ladder):
        before = "x"
        for d in range(depth):
            w, n = f"w{d}.{c}", f"n{d}.{c}"
            nodes += [Linear(name=w, weight=weights[d]), neurons(kind, n, mu)]
            edges += [(before, w), (w, n)]
            before = n
        edges.append((before, "y"))
    nodes.append(Output(name="y", port_shape=(WIDTH,)))
    return Network(tuple(nodes), tuple(edges), DT)


def floats(network: Network) -> Run:
    names = [n for n in network.order if n.startswith("n")]
    return lambda recording: dict(run_reference(network, recording, record=names).outputs)


@pytest.mark.parametrize("kind", ["LI", "LIF", "CubaLIF"])
def test_channels_are_found_by_their_numbers(kind: str) -> None:
    assert rungs(channels(kind)) == tuple(
        Rung(f"n{d}.{c}", f"n{d}.{c + 1}", 2, d + 1) for d in (0, 1) for c in (0, 1)
    )


def test_other_weights_or_a_broken_ladder_make_no_channels() -> None:
    network = channels("LIF")
    other = network["w0.1"]
    changed = replace(other, weight=other.weight + 1)  # type: ignore[call-arg,attr-defined]
    nodes = tuple(changed if n is other else n for n in network.nodes)
    left = rungs(replace(network, nodes=nodes))
    assert left == (Rung("n0.0", "n0.2", 4, 1), Rung("n1.0", "n1.2", 4, 2))
    assert rungs(channels("LIF", ladder=(4.0, 7.0))) == ()
    assert [r.stretch for r in rungs(channels("LI", ladder=(2.0, 6.0), depth=1))] == [3]


@pytest.mark.parametrize(("kind", "depth"), [("LI", 1), ("LIF", 1), ("LIF", 2)])
def test_exponential_decay_is_covariant_and_eulers_step_is_not(kind: str, depth: int) -> None:
    network = channels(kind, depth=depth)
    exact, said = ExactDecay().apply(network)
    assert len(said) == 3 * depth
    given, found = noise(), rungs(network)
    wrong = z_test(network, found, given, floats(network))
    right = z_test(exact, found, given, floats(exact))
    assert len(wrong) == len(right) == 2 * depth
    assert max(d.error for d in right) < (2e-6 if kind == "LI" else 1e-9)
    assert min(d.error for d in wrong) > 0.01
    if kind == "LIF":
        assert all(d.spikes and d.spikes > 10 for d in right)


@pytest.mark.parametrize(("kind", "depth"), [("LI", 2), ("CubaLIF", 1)])
def test_what_sums_between_the_steps_is_covariant_only_nearly(kind: str, depth: int) -> None:
    """A leaky integrator that follows another sums a curve in steps, as a filtered current
    is summed: finer steps (a longer time constant) come nearer."""
    errors = []
    for mu in (4.0, 16.0):
        network = channels(kind, ladder=(mu, 2 * mu), depth=depth)
        exact, _ = ExactDecay().apply(network)
        tested = z_test(exact, rungs(network), noise(400), floats(exact))
        errors.append(tested[-1].error)
    assert 1e-3 < errors[1] < errors[0]


def test_a_shorter_time_constant_is_further_from_covariant() -> None:
    network = channels("LI", ladder=(2.0, 4.0, 8.0, 16.0), depth=1)
    found = [d.error for d in z_test(network, rungs(network), noise(), floats(network))]
    assert found == sorted(found, reverse=True)


def test_stuffed_and_rebinned_recordings_hold_the_same_events() -> None:
    given = noise(30)
    for stretch in (2, 3):
        wide, binned = stuffed(given, stretch), rebinned(given, stretch)
        assert wide.steps == binned.steps == 30 * stretch
        assert list(wide.faults()) == list(binned.faults()) == []
        assert np.array_equal(wide.dense()[::stretch], given.dense())
        assert wide.value.sum() == given.value.sum()
        summed = binned.dense().reshape(30, stretch, INPUTS).sum(axis=1)
        assert np.array_equal(summed, given.dense())


def test_binning_again_costs_more_than_precision() -> None:
    exact, _ = ExactDecay().apply(channels("LIF"))
    found = t_test(exact, rungs(exact), noise(), floats(exact))
    assert all(0.01 < d.error < 1.5 for d in found)


def test_the_chip_is_told_apart_from_the_float_model() -> None:
    network = channels("LIF")
    given = noise()
    measured = covariance(nd.compile(network, "loihi2", given), given)
    mean = {name: np.mean([d.error for d in ds]) for name, ds in measured.stages.items()}
    assert mean[EXACT] < 1e-9 < mean[EULER]
    assert mean[CHIP] > 0
    assert mean[ANCHORED] < 1e-3
    assert {f.code for f in measured.findings} >= {"COVARIANCE"}
    assert measured.as_json()["stages"].keys() == measured.stages.keys()
    assert max(map(len, measured.text().splitlines())) <= 80


def test_a_model_without_channels_is_refused() -> None:
    network = channels("LIF", ladder=(4.0,))
    with pytest.raises(UsageError, match="COVARIANCE-NO-LADDER"):
        covariance(nd.compile(network, "loihi2"), noise())


def test_exact_decay_keeps_what_an_event_adds_and_is_named_in_a_bundle() -> None:
    before = neurons("LIF", "n", 4.0)
    network, _ = ExactDecay().apply(channels("LIF"))
    after = network["n0.0"]
    assert isinstance(before, LIF)
    assert isinstance(after, LIF)
    np.testing.assert_allclose(after.r * DT / after.tau, before.r * DT / before.tau)
    np.testing.assert_allclose(1 - DT / after.tau, np.exp(-DT / before.tau))
    assert parse("exact_decay") == ExactDecay()


def test_the_command_line_measures_it_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, bundle = noise(60), tmp_path / "b.nrfb"
    nd.save(nd.compile(channels("LIF"), "loihi2", given), bundle)
    write(given, tmp_path / "x.npz")
    words = [
        "verify",
        str(bundle),
        "--input",
        str(tmp_path / "x.npz"),
        "--covariance",
        "--limit",
        "9",
    ]
    page = tmp_path / "r.html"
    assert main([*words, "--report", str(page)]) == 0
    assert "covariance in time" in capsys.readouterr().out
    assert "Covariance" in page.read_text("utf-8")
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["covariance"]
    assert {s["faster"] for s in told["stages"][EXACT]} == {"n0.0", "n0.1", "n1.0", "n1.1"}
