"""Conversion of a lowered program and its places to the chip's configuration."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.compiler.place.placement import Piece, Placement
from nrf_deploy.diagnostics.findings import TargetError
from nrf_deploy.engines.sdk import environments
from nrf_deploy.ir.program import Program
from nrf_speck import target
from nrf_speck.configuration import image
from nrf_speck.configuration import tree as config_tree
from nrf_speck.configuration.configuration import Configuration
from nrf_speck.samna import client as samna
from nrf_speck.sinabs import client as sinabs
from tests.builders.speck_configurations import SOUND
from tests.builders.speck_cores import differing, forked, leaves, nmnist, program, random_chain


def placed(configuration: Configuration) -> tuple[Program, Placement]:
    pieces = tuple(
        Piece(c.index, c.layer, (0, 0, 0), c.output_shape, c.memory) for c in configuration.cores
    )
    placement = Placement(configuration.chip, 9, {}, pieces)
    return program(*configuration.cores), placement


def assert_same(one: Configuration, other: Configuration) -> None:
    assert (one.chip, one.sensor, len(one.cores)) == (other.chip, other.sensor, len(other.cores))
    for a, b in zip(one.cores, other.cores, strict=True):
        for f in fields(a):
            mine, theirs = getattr(a, f.name), getattr(b, f.name)
            if isinstance(mine, np.ndarray):
                np.testing.assert_array_equal(mine, theirs)
            else:
                assert mine == theirs, f"{a.layer}: {f.name}"


@pytest.mark.parametrize("seed", range(12))
def test_every_number_of_a_program_arrives_on_its_core(seed: int) -> None:
    """Chains and forks that join, with the cores in any order."""
    cores = forked(seed) if seed % 3 == 0 else random_chain(seed)
    places = dict(zip(range(9), np.random.default_rng(seed).permutation(9).tolist(), strict=True))
    moved = tuple(
        replace(
            c,
            index=places[c.index],
            leaks=bool(c.biases.any()),
            destinations=tuple(replace(d, core=places[d.core]) for d in c.destinations),
        )
        for c in cores
    )
    wanted = Configuration(chip="speck2f", cores=moved)
    assert_same(image.configuration(*placed(wanted)), wanted)


def test_the_first_layers_take_the_input() -> None:
    assert image.entries(program(*SOUND.cores)) == ("layer 0",)


def test_what_a_board_does_otherwise_is_a_warning_for_any_places() -> None:
    first, second = SOUND.cores
    large = replace(first, threshold_high=91, weights=np.full_like(first.weights, 127))
    lowered = program(replace(large, monitored=False), replace(second, threshold_high=60))
    said = {f.code: f.layer for f in image.warnings(lowered, "speck2b")}
    assert said == {"SPECK-WEIGHT-LARGE": "layer 3"}
    assert image.warnings(program(first, second), "speck2b") == []


def test_biases_that_differ_within_a_feature_are_refused() -> None:
    lowered, placement = placed(SOUND)
    first, *rest = lowered.populations
    uneven = np.zeros(first.shape, np.int64)
    uneven[0, 0, 1] = 3
    changed = replace(first, params={**first.params, "bias": uneven})
    with pytest.raises(TargetError, match="biases differ within a feature"):
        image.configuration(replace(lowered, populations=(changed, *rest)), placement)


def test_the_artefact_is_the_checked_configuration_and_always_the_same() -> None:
    made = image.artefacts(*placed(SOUND))
    assert made == image.artefacts(*placed(SOUND))
    (text,) = made.values()
    assert json.loads(text)["value0"]["cnnLayers"]["value3"]["thresholdHigh"] == 100


def test_a_program_that_the_chip_would_not_take_has_no_artefact() -> None:
    first, second = SOUND.cores
    bad = replace(
        SOUND, cores=(replace(first, threshold_low=0, initial=abs(first.initial)), second)
    )
    with pytest.raises(TargetError, match="SPECK-THRESHOLD-LOW-ZERO"):
        image.artefacts(*placed(bad))


def test_what_a_board_would_not_take_is_refused_when_it_is_placed() -> None:
    """Then `check` reports it too, not only `compile`."""
    first, second = SOUND.cores
    full = replace(first, threshold_high=80)  # some neurons begin above it
    with pytest.raises(TargetError, match="SPECK-STATE"):
        target.place(program(full, second), "speck2b")


def test_the_nmnist_network_gives_the_known_word_stream(shared: Path) -> None:
    """The counts are those of the vendor's own tools for this network (knowledge/speck.md)."""
    if not environments.status(samna.sdk).installed:
        pytest.skip(f"samna is not installed: {environments.status(samna.sdk).todo}")
    configuration, _ = nmnist(shared)
    stream = samna.encode(image.checked(*placed(configuration)))
    assert stream.writes.counts() == {
        "registers": 301,
        "weights": 39588,
        "biases": 310,
        "neuron states": 8974,
    }
    assert len(stream.words) == 98383
    again = samna.encode(configuration)
    assert hashlib.sha256(again.to_bytes()).digest() == hashlib.sha256(stream.to_bytes()).digest()


@pytest.mark.parametrize("chip", ["speck2b", "dynapcnn"])
def test_a_model_goes_from_its_file_to_the_words_of_a_board(chip: str, shared: Path) -> None:
    """Compiled, judged by samna, encoded; the artefact in the bundle is what was judged."""
    if not environments.status(samna.sdk).installed:
        pytest.skip(f"samna is not installed: {environments.status(samna.sdk).todo}")
    bundle = nd.compile(
        nd.read(shared / "conformance/nir/cnn_sinabs.nir", dt=1.0, producer="nir"), chip
    )
    made = image.checked(bundle.program, bundle.placement)
    assert bundle.artefacts[image.ARTEFACT].decode() == config_tree.text(made)
    (verdict,) = samna.validate([made])
    assert verdict.ok, verdict.said
    words = nd.image(bundle)
    assert words.counts["weights"] == 39588
    assert words.data == samna.encode(made).to_bytes()


def test_for_a_newer_chip_sinabs_sets_the_same_fields(shared: Path) -> None:
    if not environments.status(sinabs.sdk).installed:
        pytest.skip(f"sinabs is not installed: {environments.status(sinabs.sdk).todo}")
    bundle = nd.compile(
        nd.read(shared / "conformance/nir/cnn_sinabs.nir", dt=1.0, producer="nir"), "speck2f"
    )
    made = image.checked(bundle.program, bundle.placement)
    (tree,) = sinabs.configure([made])
    assert differing(tree, made) == {}
    assert len(list(leaves(tree))) > 100
