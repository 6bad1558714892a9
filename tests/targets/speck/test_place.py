"""Layers on cores: a matching of memories, and what is said where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nrf_deploy as nd
from nrf_deploy.bundle.tables import resource_table
from nrf_deploy.compiler.place.placement import Placement
from nrf_deploy.diagnostics.findings import TargetError
from nrf_deploy.ir.network import Network, Node
from nrf_speck.chip import MEMORIES, Chip
from nrf_speck.place.place import matching, need
from tests.builders.speck_networks import chain, conv, linear, neurons


def placed(network: Network, chip: str = "speck2b") -> Placement:
    return nd.compile(network, chip).placement


def test_memory_is_counted_in_powers_of_two() -> None:
    from nrf_speck.compile.core_form import cores

    network = chain(
        (5, 9, 9), conv("c", np.ones((6, 5, 3, 3)) / 4, (9, 9)), neurons("n", (6, 7, 7))
    )
    (layer,) = cores(nd.compile(network, "speck2b").program)
    assert need(layer) == {
        "kernel_words": 5 * 16 * 8,
        "neuron_words": 6 * 8 * 8,
        "bias_words": 0,
    }


def test_each_layer_sits_on_a_core_that_holds_it() -> None:
    layers: list[Node] = []
    for k, width in enumerate((200, 600, 200, 700, 100)):
        before = layers[-1].shape[0] if layers else 40
        layers += [linear(f"l{k}", np.ones((width, before)) / 4), neurons(f"n{k}", (width,))]
    with pytest.raises(TargetError):
        placed(chain((40,), *layers))
    small: list[Node] = []
    for k, width in enumerate((60, 250, 60, 120, 30)):
        before = small[-1].shape[0] if small else 40
        small += [linear(f"l{k}", np.ones((width, before)) / 4), neurons(f"n{k}", (width,))]
    placement, chip = placed(chain((40,), *small)), Chip.load("speck2b")
    assert placement.used_cores == 5
    for piece in placement.pieces:
        room = chip.memory(piece.core)
        for memory in MEMORIES:
            left = memory.replace("words", "left")
            assert piece.used[memory] + piece.used[left] == room[memory]
            assert piece.used[left] >= 0


def test_what_there_is_stands_beside_what_is_used_within_80_columns() -> None:
    bundle = nd.compile(
        chain((40,), linear("l", np.ones((60, 40)) / 4), neurons("n", (60,))), "speck2b"
    )
    (piece,) = bundle.placement.pieces
    for by_core in (False, True):
        text = resource_table(bundle.program, bundle.placement, by_core)
        assert max(map(len, text.splitlines())) <= 80
        for memory in MEMORIES:
            left = memory.replace("words", "left")
            whole = piece.used[memory] + piece.used[left]
            assert f" {piece.used[memory]}/{whole}" in text


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.sets(st.integers(0, 4)), max_size=5))
def test_a_matching_finds_a_core_for_as_many_as_any_choice_does(wanted: list[set[int]]) -> None:
    could = {str(k): tuple(sorted(cores)) for k, cores in enumerate(wanted)}
    found = matching(could)
    assert len(set(found.values())) == len(found)
    assert all(core in could[name] for name, core in found.items())
    assert len(found) == _most([set(c) for c in could.values()])


def _most(wanted: list[set[int]], taken: frozenset[int] = frozenset()) -> int:
    if not wanted:
        return 0
    without = _most(wanted[1:], taken)
    return max([without, *(1 + _most(wanted[1:], taken | {c}) for c in wanted[0] - taken)])


def faults(network: Network) -> list[Any]:
    with pytest.raises(TargetError) as refusal:
        placed(network)
    return list(refusal.value.findings)


def test_a_layer_too_large_for_every_core_is_named_with_its_need_and_the_nearest() -> None:
    network = chain(
        (2, 64, 64), conv("c", np.ones((17, 2, 3, 3)) / 4, (64, 64), pad=1),
        neurons("n", (17, 64, 64)),
    )  # fmt: skip
    found = [f for f in faults(network) if f.severity == "error"]
    assert [f.code for f in found] == ["SPECK-MEMORY"]
    assert found[0].layer == "n"
    assert "69,632 neuron words" in found[0].what
    assert "core 0, has" in found[0].what
    assert "65,536 neuron words" in found[0].what


def test_a_layer_whose_cores_are_taken_names_who_has_them() -> None:
    layers: list[Node] = []
    for k in range(3):  # 64 Ki words of kernel each: only cores 5 and 6 hold that
        before = layers[-1].shape[0] if layers else 256
        layers += [linear(f"l{k}", np.ones((256, before)) / 64), neurons(f"n{k}", (256,))]
    found = [f for f in faults(chain((256,), *layers)) if f.severity == "error"]
    assert [f.code for f in found] == ["SPECK-PLACE"]
    assert "5 (" in found[0].what
    assert "6 (" in found[0].what


def test_nine_layers_are_the_most() -> None:
    layers: list[Node] = []
    for k in range(10):
        layers += [linear(f"l{k}", np.ones((4, 4)) / 4), neurons(f"n{k}", (4,))]
    assert placed(chain((4,), *layers[:18])).used_cores == 9
    found = [f for f in faults(chain((4,), *layers)) if f.severity == "error"]
    assert [f.code for f in found] == ["SPECK-CORES"]


def test_cores_that_compute_at_once_are_taken_last() -> None:
    network = chain((4,), linear("l", np.ones((4, 4)) / 4), neurons("n", (4,)))
    assert placed(network, "speck2f").pieces[0].core not in (0, 1)


def test_a_leak_takes_bias_memory() -> None:
    network = chain((4,), linear("l", np.ones((4, 4)) / 4, np.full(4, 0.25)), neurons("n", (4,)))
    assert placed(network).pieces[0].used["bias_words"] == 4
