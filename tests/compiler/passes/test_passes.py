"""Passes together: what they print, how they are read back, and that they keep the meaning."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings

from nrf_deploy.compiler.passes import (
    EXACT,
    FoldPool,
    Left,
    LocalPass,
    Pass,
    ShiftReset,
    apply_all,
    parse,
    register,
)
from nrf_deploy.diagnostics.findings import InputError
from nrf_deploy.engines.reference.run import run
from nrf_deploy.ir.network import (
    AvgPool,
    Connection,
    Flatten,
    Input,
    Linear,
    Network,
    Population,
    Scale,
)
from nrf_deploy.ir.recording import Recording
from tests.builders.rewrite_cases import (
    batch_norm,
    chain,
    conv,
    dyadic,
    flatten,
    graph,
    kinds,
    lif,
    meaning,
    networks,
    same,
    seeds,
    signal,
)

# --- text ---------------------------------------------------------------------


@pytest.mark.parametrize("rewrite", [*EXACT, FoldPool(max_growth=3)], ids=str)
def test_a_pass_reads_back_from_its_text(rewrite: Pass) -> None:
    assert parse(str(rewrite)) == rewrite
    assert parse(f"  {rewrite} ") == rewrite


def test_every_exact_pass_has_its_line_in_the_docs() -> None:
    from nrf_deploy.compiler import passes

    lines = (Path(__file__).resolve().parents[3] / "docs/rewrites.md").read_text()
    folder = Path(passes.__file__).parent
    names = {
        n
        for f in folder.glob("*.py")
        for n in re.findall(r'^    name = "(\w+)"', f.read_text(), re.M)
    }
    assert (
        {p.name for p in (*EXACT, ShiftReset())}
        < set(re.findall(r"^\| `(\w+)`", lines, re.M))
        <= names
    )


def test_options_are_part_of_a_pass() -> None:
    assert parse("fold_pool(max_growth=3)") != parse("fold_pool")
    assert parse("fold_pool") == FoldPool()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("fold_everything", "PASS-UNKNOWN"),
        ("fold_pool(max_growth=__import__('os'))", "PASS-MALFORMED"),
        ("fold_pool(3)", "PASS-MALFORMED"),
        ("fold_pool(min_growth=3)", "PASS-MALFORMED"),
        ("fold_pool(max_growth='3')", "PASS-MALFORMED"),
        ("fold_pool(max_growth=True)", "PASS-MALFORMED"),
        ("fold_pool(**{'max_growth': 3})", "PASS-MALFORMED"),
        ("legalise.fold_pool()", "PASS-MALFORMED"),
        ("fold_pool(", "PASS-MALFORMED"),
        ("", "PASS-MALFORMED"),
        ("(" * 5000, "PASS-MALFORMED"),
        ("fold\0pool", "PASS-MALFORMED"),
    ],
)
def test_a_text_that_is_no_pass_is_refused(text: str, code: str) -> None:
    with pytest.raises(InputError) as refusal:
        parse(text)
    assert [f.code for f in refusal.value.findings] == [code]


def test_a_target_registers_its_own_pass() -> None:
    @dataclass(frozen=True)
    class Mine(Pass):
        name = "test_mine"
        gain: float = 0.5
        axes: tuple[int, ...] = (1, 2)

    register(Mine)
    assert parse(str(Mine(gain=0.1))) == Mine(gain=0.1)

    @dataclass(frozen=True)
    class Other(Pass):
        name = "test_mine"

    with pytest.raises(ValueError, match="test_mine"):
        register(Other)


# --- application ----------------------------------------------------------------


def test_a_network_in_its_final_form_comes_back_itself() -> None:
    network = chain(flatten("f", (2, 3, 3)), Linear(name="w", weight=dyadic((4, 18), 1)),
                    lif("p", (4,)))  # fmt: skip
    after, steps = apply_all(network, EXACT)
    assert after is network
    assert steps == ()


def test_steps_name_what_was_done_in_order_and_what_was_left_last() -> None:
    shape, padding = (1, 5, 5), ((0, 0), (0, 0))
    mean = AvgPool(name="pool", pool_input=shape, window=(2, 2), stride=(2, 2), padding=padding)
    padded = conv("w", dyadic((1, 1, 3, 3), 0), (2, 2), padding=((1, 1), (1, 1)))
    network = chain(mean, padded, lif("p", (1, 2, 2)))
    after, steps = apply_all(network, EXACT)
    said = [(parse(s.rewrite).name, f.code) for s in steps for f in s.findings]
    assert said == [
        ("avgpool_to_sumpool", "AVGPOOL-TO-SUMPOOL"),
        ("fold_scale", "FOLD-SCALE"),
        ("fold_pool", "FOLD-POOL-LEFT"),
    ]
    again, rest = apply_all(after, [parse(s.rewrite) for s in steps])
    assert again is after
    assert [f.severity for s in rest for f in s.findings] == ["warning"]
    assert same(network, after)


def test_passes_that_undo_each_other_are_a_bug_of_ours() -> None:
    @dataclass(frozen=True)
    class Restless(Pass):
        name = "test_restless"

        def apply(self, network: Network) -> tuple[Network, list]:  # type: ignore[type-arg]
            return Network(network.nodes, network.edges, network.dt), []

    with pytest.raises(RuntimeError, match="undo each other"):
        apply_all(chain(lif("p", (1,))), [Restless()])


# --- the meaning stays ------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(network=networks(), seed=seeds)
def test_any_network_means_the_same(network: Network, seed: int) -> None:
    after, _ = apply_all(network, EXACT)
    assert same(network, after, signal(network, seed, steps=4))
    kept = {n.name for n in network.of(Population)}
    assert {n.name for n in after.of(Population)} == kept


@settings(max_examples=60, deadline=None)
@given(network=networks())
def test_what_is_not_in_its_final_form_is_named_with_a_reason(network: Network) -> None:
    after, steps = apply_all(network, EXACT)
    left = {f.layer for s in steps for f in s.findings if f.severity == "warning"}
    assert all(f.why for s in steps for f in s.findings if f.severity == "warning")
    assert "AvgPool" not in kinds(after)
    for way in ways_to_populations(after):
        work = [n for n in way if not isinstance(after[n], Flatten)]
        assert len(work) <= 1 or left & set(way), f"{way} could be shorter"
        assert not any(isinstance(after[n], Scale) for n in way) or left & set(way)


def ways_to_populations(network: Network) -> list[list[str]]:
    """Yield every chain of connections between two populations or ports, up to a population."""
    ways: list[list[str]] = []

    def back(name: str, way: list[str]) -> None:
        for source in network.sources(name):
            if not isinstance(network[source], Connection):
                ways.append(way)
            elif source not in way:
                back(source, [source, *way])

    for node in network.of(Population):
        back(node.name, [])
    return ways


@settings(max_examples=50, deadline=None)
@given(network=networks(most=4), seed=seeds)
def test_the_reference_gives_the_same_spikes_and_states(network: Network, seed: int) -> None:
    after, _ = apply_all(network, EXACT)
    spikes = np.random.default_rng(seed).integers(0, 2, (4, *network["in"].shape))
    recording = Recording.from_dense(spikes)
    populations = [n.name for n in network.of(Population)]
    every = [n.name for n in network.nodes]
    before_all = run(network, recording, record=every, states=populations)
    assume(all(exact_in_float32(r) for r in before_all.outputs.values()))
    trace = run(after, recording, states=populations)
    for name in populations:
        assert trace.outputs[name].same(before_all.outputs[name])
        for variable, values in trace.states[name].items():
            np.testing.assert_array_equal(values, before_all.states[name][variable])


def exact_in_float32(recording: Recording) -> bool:
    """Return True for small multiples of 2^-10, whose sums were not rounded."""
    scaled = recording.value.astype(np.float64) * 2**10
    return bool((np.abs(scaled) < 2**18).all() and (scaled == np.rint(scaled)).all())


# --- loops ---------------------------------------------------------------------


def test_a_loop_through_several_connections_keeps_its_one_step_of_delay() -> None:
    nodes = (
        Input(name="in", port_shape=(2,)),
        lif("p", (2,)),
        Linear(name="a", weight=dyadic((3, 2), 1), bias=dyadic((3,), 2)),
        Linear(name="b", weight=dyadic((2, 3), 3), bias=dyadic((2,), 4)),
    )
    network = graph(nodes, "in p", "p a", "a b", "b p")
    after, steps = apply_all(network, EXACT)
    assert kinds(after) == ["Input", "LIF", "Linear"]
    assert after.back_edges == {("b", "p")}
    assert same(network, after, signal(network, steps=5))
    assert len(steps) == 1


def test_a_connection_that_is_fed_over_the_delay_of_a_loop_is_left_alone() -> None:
    nodes = (
        Input(name="in", port_shape=(2,)),
        Linear(name="a", weight=dyadic((2, 2), 1)),
        lif("p", (2,)),
        Linear(name="b", weight=dyadic((2, 2), 2), bias=np.ones(2)),
    )
    network = graph(nodes, "in a", "a p", "p b", "b a")
    assert network.back_edges == {("b", "a")}
    after, steps = apply_all(network, EXACT)
    assert after is network
    (finding,) = [f for s in steps for f in s.findings]
    assert finding.layer == "b"
    assert "delay of a loop would move" in finding.why


def test_a_rewrite_that_would_move_the_delay_of_a_loop_is_left_undone() -> None:
    """With the way from the input split off, the walk meets p before w: the edge from w to p
    would carry the delay, and the bias of w would miss the first step of loops that start at
    zero."""
    w = Linear(name="w", weight=dyadic((2, 2), 2), bias=np.ones(2))
    first = Linear(name="first", weight=dyadic((2, 2), 1))
    nodes = (Input(name="in", port_shape=(2,)), first, w, lif("p", (2,)))
    network = graph(nodes, "in first", "first w", "w p", "p w")
    assert network.back_edges == {("p", "w")}
    after, steps = apply_all(network, EXACT)
    assert after is network
    (finding,) = [f for s in steps for f in s.findings]
    assert "delay of a loop would move" in finding.why
    split = Linear(name="split", weight=w.weight @ first.weight)
    anyway = graph((nodes[0], split, w, nodes[3]), "in split", "split p", "w p", "p w")
    assert anyway.back_edges == {("w", "p")}
    late, from_zero = (replace(n, loop_start="zero") for n in (network, anyway))
    assert not same(late, from_zero)
    assert same(network, anyway)


def test_a_place_that_is_left_alone_is_a_warning_with_the_code_of_its_pass() -> None:
    @dataclass(frozen=True)
    class Never(LocalPass):
        name = "test_never"

        def at(self, network: Network, node: object) -> Left | None:
            return Left("never") if isinstance(node, Linear) else None

    network = chain(Linear(name="w", weight=dyadic((2, 2), 0)), lif("p", (2,)))
    after, (finding,) = Never().apply(network)
    assert after is network
    assert (finding.severity, finding.code, finding.layer) == ("warning", "TEST-NEVER-LEFT", "w")


# --- a covariant front end ---------------------------------------------------------


def test_a_covariant_layer_becomes_one_shared_convolution() -> None:
    """AvgPool, BatchNorm and a padded convolution before two populations, twice."""

    def layer(k: int, shape: tuple[int, ...], seed: int) -> tuple[Connection, ...]:
        pool = AvgPool(name=f"pool{k}", pool_input=shape, window=(2, 2), stride=(2, 2),
                       padding=((0, 0), (0, 0)))  # fmt: skip
        bn = batch_norm(f"bn{k}", pool.shape, seed)
        w = conv(f"conv{k}", dyadic((3, pool.shape[0], 3, 3), seed), pool.shape[1:],
                 padding=((1, 1), (1, 1)))  # fmt: skip
        return pool, bn, w

    first = layer(1, (2, 8, 8), 1)
    slow, fast = lif("slow", first[-1].shape), lif("fast", first[-1].shape)
    second = layer(2, slow.shape, 5)
    last = lif("last", second[-1].shape)
    nodes = (Input(name="in", port_shape=(2, 8, 8)), *first, slow, fast, *second, last)
    names = [n.name for n in nodes if n.name != "fast"]
    network = Network(nodes, (*pairwise(names), ("conv1", "fast"), ("fast", "pool2")), dt=1.0)
    after, steps = apply_all(network, EXACT)
    assert [n.name for n in after.nodes] == ["in", "conv1", "slow", "fast", "conv2", "last"]
    assert after.targets("conv1") == ("slow", "fast")
    assert after.sources("conv2") == ("slow", "fast")
    assert after["conv1"].bias.shape == (3, 4, 4)
    assert after["conv1"].kernel == (6, 6)
    assert after["conv1"].stride == (2, 2)
    assert same(network, after)
    assert not [f for s in steps for f in s.findings if f.severity == "warning"]
    assert meaning(after, signal(after)).keys() == {"slow", "fast", "last"}
