"""A kind of node that a target does not declare is refused by name, never taken for another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.capabilities import Kinds, kind_name
from nrf_deploy.conformance.unknown import PROBE, accepted, probes
from nrf_deploy.findings import NrfError, TargetError
from nrf_deploy.legalise.base import Done, LocalPass, Outcome
from nrf_deploy.legalise.graph import replace as replaced
from nrf_deploy.network import (
    IF,
    LI,
    LIF,
    AvgPool,
    Conv,
    CubaLI,
    CubaLIF,
    Delay,
    Flatten,
    FlooredIF,
    Input,
    Integrator,
    Linear,
    LinearLeakIF,
    Network,
    Node,
    Output,
    Population,
    RateIF,
    RectifiedLI,
    Scale,
    SumPool,
    Threshold,
)
from nrf_deploy.nir_io.write import encode
from nrf_deploy.quantise.neuron import neuron
from nrf_deploy.recording import Recording
from nrf_deploy.reference import run as run_reference
from nrf_deploy.target import chip_named, targets
from nrf_deploy.verification import ideal
from nrf_deploy.verification.explain import attributed

CHIPS = sorted(chip for target in targets().values() for chip in target.chips)
SEEN = ("emulator", "loihi1", "loihi2", "speck2b")
"""Chips whose runs are compared: the others differ in sizes only."""
ONE, ZERO = np.ones(4, np.float32), np.zeros(4, np.float32)
FIRES: dict[str, Any] = {"r": ONE, "v_threshold": 3 * ONE / 8, "v_reset": ZERO}
LEAKS: dict[str, Any] = {"v_leak": ZERO}
CURRENT: dict[str, Any] = {"tau_syn": 2 * ONE, "tau_mem": 2 * ONE, "w_in": 2 * ONE, **LEAKS}
EYE = Linear(name="w", weight=np.eye(4, dtype=np.float32))


@dataclass(frozen=True, eq=False, kw_only=True)
class AdaptiveLIF(LIF):
    kind = "AdaptiveLIF"
    tau_b: Any = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Sinus(Population):
    kind, states, spikes = "Sinus", ("v",), True
    size: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.size,)


def chain(*nodes: Node) -> Network:
    every = (
        Input(name="x", port_shape=nodes[0].input_shape),
        *nodes,
        Output(name="y", port_shape=nodes[-1].shape),
    )
    names = [n.name for n in every]
    return Network(every, tuple(pairwise(names)), 1.0)


def last(shape: tuple[int, ...] = (4,)) -> IF:
    one = np.ones(shape, np.float32)
    return IF(name="end", r=one, v_threshold=one / 2, v_reset=0 * one)


POPULATIONS: dict[type[Node], dict[str, Any]] = {
    Integrator: {"r": ONE},
    IF: FIRES,
    FlooredIF: {**FIRES, "v_floor": ZERO},
    LinearLeakIF: {**FIRES, "v_floor": ZERO, "leak": ONE / 2},
    RateIF: {**FIRES, "v_floor": ZERO, "worth": ONE, "reset": "subtract", "fires": "at"},
    LI: {"r": ONE, "tau": 2 * ONE, **LEAKS},
    RectifiedLI: {"r": ONE, "tau": 2 * ONE, **LEAKS},
    LIF: {**FIRES, "tau": 2 * ONE, **LEAKS},
    CubaLI: {"r": ONE, **CURRENT},
    CubaLIF: {**FIRES, **CURRENT},
    AdaptiveLIF: {**FIRES, "tau": 2 * ONE, **LEAKS, "tau_b": ONE},
    Sinus: {"size": 4},
    Threshold: {"threshold": ONE / 2},
    Delay: {"delay": ONE},
}
SQUARE: dict[str, Any] = {
    "pool_input": (1, 4, 4), "window": (2, 2), "stride": (2, 2), "padding": ((0, 0), (0, 0)),
}  # fmt: skip
KERNEL: dict[str, Any] = {
    "weight": np.ones((1, 1, 3, 3), np.float32), "input_size": (4, 4), "stride": (1, 1),
    "padding": ((0, 0), (0, 0)), "dilation": (1, 1),
}  # fmt: skip
CONNECTIONS: dict[type[Node], dict[str, Any]] = {
    Linear: {"weight": np.eye(4, dtype=np.float32)},
    Conv: KERNEL,
    SumPool: SQUARE,
    AvgPool: SQUARE,
    Scale: {"scale": 2 * np.ones((1, 2, 2), np.float32)},
    Flatten: {"flat_input": (1, 2, 2), "start": 0, "end": 2},
}
FIELDS = POPULATIONS | CONNECTIONS


def of_kind(kind: type[Node], like: type[Node]) -> Network:
    """A small network with a node of `kind`, which is built as `like` is."""
    node = kind(name="n", **FIELDS[like])
    if like in POPULATIONS:
        if like is Delay:
            return chain(node, EYE, last())
        return (
            chain(EYE, node, replace(EYE, name="w2"), last())
            if like is Threshold
            else chain(EYE, node)
        )
    return chain(node, last(node.shape))


def foreign(like: type[Node]) -> type[Node]:
    return type(f"My{like.__name__}", (like,), {})


def refusals(network: Network, chip: str) -> list[nd.Finding]:
    return [f for f in nd.check(network, chip).findings if f.severity == "error"]


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("like", FIELDS, ids=lambda kind: kind.__name__)
def test_a_subclass_of_any_kind_is_refused_by_its_own_name(chip: str, like: type[Node]) -> None:
    found = refusals(of_kind(foreign(like), like), chip)
    assert [(f.code, f.layer) for f in found] == [("KIND-UNSUPPORTED", "n")]
    assert f"the kind My{like.__name__}" in found[0].what
    with pytest.raises(TargetError) as refused:
        nd.compile(of_kind(foreign(like), like), chip)
    assert refused.value.exit_code == 4


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("like", FIELDS, ids=lambda kind: kind.__name__)
def test_every_kind_is_run_as_it_was_declared_or_refused(chip: str, like: type[Node]) -> None:
    network = of_kind(like, like)
    target, _ = chip_named(chip)
    kinds, verdict = target.kinds(chip), nd.check(network, chip)
    left = {type(n) for n in verdict.network.nodes} - {Input, Output}
    if not left <= kinds.runs:
        named = [f for f in verdict.findings if f.severity == "error" and f.layer == "n"]
        assert named, verdict.findings
        if like not in kinds.explained:
            assert {f.code for f in named} == {"KIND-UNSUPPORTED"}
        return
    if not verdict.fits:  # by a limit of the chip that has a code of its own
        assert "KIND-UNSUPPORTED" not in {f.code for f in verdict.findings}
        return
    if chip not in SEEN:
        return
    places = int(np.prod(network["x"].shape))
    one_a_step = np.eye(places, dtype=np.int64)[np.random.default_rng(1).integers(0, places, 60)]
    events = one_a_step.reshape(60, *network["x"].shape)
    report = nd.verify(nd.compile(network, chip), Recording.from_dense(events, 1.0))
    assert report.passed, report.text()


def test_neurons_that_lie_otherwise_than_what_feeds_them_are_refused_on_speck() -> None:
    """It ended in a ValueError while the image was written."""
    (found,) = refusals(of_kind(Flatten, Flatten), "speck2b")
    assert (found.code, found.layer) == ("SPECK-FLATTEN", "end")


def test_the_case_of_the_findings_is_refused() -> None:
    """It compiled as a plain LIF, and spiked 39 times for 9."""
    for chip in ("loihi1", "loihi2", "emulator"):
        (found,) = refusals(of_kind(LinearLeakIF, LinearLeakIF), chip)
        assert found.code == "KIND-UNSUPPORTED"
        assert "LinearLeakIF" in found.what
        assert "CubaLIF" in found.why


def test_a_message_says_that_a_subclass_is_another_kind() -> None:
    (found,) = refusals(of_kind(AdaptiveLIF, AdaptiveLIF), "loihi2")
    assert "loihi2 does not run the kind AdaptiveLIF" in found.what
    assert "a subclass of LIF is another kind" in found.why


def test_a_foreign_class_of_a_known_name_is_not_mistaken() -> None:
    other = type("LIF", (LIF,), {"__module__": "acme"})
    assert kind_name(other) == "acme.LIF"
    assert kind_name(LIF) == "LIF"
    assert kind_name(Integrator) == "I"


@pytest.mark.parametrize("chip", CHIPS)
def test_the_rewrites_and_the_check_of_every_target_refuse_unknown_kinds(chip: str) -> None:
    target, _ = chip_named(chip)
    assert accepted(target, chip) == []


class AnyLif(LocalPass):
    """A rewrite that takes what is derived from an LIF for an LIF."""

    name = "any_lif"

    def at(self, network: Network, node: Node) -> Outcome:
        if not isinstance(node, LIF) or type(node) is LIF:
            return None
        plain = LIF(name=node.name, **POPULATIONS[LIF])
        return Done(replaced(network, plain), "made plain")


def test_the_conformance_case_fails_a_rewrite_that_uses_isinstance() -> None:
    target, chip = chip_named("loihi2")

    class Careless:
        def __getattr__(self, name: str) -> Any:
            return getattr(target, name)

        def passes(self, chip: str, allow: Sequence[str] = ()) -> Sequence[Any]:
            return (AnyLif(),)

    found = accepted(Careless(), chip)  # type: ignore[arg-type]
    assert [f.what for f in found] == ["a rewrite takes UnknownLIF, a subclass of LIF, for LIF"]


def test_a_kind_that_check_should_have_explained_is_refused_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A target that promises to explain a kind and does not is no way around the refusal."""
    target, chip = chip_named("loihi2")
    declared = target.kinds(chip)
    less = Kinds(declared.runs - {LIF}, explained=declared.explained | {LIF})
    monkeypatch.setattr(type(target), "kinds", lambda self, chip: less)
    (found,) = refusals(of_kind(LIF, LIF), chip)
    assert (found.code, found.layer) == ("KIND-UNSUPPORTED", "n")


def test_a_declaration_holds_classes_of_nodes_only() -> None:
    with pytest.raises(TypeError, match="classes of nodes"):
        Kinds({"LIF"})  # type: ignore[arg-type]


def foreign_networks() -> Iterator[Network]:
    yield from probes()
    yield of_kind(Sinus, Sinus)
    yield of_kind(foreign(Scale), Scale)
    yield of_kind(foreign(Flatten), Flatten)


def test_the_float_reference_refuses_unknown_kinds() -> None:
    for network in foreign_networks():
        shape = network["x"].shape
        with pytest.raises(TargetError) as refused:
            run_reference(network, Recording.from_dense(np.zeros((2, *shape), np.int64)))
        assert [f.code for f in refused.value.findings] == ["KIND-UNSUPPORTED"]


def test_the_integer_form_refuses_unknown_neurons() -> None:
    for node in (Sinus(name="n", size=4), next(probes())[PROBE]):
        with pytest.raises(TargetError, match="KIND-UNSUPPORTED"):
            neuron(node, 1.0)  # type: ignore[arg-type]


def test_a_nir_file_does_not_take_a_subclass_for_its_base() -> None:
    for network in foreign_networks():
        with pytest.raises(NrfError, match="NIR-UNSAYABLE"):
            encode(network)


def test_a_floor_holds_in_the_reference() -> None:
    down = Linear(name="w", weight=-np.eye(4, dtype=np.float32))
    node = FlooredIF(name="n", **{**POPULATIONS[FlooredIF], "v_floor": -2 * ONE})
    events = np.ones((5, 4), np.int64)
    trace = run_reference(chain(down, node), Recording.from_dense(events), states=["n"])
    assert trace.states["n"]["v"][:, 0].tolist() == [-1, -2, -2, -2, -2]


# --- attribution ---------------------------------------------------------------


def rough() -> nd.Bundle:
    """A bundle with errors that have causes: uneven weights on a grid of 8 bits."""
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(4, 4)).astype(np.float32)
    node = LIF(name="n", **{**POPULATIONS[LIF], "tau": 7.3 * ONE})
    return nd.compile(chain(Linear(name="w", weight=weight), node), "loihi2")


def events() -> Recording:
    dense = np.random.default_rng(1).integers(0, 2, (200, 4))
    return Recording.from_dense(dense, 1.0)


def test_every_known_kind_is_simulated_in_full_where_causes_are_sought() -> None:
    for kind, fields in POPULATIONS.items():
        if issubclass(kind, Population) and kind not in (AdaptiveLIF, Sinus):
            assert ideal.unexpressed(kind(name="n", **fields), {}) == ""


def test_a_field_that_the_simulation_does_not_read_is_not_attributed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert [x.layer for x in attributed(rough(), events()).layers] == ["n"]
    monkeypatch.setitem(ideal.READS, LIF, ideal.READS[LIF] - {"fires"})  # type: ignore[arg-type]
    found = attributed(rough(), events())
    assert not found.layers
    (said,) = found.findings()
    assert said.code == "VERIFY-UNATTRIBUTED"
    assert "not attributed" in said.what
    assert "does not read fires" in said.why


def test_a_kind_that_the_simulation_does_not_run_is_not_attributed() -> None:
    node = AdaptiveLIF(name="n", **POPULATIONS[AdaptiveLIF])
    assert "does not run the kind AdaptiveLIF" in ideal.unexpressed(node, {})


def test_numbers_of_the_chip_that_the_simulation_does_not_know_are_not_attributed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target, _ = chip_named("loihi2")
    meant = target.dequantised  # type: ignore[attr-defined]

    def more(self: Any, program: Any) -> Any:
        return {
            name: {**of, "refractory": ONE} if "decay" in of else of
            for name, of in meant(program).items()
        }

    monkeypatch.setattr(type(target), "dequantised", more)
    found = attributed(rough(), events())
    assert not found.layers
    assert "has no refractory" in found.left_out["n"]


def test_the_probes_are_sound_as_their_bases(tmp_path: Path) -> None:
    """The probes fail by their kind alone: as their bases they are ordinary networks."""
    for probe in probes():
        node = probe[PROBE]
        base = type(node).__mro__[1]
        plain = base(**{f: getattr(node, f) for f in base.__dataclass_fields__ if f != "kind"})
        network = replace(probe, nodes=tuple(plain if n is node else n for n in probe.nodes))
        (tmp_path / "m.nir").write_bytes(encode(network))
        assert not [f for f in nd.read(tmp_path / "m.nir").findings if f.severity == "error"]
