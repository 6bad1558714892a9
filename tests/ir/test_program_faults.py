"""Programs that no engine may run: each is refused with its reason, in a file and by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nrf_deploy.bundle.bundle import load, save
from nrf_deploy.diagnostics.findings import InputError, TargetError, UsageError
from nrf_deploy.engines.emulator import events_golden, golden
from nrf_deploy.engines.emulator.engine import Engine
from nrf_deploy.engines.emulator.events_engine import EventEngine
from nrf_deploy.engines.emulator.layout import Layout, lists
from nrf_deploy.engines.emulator.soundness import demand_sound
from nrf_deploy.ir.program import Conv, Dense, Origin, Population, Port, Program, Sparse
from nrf_deploy.ir.recording import Recording
from nrf_loihi.arithmetic.kernels import LoihiKernels
from nrf_loihi.arithmetic.rules import LoihiArithmetic
from nrf_speck.arithmetic.kernels import EventsKernels, StepsKernels
from nrf_speck.arithmetic.rules import EventsRule, StepsArithmetic
from tests.builders.crafted_bundles import kit, with_program

N = 1000
IN = Port(name="in", shape=(N,))
X = Population(name="x", shape=(N,), model="lif", params={"du": 4095, "dv": 0, "vth": 10})
ENDS: dict[str, Any] = {"name": "w", "source": "in", "targets": ("x",)}
SHAPES: dict[str, Any] = {"source_shape": (N,), "target_shape": (N,)}


def program(*synapses: Any, **more: Any) -> Program:
    usual = {"ports": (IN,), "populations": (X,), "outputs": ("x",), "arithmetic": "loihi"}
    return Program(synapses=synapses, **{**usual, **more})


def sparse(row: Any = (5, 6), column: Any = (0, 1), weight: Any = (64, 64), **more: Any) -> Sparse:
    lists = {"row": np.array(row), "column": np.array(column), "weight": np.array(weight)}
    return Sparse(**{**ENDS, **SHAPES, **lists, **more})


def dense(weight: Any, **more: Any) -> Dense:
    size = {"source_shape": (3,), "target_shape": (2,)}
    return Dense(**{**ENDS, **size, "weight": np.array(weight), **more})


def small(synapses: Any, **more: Any) -> Program:
    ports = (replace(IN, shape=(3,)),)
    populations = (replace(X, shape=(2,)),)
    return program(synapses, **{"ports": ports, "populations": populations, **more})


def conv(**more: Any) -> Conv:
    usual: dict[str, Any] = {
        "weight": np.ones((1, 1, 2, 2), int),
        "input_size": (4, 4),
        "stride": (1, 1),
        "padding": ((0, 0), (0, 0)),
        "dilation": (1, 1),
    }
    return Conv(**{**ENDS, **usual, **more})


def kernel(**more: Any) -> Program:
    ports, populations = (replace(IN, shape=(1, 4, 4)),), (replace(X, shape=(1, 3, 3)),)
    return program(conv(**more), ports=ports, populations=populations)


ones = np.ones((2, 3), int)
tall = np.zeros((10**6, 3), int)
tall[999_999, 0] = 64
longer = np.zeros((1500, 3), int)
longer[1499, 0] = 64
back = {**ENDS, "source": "x"}

FAULTS: dict[str, tuple[Program, str]] = {
    # finding 1: each of these wrote or read outside an array, or lost a weight in silence
    "row 1100": (program(sparse(row=(5, 1100))), "row from 5 to 1100; expected 0 to 999"),
    "row 10^7": (program(sparse(row=(5, 10**7))), "row from 5 to 10000000"),
    "row 2^31": (program(sparse(row=(5, 2**31))), "row from 5 to 2147483648"),
    "row below 0": (program(sparse(row=(5, -1))), "row from -1 to 5"),
    "column beyond": (program(sparse(column=(0, N))), "column from 0 to 1000"),
    "a million rows": (small(dense(tall)), r"shape \(1000000, 3\); expected \(2, 3\)"),
    "1500 rows": (small(dense(longer)), r"shape \(1500, 3\); expected \(2, 3\)"),
    "fewer columns": (small(dense(ones[:, :2])), r"shape \(2, 2\); expected \(2, 3\)"),
    "one axis": (small(dense(ones.ravel())), r"shape \(6,\); expected \(2, 3\)"),
    "delays -2^40": (small(dense(ones, delays=ones - 2**40)), "expected 0 or more"),
    "delays -1": (small(dense(ones, delays=-ones)), "delays from 0 to 0 steps"),
    "delays of 2": (small(dense(ones, delays=ones[:1])), r"delays of the shape \(1, 3\)"),
    "half delays": (small(dense(ones, delays=ones * 0.5)), "float64 delays"),
    # finding 3: numbers that ask for gigabytes or for a run without end
    "delay 2^26": (small(dense(ones, delay=2**26)), "delay 67108864; expected 0 to 65,536"),
    "delay -2": (small(dense(ones, delay=-2)), "negative delay -2"),
    "far future": (
        program(sparse(delay=2**16), populations=(replace(X, shape=(2**12,)),)),
        "expected",
    ),
    "latency 10^9": (
        program(
            sparse(), origins=(Origin(population="x", node="x", latency=10**9, scale={}),)
        ),
        "latency of 'x' is 1000000000 steps; expected 0 to 8,192",
    ),
    "a large port": (program(ports=(replace(IN, shape=(2**30,)),)), "expected at most"),
    "a large padding": (kernel(padding=((2**30, 0), (0, 0)), stride=(2**30, 1)), "padded input"),
    # finding 4: parts that do not fit
    "other lengths": (program(sparse(row=(5,))), "expected one length"),
    "half rows": (program(sparse(row=(5.0, 6.0))), "a row of float64"),
    "two axes": (program(sparse(row=((5, 6),))), "expected one length"),
    "half weights": (small(dense(ones * 0.5)), "float64 weights, not integers"),
    "negative shapes": (
        small(dense(ones), ports=(replace(IN, shape=(-3, -1)),)), "expected 1 to 8 sizes"
    ),
    "no shape": (small(dense(ones), ports=(replace(IN, shape=()),)), "expected 1 to 8 sizes"),
    "kernel of 3 axes": (kernel(weight=np.ones((1, 2, 2), int)), "expected 4 axes"),
    "stride 0": (kernel(stride=(0, 1)), "the stride"),
    "one stride": (kernel(stride=(1,)), "the stride"),
    "dilation -1": (kernel(dilation=(1, -1)), "the dilation"),
    "padding -1": (kernel(padding=((-1, 1), (0, 0))), "the padding"),
    "3 groups": (kernel(groups=3), "3 groups"),
    "groups 0": (kernel(groups=0), "0 groups"),
    "large kernel": (kernel(weight=np.ones((1, 1, 5, 1), int)), "larger than the padded input"),
    "no target": (program(sparse(targets=())), "no target"),
    "into a port": (program(sparse(targets=("in",))), "lead to the port 'in'"),
    "nobody": (program(sparse(source="y")), r"\['y'\], which are not in the program"),
    "output twice": (program(sparse(), outputs=("x", "x")), "named twice"),
    "peak below lowest": (program(ports=(replace(IN, lowest=2),)), "range that is not empty"),
    "origin of nobody": (
        program(origins=(Origin(population="y", node="x", latency=0, scale={}),)),
        "an origin names 'y'",
    ),
    "scale of 3": (
        program(origins=(Origin(population="x", node="x", latency=0, scale={"v": np.ones(3)}),)),
        "scale 'v' of 'x'",
    ),
    "scale nan": (
        program(
            origins=(Origin(population="x", node="x", latency=0, scale={"v": np.array(np.nan)}),)
        ),
        "not a finite number",
    ),
    # exactness B1
    "back at once": (program(sparse(), sparse(**back | {"name": "b"}, delay=0)), "lead back"),
    "some back at once": (
        small(
            dense(
                ones[:, :2], source="x", delay=0, source_shape=(2,),
                delays=np.array([[0, 1], [1, 1]]),
            )
        ),
        "lead back",
    ),
}  # fmt: skip


def parameter(**params: Any) -> Program:
    return program(sparse(), populations=(replace(X, params={**X.params, **params}),))


def of_synapses(**params: Any) -> Program:
    return program(sparse(params=params))


FAULTS |= {
    f"vth {value!r:.20}": (parameter(vth=value), said)
    for value, said in (
        ("x", "expected an integer"),
        (None, "expected an integer"),
        ({}, "expected an integer"),
        (True, "expected an integer"),
        (39.9, "'vth' is 39.9; expected an integer"),
        (2**70, "an integer of 71 bits"),
        (np.array(39.5), "'vth' is made of float64"),
        (np.ones(3, int), r"has the shape \(3,\)"),
    )
}
FAULTS |= {
    "bias": (parameter(bias=3), "'bias' is not one of them"),
    "du 2^40": (parameter(du=2**40), "'du' is beyond"),
    "model": (program(populations=(replace(X, model="izhikevich"),)), "'izhikevich' does not"),
    # exactness B2 and B3
    "message bits -1": (of_synapses(num_message_bits=-1), "'num_message_bits' is beyond 0..32"),
    "message bits x": (of_synapses(num_message_bits="x"), "expected an integer"),
    "weight_exponent": (of_synapses(weight_exponent=3), "'weight_exponent' is not one of them"),
    "weight bits 9": (of_synapses(num_weight_bits=9), "'num_weight_bits' is beyond 1..8"),
    "weight bits 0": (of_synapses(num_weight_bits=0), "'num_weight_bits' is beyond 1..8"),
    "sign_mode 7": (of_synapses(sign_mode=7), "'sign_mode' is beyond 1..3"),
    "weight bits 7.5": (of_synapses(num_weight_bits=7.5), "expected an integer"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_engine_refuses_what_it_could_not_run(name: str) -> None:
    made, said = FAULTS[name]
    silence = Recording.from_dense(np.zeros((2, 1), int))
    runs: tuple[Callable[[], Any], ...] = (
        lambda: golden.run(made, LoihiArithmetic(), silence),
        lambda: Engine(made, LoihiArithmetic(), LoihiKernels()),
    )
    for run in runs:
        with pytest.raises(TargetError, match=said):
            run()


SAYABLE = [n for n, (_, said) in FAULTS.items() if "71 bits" not in said]
"""The codec has no form for an integer of 71 bits."""


@pytest.mark.parametrize("name", SAYABLE)
def test_a_bundle_with_it_is_neither_written_nor_read(name: str, tmp_path: Path) -> None:
    made, said = FAULTS[name]
    path = tmp_path / "b.nrfb"
    with_program(kit("loihi.sparse"), path, lambda _: made)
    with pytest.raises(InputError, match=said) as refusal:
        load(path)
    assert {f.code for f in refusal.value.findings} == {"BUNDLE-UNSOUND"}
    with pytest.raises(UsageError, match="BUNDLE-UNSOUND"):
        save(replace(load(kit("loihi.sparse")), program=made), tmp_path / "again.nrfb")


# exactness B4, and counts that mean very many events


@pytest.mark.parametrize("value", [-(2**31), 2**31 - 1])
def test_an_input_of_32_bits_is_taken_as_golden_takes_it(value: int) -> None:
    wide = Population(name="x", shape=(1,), model="pass", params={})
    link = dense([[3]], source_shape=(1,), target_shape=(1,), params={"num_message_bits": 32})
    port = replace(IN, shape=(1,), peak=2**31 - 1, lowest=-(2**31))
    made = program(link, ports=(port,), populations=(wide,))
    given = Recording.from_dense(np.array([[value], [0], [1], [0]]))
    ours = Engine(made, LoihiArithmetic(), LoihiKernels()).run(given).outputs["x"]
    assert ours.same(golden.run(made, LoihiArithmetic(), given).outputs["x"])
    assert ours.dense().ravel().any()


def test_an_input_beyond_32_bits_is_refused() -> None:
    made = program(sparse(), ports=(replace(IN, peak=2**31),))
    given = np.zeros((1, N), np.int64)
    for value in (2**31, -(2**31) - 1):
        given[0, 0] = value
        with pytest.raises(InputError, match="does not fit 32 bits"):
            Engine(made, LoihiArithmetic(), LoihiKernels()).run(Recording.from_dense(given))


def test_counts_of_more_events_than_can_be_followed_are_refused() -> None:
    bundle = load(kit("speck.events.threshold"))
    port = replace(bundle.program.ports[0], peak=2**31 - 1)
    made = replace(bundle.program, ports=(port,))
    given = Recording.from_dense(np.full((1, *port.shape), 2**30))
    for run in (
        lambda: events_golden.run(made, EventsRule(), given),
        lambda: EventEngine(made, EventsRule(), EventsKernels()).run(given),
    ):
        with pytest.raises(InputError, match="events; expected at most"):
            run()


def test_the_tables_of_a_list_are_checked_once_more() -> None:
    """Programs also come from plug-ins; what leaves an array never becomes a table."""
    whole = Layout.of((3,))
    for row, column in (([5], [0]), ([-1], [0]), ([0], [3]), ([0], [-1])):
        with pytest.raises(IndexError):
            lists(np.array(row), np.array(column), np.array([1]), whole, whole)


def test_an_arithmetic_that_declares_nothing_runs_nothing() -> None:
    class Silent:
        name = "silent"

    with pytest.raises(TargetError, match="does not declare its parameters"):
        demand_sound(program(sparse()), Silent())


def test_a_speck_potential_at_its_floor_still_takes_the_next_bias() -> None:
    """An arrival that the floor removes leaves v unchanged, and is not a rest."""
    ends = {"source_shape": (1,), "target_shape": (1,), "delay": 0}
    params = {"threshold_high": 50, "threshold_low": -100, "bias": 17}
    made = Program(
        arithmetic="speck.steps",
        ports=(Port(name="in", shape=(1,), peak=1),),
        synapses=(Dense(name="w", source="in", targets=("x",), weight=np.array([[-120]]), **ends),),
        populations=(Population(name="x", shape=(1,), model="iaf", params=params),),
        outputs=("x",),
    )
    given = Recording.from_dense(np.array([[1], [1], [0], [0]]))
    ours = Engine(made, StepsArithmetic(), StepsKernels()).run(given, states=["x"])
    theirs = golden.run(made, StepsArithmetic(), given, states=["x"])
    assert ours.states["x"]["v"].ravel().tolist() == [-100, -100, -83, -66]
    assert np.array_equal(ours.states["x"]["v"], theirs.states["x"]["v"])


def test_the_largest_network_of_the_benchmarks_has_no_faults() -> None:
    """16 million neurons, and a convolution that reads 1.6e8 inputs a step."""
    from nrf_peers import covariant

    program = covariant.program()
    assert sum(p.size for p in program.populations) > 16_000_000
    assert not list(program.faults())
