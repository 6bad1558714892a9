"""Placing on Loihi: every neuron once, no budget exceeded, and a way out where it does not fit."""

from __future__ import annotations

import resource
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from nrf_deploy.bundle.tables import resource_table
from nrf_deploy.compiler.place.placement import Placement
from nrf_deploy.compiler.place.traffic import traffic
from nrf_deploy.diagnostics.findings import TargetError
from nrf_deploy.ir.network import Shape
from nrf_deploy.ir.program import Conv, Dense, Population, Port, Program, Sparse, Synapses
from nrf_loihi import target
from nrf_loihi.chip import Chip, tables
from nrf_loihi.place.budgets import Budgets
from nrf_loihi.place.place import cut, place
from tests.builders.loihi_programs import Case, cases


def population(name: str, *shape: int) -> Population:
    return Population(name=name, shape=shape, model="lif", params={})


def conv(source: str, to: str, shape: Shape, channels: int, stride: int = 1, k: int = 3) -> Conv:
    return Conv(
        name=f"{source}-{to}",
        source=source,
        targets=(to,),
        weight=np.ones((channels, shape[0], k, k), np.int64),
        input_size=shape[1:],
        stride=(stride, stride),
        padding=((k // 2, k // 2), (k // 2, k // 2)),
        dilation=(1, 1),
    )


def dense(source: str, to: str, inputs: int, outputs: int) -> Dense:
    weight = np.ones((outputs, inputs), np.int8)
    shapes = {"source_shape": (inputs,), "target_shape": (outputs,)}
    return Dense(name=f"{source}-{to}", source=source, targets=(to,), weight=weight, **shapes)


def program(port: Shape, populations: list[Population], *synapses: Synapses) -> Program:
    return Program(
        arithmetic="loihi",
        ports=(Port(name="in", shape=port),),
        synapses=synapses,
        populations=tuple(populations),
        outputs=(populations[-1].name,),
    )


def demand_sound(made: Program, placement: Placement) -> None:
    for p in made.populations:
        held = np.zeros(p.shape, int)
        for piece in placement.pieces:
            if piece.population == p.name:
                box = zip(piece.start, piece.stop, strict=True)
                held[tuple(slice(a, b) for a, b in box)] += 1
                assert piece.size == piece.used["neurons"]
        assert (held == 1).all(), f"{p.name}: every neuron is placed once"
    cores = {p.core for p in placement.pieces}
    assert min(cores) >= 0
    assert max(cores) < placement.cores
    for core in cores:
        for budget, used in placement.used(core).items():
            assert used <= placement.limits[budget], budget


small_chips = st.builds(
    lambda name, neurons, axons, words, groups, cores: replace(
        Chip.load(name),
        neurons=neurons,
        in_axons=axons,
        out_axons=axons,
        synaptic_words=words,
        neuron_groups=groups,
        cores=cores,
    ),
    st.sampled_from(["loihi1", "loihi2", "loihi1-nahuku-8", "loihi2-kapoho-point"]),
    st.integers(2, 20),
    st.integers(30, 300),
    st.integers(30, 600),
    st.integers(1, 4),
    st.sampled_from([2, 8, 64]),
)


@settings(max_examples=60, deadline=None)
@given(cases(), small_chips)
def test_a_placement_is_sound_or_refused_with_a_way_out(case: Case, chip: Chip) -> None:
    placement, refused = None, ()
    try:
        placement = place(case.program, chip)
    except TargetError as refusal:
        refused = refusal.findings
    assert all(f.code.startswith("LOIHI-") and f.fix for f in refused)
    event(f"{'refused' if refused else 'placed'}, {chip.chips} chips")
    if placement is None:
        return
    demand_sound(case.program, placement)
    assert placement == place(case.program, chip)
    for by_core in (False, True):
        assert "limit a core" in resource_table(case.program, placement, by_core)


@settings(max_examples=40, deadline=None)
@given(cases(), small_chips)
def test_the_worst_box_of_a_grid_is_judged_no_lighter_than_it_is(case: Case, chip: Chip) -> None:
    try:
        grids = cut(case.program, chip)
    except TargetError:
        assume(False)
    for p in case.program.populations:
        budgets = Budgets(case.program, chip, p, grids)
        worst = budgets.worst(np.array([grids[p.name].tile]))
        for budget, used in budgets.used(grids[p.name]).items():
            assert worst[budget][0] >= used.max(), budget


def test_layers_have_cores_of_their_own_until_these_run_out() -> None:
    names = [f"p{i}" for i in range(6)]
    chain = [dense(a, b, 4, 4) for a, b in zip(["in", *names], names, strict=False)]
    made = program((4,), [population(n, 4) for n in names], *chain)
    chip = Chip.load("loihi2")
    assert place(made, chip).used_cores == 6
    placement = place(made, replace(chip, cores=2))
    demand_sound(made, placement)
    assert placement.used_cores == 1
    with pytest.raises(TargetError, match="needs 6 cores; loihi1 has 2"):
        place(made, replace(Chip.load("loihi1"), cores=2))


def test_a_convolution_s_kernel_is_stored_once_a_core_and_a_dense_row_once_a_source() -> None:
    made = program(
        (2, 8, 8),
        [population("a", 4, 8, 8), population("b", 10)],
        conv("in", "a", (2, 8, 8), 4),
        dense("a", "b", 256, 10),
    )
    first, second = place(made, Chip.load("loihi2")).pieces
    assert first.used["synaptic_words"] == 2 * 9 * 1  # 4 weights of 8 bits are a word
    assert second.used["synaptic_words"] == 256 * 3
    assert second.used["in_axons"] == 256


def test_on_loihi1_a_source_needs_an_axon_for_every_target_core() -> None:
    made = program(
        (8,),
        [population("a", 100), population("b", 3000)],
        dense("in", "a", 8, 100),
        dense("a", "b", 100, 3000),
    )
    a, *b = place(made, Chip.load("loihi1")).pieces
    assert len(b) == 3
    assert a.used["out_axons"] == 300


def test_out_axons_of_a_recurrent_layer_are_counted_on_its_final_cut() -> None:
    made = program(
        (4,), [population("a", 300)], dense("in", "a", 4, 300), dense("a", "a", 300, 300)
    )
    chip = replace(Chip.load("loihi1"), neurons=100, out_axons=420)
    placement = place(made, chip)
    demand_sound(made, placement)
    pieces = placement.used_cores
    assert [p.used["out_axons"] for p in placement.pieces] == [
        p.size * (pieces + 1)  # to every piece, and to the host
        for p in placement.pieces
    ]


def test_a_neuron_that_no_core_can_hold_is_refused_with_every_budget() -> None:
    made = program((20000,), [population("a", 3)], dense("in", "a", 20000, 3))
    with pytest.raises(TargetError) as refusal:
        place(made, Chip.load("loihi2"))
    what = {f.what for f in refusal.value.findings}
    assert what == {
        "one neuron needs 20000 in-axons; a core has 16000",
        "one neuron needs 20000 words of synaptic memory; a core has 12000",
    }
    assert "at most 16000 inputs" in refusal.value.findings[0].fix


def big() -> Program:
    """Build 1,572,864 neurons."""
    shape, half = (4, 512, 512), (8, 256, 256)
    return program(
        (2, 512, 512),
        [population("a", *shape), population("b", *half)],
        conv("in", "a", (2, 512, 512), 4),
        conv("a", "b", shape, 8, stride=2),
    )


def test_too_many_cores_are_refused_layer_by_layer_with_a_board_that_would_do() -> None:
    with pytest.raises(TargetError) as refusal:
        place(big(), Chip.load("loihi2"))
    whole, a, b = refusal.value.findings
    assert whole.code == "LOIHI-CORES"
    assert "choose loihi2-kapoho-point" in whole.fix
    assert (a.layer, b.layer) == ("a", "b")
    assert "1048576 neurons; a core has 4095" in a.why
    assert "halve its channels" in a.fix
    demand_sound(big(), place(big(), Chip.load("loihi2-kapoho-point")))


@pytest.mark.parametrize("board", ["loihi2-kapoho-point", "loihi1-nahuku-32"])
def test_traffic_between_chips_is_far_below_that_of_chance(board: str) -> None:
    made, chip = big(), Chip.load(board)
    placement = place(made, chip)
    demand_sound(made, placement)
    everything, between = traffic(made, placement)
    assert between < 0.1 * everything
    cores = np.random.default_rng(0).permutation([p.core for p in placement.pieces]).tolist()
    pairs = zip(placement.pieces, cores, strict=True)
    chance = replace(placement, pieces=tuple(replace(p, core=c) for p, c in pairs))
    assert between < 0.2 * traffic(made, chance)[1]


def test_counted_spikes_weigh_the_traffic() -> None:
    made, chip = big(), Chip.load("loihi2-kapoho-point")
    fired = {"a": np.zeros((4, 512, 512))}
    fired["a"][:, :256] = 2
    placement = place(made, chip, fired)
    demand_sound(made, placement)
    everything, between = traffic(made, placement, fired)
    assert 0 < everything < traffic(made, placement)[0] * 1.1
    assert between <= traffic(made, place(made, chip), fired)[1] * 1.1


def test_a_million_neurons_and_their_synapses_are_placed_in_two_gigabytes() -> None:
    shape = (4, 512, 512)
    one_each = np.arange(2**20)
    synapse = {"source_shape": shape, "target_shape": shape, "row": one_each, "column": one_each}
    made = program(
        (2, 512, 512),
        [population("a", *shape), population("b", *shape)],
        conv("in", "a", (2, 512, 512), 4),
        Sparse(name="s", source="a", targets=("b",), weight=one_each, **synapse),
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    placement = place(made, Chip.load("loihi2-kapoho-point"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2 * 2**20  # KiB
    assert placement.used_cores > 2**20 / 4095


@pytest.mark.parametrize("name", sorted(tables()))
def test_every_number_of_a_chip_or_board_has_its_source(name: str) -> None:
    for limit, described in tables()[name]["limits"].items():
        assert isinstance(described["value"], int), limit
        assert described["source"], limit
    chip = Chip.load(name)
    assert chip.chips * chip.cores > 0
    assert name in target.chips


def test_hala_point_has_the_cores_that_were_announced() -> None:
    chip = Chip.load("loihi2-hala-point")
    assert chip.cores * chip.chips == 140_544
