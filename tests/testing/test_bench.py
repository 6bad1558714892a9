"""The benchmarks compare like with like: answers that differ are said to, work is counted right."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.cli.main import main
from nrf_deploy.diagnostics.findings import MissingError, TargetError, UsageError
from nrf_deploy.engines.emulator.layout import conv_synapses
from nrf_deploy.engines.sdk.environments import installed_python
from nrf_deploy.ir.program import Conv
from nrf_deploy.ir.recording import Recording
from nrf_deploy.testing.bench.case import Answer, Case, Peer, Problem, cases, chosen
from nrf_deploy.testing.bench.measure import (
    AGREE,
    COUNT,
    DIFFER,
    agreement,
    fan_out,
    measure,
    synaptic_events,
)
from nrf_peers import build, loop, peers, plain, yardstick
from nrf_peers.covariant import fields, problem

NEEDS_GCC = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is absent: install gcc")


def small(density: float = 0.05, seed: int = 0) -> Problem:
    program = build.convolutions((2, 5, 3), 9, (60, 60), (1, 2), seed)
    return build.to_problem(program, build.events((2, 9, 9), 40, density, seed))


def dense(seed: int = 0) -> Problem:
    return build.to_problem(build.dense(30, 20, 300, seed), build.events((30,), 40, 0.2, seed))


def a_case(name: str, made: Problem) -> Case:
    return Case(name, "", lambda: made)


# --- the plain C loop ----------------------------------------------------


@NEEDS_GCC
@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.floats(0, 1), st.integers(0, 1000))
def test_the_c_loop_gives_every_spike_of_a_convolution(density: float, seed: int) -> None:
    made = small(density, seed)
    ours = made.engine.run(made.recording).outputs
    assert agreement(made, ours, loop.run(made, True)) == AGREE


@NEEDS_GCC
@pytest.mark.parametrize("seed", range(3))
def test_the_c_loop_gives_every_spike_of_a_dense_layer(seed: int) -> None:
    made = dense(seed)
    ours = made.engine.run(made.recording).outputs
    assert sum(len(r.index) for r in ours.values()) > 0
    assert agreement(made, ours, loop.run(made, True)) == AGREE


@NEEDS_GCC
def test_the_c_loop_gives_every_spike_of_leaky_channels_that_share_a_convolution() -> None:
    made = problem(0.01, side=40, count=4, steps=30)
    ours = made.engine.run(made.recording).outputs
    assert all(len(ours[f"n{k}.3"].index) for k in (1, 2))
    assert agreement(made, ours, loop.run(made, True)) == AGREE


@NEEDS_GCC
def test_the_c_loop_agrees_on_the_yardstick() -> None:
    try:
        made = yardstick.problem().until(200)
    except MissingError as missing:
        pytest.skip(str(missing))
    ours = made.engine.run(made.recording).outputs
    assert agreement(made, ours, loop.run(made, True)) == AGREE


@NEEDS_GCC
def test_the_c_loop_wraps_a_current_beyond_24_bits_as_the_chip_does() -> None:
    """800 weights of 200 sum to more than 131072 = 2^23 / 64."""
    layer = build.dense(800, 4, 100)
    (synapses,) = layer.synapses
    heavy = replace(synapses, weight=np.full_like(synapses.weight, 200))
    made = build.to_problem(
        replace(layer, synapses=(heavy,)), build.events((800,), 40, 0.82, seed=0)
    )
    totals = 200 * np.diff(made.recording.start)
    assert totals.min() < 2**17 < totals.max()
    ours = made.engine.run(made.recording).outputs
    assert 0 < len(ours["n1"].index) < 4 * 39
    assert agreement(made, ours, loop.run(made, True)) == AGREE


@NEEDS_GCC
def test_a_second_run_starts_from_rest() -> None:
    made = small()
    first, second = (loop.run(made, True).outputs for _ in range(2))
    assert all(first[name].same(second[name]) for name in first)


def test_what_the_peers_cannot_say_is_refused() -> None:
    made = small()
    slow = replace(made.program.synapses[0], delay=3)
    other = replace(made.program, synapses=(slow, *made.program.synapses[1:]))
    with pytest.raises(TargetError, match="a delay other than one step"):
        plain.request(replace(made, program=other), record=False, unrolled=True)


# --- the other peers -----------------------------------------------------


@pytest.mark.conformance
@pytest.mark.parametrize("name", ["scipy", "nengo-loihi", "sinabs", "Lava"])
def test_a_peer_gives_every_spike(name: str) -> None:
    peer = next(p for p in peers() if p.name == name)
    assert peer.sdk is not None
    if installed_python(peer.sdk) is None:
        pytest.skip(f"{name} is not installed: nrf-deploy bench dense --peers {name} --install")
    for made in (small(), dense()):
        ours = made.engine.run(made.recording).outputs
        assert agreement(made, ours, peer.run(made, True)) == AGREE


# --- measuring -----------------------------------------------------------


def fake(made: Problem, outputs: dict[str, Recording], **more: int) -> Peer:
    def run(problem: Problem, record: bool) -> Answer:
        return Answer(1.0, outputs, **more)

    return Peer("fake", "", run, {"small": 10**6}, "why not")


def test_an_answer_that_lacks_a_spike_differs() -> None:
    made = small()
    outputs = dict(made.engine.run(made.recording).outputs)
    found = measure(a_case("small", made), [fake(made, outputs)], 1, 1)
    assert (found.good, found.against[0].agrees) == (True, AGREE)
    dense_spikes = outputs["n1"].dense()
    dense_spikes[tuple(np.argwhere(dense_spikes)[0])] = 0
    wrong = outputs | {"n1": Recording.from_dense(dense_spikes)}
    found = measure(a_case("small", made), [fake(made, wrong)], 1, 1)
    assert (found.good, found.against[0].agrees) == (False, DIFFER)


def test_a_peer_that_only_counts_is_held_to_its_count() -> None:
    made = small()
    ours = made.engine.run(made.recording).outputs
    total = sum(len(r.index) for r in ours.values())
    assert agreement(made, ours, Answer(1.0, {}, firings=total)) == COUNT
    assert agreement(made, ours, Answer(1.0, {}, firings=total + 1)) == DIFFER


def test_no_answer_agrees_with_nothing() -> None:
    made = small()
    ours = made.engine.run(made.recording).outputs
    assert agreement(made, ours, Answer(1.0, {})) == DIFFER


def test_a_peer_says_why_it_does_not_run_a_case() -> None:
    made = small()
    found = measure(a_case("another", made), [fake(made, {})], 1, 1)
    assert found.missing == {"fake": "why not"}
    assert not found.against


def test_firings_other_than_the_published_are_not_good() -> None:
    made = replace(small(), firings={"n1": 1, "n2": 1})
    assert not measure(a_case("small", made), [], 1, 1).good


# --- counting ------------------------------------------------------------


def test_the_fan_out_of_a_convolution_counts_every_synapse_once() -> None:
    for synapses in small().program.synapses:
        assert isinstance(synapses, Conv)
        assert fan_out(synapses).sum() == conv_synapses(synapses)


def test_synaptic_events_are_counted_event_by_event() -> None:
    made = dense()
    outputs = made.engine.run(made.recording).outputs
    events = len(made.recording.index) * 20
    assert synaptic_events(made.program, outputs, made.recording) == events


def test_the_full_size_has_144_fields_and_16_million_neurons() -> None:
    assert len(fields()) == 144
    sides = [math.ceil(300 / 2**k) for k in (1, 2, 3)]
    assert sum(4 * c * s * s for c, s in zip((144, 144, 3), sides, strict=True)) > 16e6


# --- the command line ----------------------------------------------------


def test_bench_says_which_cases_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "nothing"]) == 2
    assert "yardstick" in capsys.readouterr().err
    assert set(cases()) >= {"yardstick", "dense", "nmnist", "covariant-1"}


def test_bench_of_a_case_whose_network_is_absent_exits_5_and_says_how_to_get_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yardstick, "find", lambda: None)
    assert main(["bench", "yardstick"]) == 5
    assert "--install" in capsys.readouterr().err


def test_bench_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "dense", "--json", "--repeats", "2"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["firings"] > 0
    assert answer["synaptic_events"] > answer["firings"]
    (case,) = answer["cases"]
    assert case["fastest"] <= answer["seconds"] <= case["slowest"]
    assert set(case) & set(answer) == {"firings", "synaptic_events", "seconds"}


def test_names_are_found_however_they_are_spelt() -> None:
    known = {"SANA-FE": 1, "C loop": 2, "sinabs": 3}
    assert chosen(["sanafe", "c_loop", "Sinabs"], known, "peer") == [1, 2, 3]
    assert chosen([], known, "peer") == [1, 2, 3]
    with pytest.raises(UsageError, match="did you mean SANA-FE and sinabs"):
        chosen(["sanaf", "sinabz", "c loop"], known, "peer")
    with pytest.raises(UsageError, match="fix: choose from"):
        chosen(["brian"], known, "peer")
