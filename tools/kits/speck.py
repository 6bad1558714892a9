"""Generator of the conformance kit of programs for Speck.

    python -m tools.kits.speck FOLDER

Both machines of arithmetic/rules.py run each network. The expected results of "speck.steps" come
from sinabs, those of "speck.events" from the plain rules, since no public simulator has them. The
images of two networks, for a board, come from samna (nrf-deploy sdk install sinabs, and samna).
Results from two sources must agree.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from nrf_deploy import __version__
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.flash import image as board_image
from nrf_deploy.engines.emulator import events_golden, golden
from nrf_deploy.ir.network import Shape
from nrf_deploy.ir.program import Conv, Population, Port, Program, Sparse, Synapses
from nrf_deploy.ir.recording import Recording, Trace
from nrf_deploy.testing.conformance import Case, Image, Kit, write_kit
from nrf_deploy.testing.conformance.case import by_hand
from nrf_speck.arithmetic.models import is_core
from nrf_speck.arithmetic.rules import EventsRule, StepsArithmetic
from nrf_speck.chip import Chip
from nrf_speck.configuration import image
from nrf_speck.place import place as _place
from nrf_speck.sinabs import client

from .program_parts import Made, conv, port, program, some

CHIP = "speck2b"
BY_SINABS = "sinabs 3.1.3, in time steps"
BY_RULES = f"the plain rules of nrf_speck {__version__} (events_golden.py)"
BY_SAMNA = "samna 0.7.1.0, the word stream of speck2b"
IMAGES = ("kernel", "pooled")
"""The networks whose image is part of the kit."""


def neurons(shape: Shape, name: str = "n", **params: Any) -> Population:
    usual = {"threshold_high": 50, "threshold_low": -100, "v0": 0, "returns_to_zero": 0}
    return Population(name=name, shape=shape, model="iaf", params={**usual, **params})


def kernel(shape: Shape, size: Shape, seed: int, **more: Any) -> Conv:
    weight = np.random.default_rng(seed).integers(-20, 40, shape)
    return conv(weight, size, **{"delay": 0, **more})


def of_speck(source: Port, *parts: Synapses | Population) -> Program:
    return program("speck.events", source, *parts)


def wire(name: str, source: Port | Population, to: Population, pooling: int, shift: int) -> Sparse:
    f, y, x = np.unravel_index(np.arange(int(np.prod(source.shape))), source.shape)
    there = (f + shift, y // pooling, x // pooling)
    return Sparse(
        name=name, source=source.name, targets=(to.name,), weight=np.ones(len(f), np.int64),
        delay=0, params={"pooling": pooling, "shift": shift}, source_shape=source.shape,
        target_shape=to.shape, row=np.ravel_multi_index(there, to.shape), column=np.arange(len(f)),
    )  # fmt: skip


def merge(name: str, shape: Shape) -> Population:
    return Population(name=name, shape=shape, model="merge", params={})


def networks() -> Iterator[Made]:
    yield from one_layer()
    yield from neuron()
    yield from chains()


def one_layer() -> Iterator[Made]:
    def of(name: str, about: str, rule: str, shape: Shape, size: Shape, **more: Any) -> Made:
        link = kernel(shape, size, 1, **more)
        source = port(shape[1], *size, peak=3)
        inputs = some(16, source.shape, 2, part=0.15)
        rules = ("kernels, as cross-correlation", *([rule] if rule else []))
        return Made(name, about, rules, of_speck(source, link, neurons(link.shape)), inputs)

    yield of("kernel", "one kernel of 3 x 3 over 4 x 5", "", (1, 1, 3, 3), (4, 5))
    yield of("features", "two features to three", "features", (3, 2, 2, 2), (4, 3))
    yield of("stride", "every second place", "stride", (2, 1, 3, 3), (7, 6), stride=(2, 2))
    yield of("padding", "zeros around it", "padding",
             (1, 1, 3, 3), (4, 3), padding=((1, 1), (1, 1)))  # fmt: skip


def neuron() -> Iterator[Made]:
    def one(
        name: str, about: str, rule: str, weight: int, inputs: Recording, **params: Any
    ) -> Made:
        link = conv(np.full((1, 1, 1, 1), weight), (1, 1), delay=0)
        cell = neurons((1, 1, 1), **params)
        return Made(name, about, (rule,), of_speck(port(1, 1, 1, peak=9), link, cell), inputs)

    once = events_of(1, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1)
    many = events_of(1, 3, 9, 0, 5, 0, 0, 9, 9, 1)
    yield one("threshold", "a potential meets its threshold exactly and spikes",
              "spikes at the threshold", 25, once)  # fmt: skip
    yield one("subtracts", "what is left after a spike stays", "a spike subtracts the threshold",
              35, once)  # fmt: skip
    yield one("empties", "a spike empties the neuron", "a spike returns to zero",
              35, once, returns_to_zero=1)  # fmt: skip
    yield one("several", "several events in a step, of more than the threshold each",
              "several events in a step", 70, many)  # fmt: skip
    yield one("floor", "a potential stays at its lower bound", "the lower bound",
              -30, many, threshold_low=-70, v0=40)  # fmt: skip
    yield one("leak", "a bias is added at each tick", "bias of a tick",
              35, once, bias=-9, threshold_low=-1)  # fmt: skip
    yield one("drive", "a bias alone makes a neuron spike", "bias of a tick",
              10, once, bias=17)  # fmt: skip


def events_of(*counts: int) -> Recording:
    return Recording.from_dense(np.array(counts, np.int64).reshape(-1, 1, 1, 1))


def chains() -> Iterator[Made]:
    source = port(1, 6, 6, peak=3)
    first = kernel((2, 1, 3, 3), (6, 6), 3, name="a")
    n = neurons(first.shape, threshold_high=40)
    inputs = some(16, source.shape, 4, part=0.12)
    onward = kernel((2, 2, 2, 2), (4, 4), 5, name="b", source="n", targets=("m",))
    yield Made(
        "chain", "one core behind another", ("one core behind another",),
        of_speck(source, first, n, onward, neurons(onward.shape, "m")), inputs,
    )  # fmt: skip
    halved = merge("m.in", (2, 2, 2))
    small = kernel((3, 2, 2, 2), (2, 2), 6, name="b", source="m.in", targets=("m",))
    yield Made(
        "pooled", "a wire makes one place of four",
        ("one core behind another", "pooling of a wire"),
        of_speck(source, first, n, wire("p", n, halved, 2, 0), halved, small,
                 neurons(small.shape, "m")),
        inputs,
    )  # fmt: skip
    beside = kernel((1, 1, 3, 3), (6, 6), 7, name="c", targets=("k",))
    k = neurons(beside.shape, "k", threshold_high=30)
    both = merge("m.in", (3, 4, 4))
    joined = kernel((2, 3, 3, 3), (4, 4), 8, name="b", source="m.in", targets=("m",))
    yield Made(
        "joined", "two cores side by side in the input of a third",
        ("one core behind another", "features side by side"),
        of_speck(source, first, n, beside, k, wire("p", n, both, 1, 0), wire("q", k, both, 1, 2),
                 both, joined, neurons(joined.shape, "m")),
        inputs,
    )  # fmt: skip


def kit() -> Kit:
    drafts = list(networks())
    return Kit(
        about="networks of Speck's cores, one rule each, by its events and by sinabs' time steps",
        cases=(*map(_by_events, drafts), *map(_by_steps, drafts)),
        engines={"steps": "speck.steps", "sinabs": "speck.steps"},
    )


def _layers(draft: Made) -> list[str]:
    return [p.name for p in draft.program.populations if is_core(p)]


def _by_events(draft: Made) -> Case:
    names = _layers(draft)
    trace = events_golden.run(draft.program, EventsRule(), draft.recording, names, names)
    bundle = _placed(draft.program) if draft.name in IMAGES else _unplaced(draft.program)
    picture = None
    if draft.name in IMAGES:
        picture = Image(board_image(bundle).as_json()["sha256"], BY_SAMNA)
    return _case(draft, bundle, trace, BY_RULES, picture)


def _by_steps(draft: Made) -> Case:
    names = _layers(draft)
    stepped = replace(draft.program, arithmetic="speck.steps")
    ours = golden.run(stepped, StepsArithmetic(), draft.recording, names, names)
    theirs = client.engine(stepped, draft.recording, record=names, states=names)
    for n in names:
        assert ours.outputs[n].same(theirs.outputs[n]), f"{draft.name}: {n} spikes differently"
        assert np.array_equal(ours.states[n]["v"], theirs.states[n]["v"]), f"{draft.name}: v of {n}"
    return _case(draft, _unplaced(stepped), theirs, BY_SINABS, None)


def _unplaced(program: Program) -> Bundle:
    return by_hand(program, "speck", CHIP, __version__)


def _placed(program: Program) -> Bundle:
    placement = _place.place(program, Chip.load(CHIP))
    files = image.artefacts(program, placement)
    return replace(_unplaced(program), placement=placement, artefacts=files)


def _case(draft: Made, bundle: Bundle, trace: Trace, by: str, picture: Image | None) -> Case:
    return Case(
        name=draft.name, about=draft.about, covers=draft.covers, made_by=by, subject=bundle,
        recording=draft.recording, expected=replace(trace, notes={}), image=picture,
    )  # fmt: skip


if __name__ == "__main__":
    write_kit(kit(), sys.argv[1])
