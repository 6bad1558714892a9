"""Populations that leave the chip: the same answer on every target."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.cli.main import main
from nrf_deploy.compiler.lowering import outputs
from nrf_deploy.diagnostics.findings import TargetError
from nrf_deploy.io.recordings import read, write
from nrf_deploy.ir.network import Delay, Edge, Flatten, Input, Network, Node, Output
from tests.builders.speck_networks import chain, conv, eighths, neurons, pool, some_events

CHIPS = ("loihi2", "speck2b", "emulator")
SHAPE = (1, 4, 4)
FIRST = conv("c", eighths((1, 1, 3, 3), 0), (4, 4), pad=1)


def made(chip: str, network: Network) -> tuple[str, ...]:
    return nd.compile(nd.io.model.Model(network), chip).program.outputs


def joined(*between: Node) -> Network:
    """Build two populations that are added at the output, directly or through connections."""
    out = between[-1].shape if between else SHAPE
    nodes = (Input(name="in", port_shape=SHAPE), FIRST, neurons("a", SHAPE), neurons("b", SHAPE),
             *between, Output(name="out", port_shape=out))  # fmt: skip
    way = [n.name for n in between] + ["out"]
    edges: list[Edge] = [("in", "c"), ("c", "a"), ("c", "b"), ("a", way[0]), ("b", way[0])]
    edges += pairwise(way)
    return Network(nodes, tuple(edges), dt=1.0)


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("flat", [False, True])
def test_all_that_lead_to_an_output_are_outputs(chip: str, flat: bool) -> None:
    between = [Flatten(name="f", flat_input=SHAPE, start=0, end=-1)] if flat else []
    assert made(chip, joined(*between)) == ("a", "b")


@pytest.mark.parametrize("chip", CHIPS)
def test_what_lies_before_an_output_is_none(chip: str) -> None:
    between = conv("d", eighths((1, 1, 3, 3), 1), (4, 4), pad=1)
    network = chain(SHAPE, FIRST, neurons("a", SHAPE), between, neurons("b", SHAPE))
    assert made(chip, network) == ("b",)


@pytest.mark.parametrize("chip", CHIPS)
def test_a_pool_that_leads_to_an_output_too_is_refused_and_not_left_out(chip: str) -> None:
    nodes = (
        Input(name="in", port_shape=SHAPE), FIRST, neurons("a", SHAPE), pool("p", SHAPE, 2),
        conv("e", eighths((1, 1, 3, 3), 1), (2, 2), pad=1), neurons("b", (1, 2, 2)),
        Output(name="out", port_shape=(1, 2, 2)),
    )  # fmt: skip
    edges = (("in", "c"), ("c", "a"), ("a", "p"), ("p", "e"), ("e", "b"), ("b", "out"),
             ("p", "out"))  # fmt: skip
    with pytest.raises(TargetError, match=r"NO-POPULATION\] layer 'p'"):
        made(chip, Network(nodes, edges, dt=1.0))


def test_a_loop_of_nothing_ends() -> None:
    """Every walk ends, for any graph of a caller."""
    flat = [Flatten(name=n, flat_input=(4,), start=0, end=-1) for n in "fg"]
    nodes = (Input(name="in", port_shape=(4,)), *flat, Output(name="out", port_shape=(4,)))
    edges = (("in", "f"), ("f", "g"), ("g", "f"), ("g", "out"))
    assert outputs(Network(nodes, edges, dt=1.0), ["a"]) == ()


def test_a_delay_that_ends_a_model_is_run_and_written_in_the_models_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is not a layer of neurons, but it is the output of the model."""
    late = Delay(name="late", delay=np.full(SHAPE, 2.0))
    first = conv("c", np.abs(eighths((1, 1, 3, 3), 0)), (4, 4), pad=1)
    model = nd.io.model.Model(chain(SHAPE, first, neurons("a", SHAPE), late))
    bundle = nd.compile(model, "emulator")
    recording = some_events(SHAPE, 30, 1, 0.4)
    nd.save(bundle, tmp_path / "m.nrfb")
    write(recording, tmp_path / "e.npz")
    words = ["run", str(tmp_path / "m.nrfb"), "--input", str(tmp_path / "e.npz")]
    for engine in ("emulator", "reference"):
        assert main([*words, "--engine", engine, "-o", str(tmp_path / f"{engine}.npz")]) == 0
    capsys.readouterr()
    written, _ = read(tmp_path / "emulator.npz")
    assert written.same(read(tmp_path / "reference.npz")[0])
    spikes = nd.run(bundle, recording, "reference", layer=["a"]).outputs["a"].dense()
    np.testing.assert_array_equal(written.dense()[2:], spikes[:-2])
    assert written.dense().any()
