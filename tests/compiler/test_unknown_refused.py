"""Nodes and features that nobody declared are refused by name, never taken for others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.compiler.passes.base import Done, LocalPass, Outcome
from nrf_deploy.compiler.passes.graph_edits import replace as replaced
from nrf_deploy.compiler.quantize.neuron import neuron
from nrf_deploy.compiler.target import chip_named, targets
from nrf_deploy.diagnostics.findings import NrfError, TargetError
from nrf_deploy.engines.reference import run as run_reference
from nrf_deploy.io.nir.write import encode
from nrf_deploy.ir.capabilities import Accepts, Domain, accepted, kind_name
from nrf_deploy.ir.network import (
    AvgPool,
    Conv,
    Delay,
    Flatten,
    Input,
    Linear,
    Network,
    Node,
    Output,
    Population,
    Scale,
    SumPool,
    Threshold,
)
from nrf_deploy.ir.recording import Recording
from nrf_deploy.neurons import (
    MEMBRANES,
    CurrentLeaky,
    Integrator,
    Leaky,
    LinearLeak,
    Membrane,
    Spikes,
    Value,
)
from nrf_deploy.testing.conformance.unknown import PROBE, probes
from nrf_deploy.testing.conformance.unknown import accepted as accepted_unknown
from nrf_deploy.verification.attribution import float_twin
from nrf_deploy.verification.attribution.attribution_run import attributed

CHIPS = sorted(chip for target in targets().values() for chip in target.chips)
SEEN = ("emulator", "loihi1", "loihi2", "speck2b")
"""Chips whose runs are compared: the others differ in sizes only."""
ONE, ZERO = np.ones(4, np.float32), np.zeros(4, np.float32)
EYE = Linear(name="w", weight=np.eye(4, dtype=np.float32))
FIRES: dict[str, Any] = {"threshold": 3 * ONE / 8, "reset_to": ZERO}
MEMBRANE: dict[type[Membrane], dict[str, Any]] = {
    Integrator: {"r": ONE},
    LinearLeak: {"r": ONE, "leak": ONE / 2},
    Leaky: {"r": ONE, "tau": 2 * ONE, "v_leak": ZERO},
    CurrentLeaky: {
        "tau_syn": 2 * ONE, "tau_mem": 2 * ONE, "r": ONE, "w_in": 2 * ONE, "v_leak": ZERO,
    },
}  # fmt: skip
MANY: dict[str, Any] = {"per_step": "many", "reset": "subtract", "fires": "at", "worth": ONE}
NEURONS: dict[str, Population] = {
    "I": Population(name="n", membrane=Integrator(r=ONE), rule=Value()),
    "rectified": Population(
        name="n", membrane=Leaky(**MEMBRANE[Leaky]), rule=Value(rectified=True)
    ),
    "many": Population(
        name="n", membrane=Integrator(r=ONE), rule=Spikes(**FIRES, **MANY, floor=ZERO)
    ),
    **{
        f"{membrane.__name__}-{word}": Population(name="n", membrane=membrane(**fields), rule=rule)
        for membrane, fields in MEMBRANE.items()
        for word, rule in {
            "value": Value(),
            "spikes": Spikes(**FIRES),
            "floor": Spikes(**FIRES, floor=ZERO),
            "at": Spikes(**FIRES, fires="at"),
            "subtract": Spikes(**FIRES, reset="subtract"),
            "reset_to": Spikes(threshold=FIRES["threshold"], reset_to=ONE / 8),
        }.items()
    },
}
"""Neurons of every membrane and rule, with each feature alone."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Feature(Spikes):
    """A rule with one more feature, which no version knows."""

    tau_b: Any = None


def chain(*nodes: Node) -> Network:
    every = (
        Input(name="x", port_shape=nodes[0].input_shape),
        *nodes,
        Output(name="y", port_shape=nodes[-1].shape),
    )
    names = [n.name for n in every]
    return Network(every, tuple(pairwise(names)), 1.0)


def last(shape: tuple[int, ...] = (4,)) -> Population:
    one = np.ones(shape, np.float32)
    rule = Spikes(threshold=one / 2, reset_to=0 * one)
    return Population(name="end", membrane=Integrator(r=one), rule=rule)


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
    Threshold: {"threshold": ONE / 2},
    Delay: {"delay": ONE},
}


def of_kind(kind: type[Node], like: type[Node]) -> Network:
    """Return a small network with a node of `kind`, which is built as `like` is."""
    node = kind(name="n", **CONNECTIONS[like])
    if like is Delay:
        return chain(node, EYE, last())
    if like is Threshold:
        return chain(EYE, node, replace(EYE, name="w2"), last())
    return chain(node, last(node.shape))


def foreign(like: type) -> Any:
    return type(f"My{like.__name__}", (like,), {})


def strangers() -> Iterator[tuple[str, Population]]:
    """Yield (what the message names, neurons that nobody declared)."""
    for name, known in NEURONS.items():
        of_membrane = foreign(type(known.membrane))(**vars(known.membrane))
        yield f"My{type(known.membrane).__name__}", replace(known, membrane=of_membrane)
        of_rule = foreign(type(known.rule))(**vars(known.rule))
        yield f"My{type(known.rule).__name__}", replace(known, rule=of_rule)
        if name.endswith("-spikes"):
            yield "MyPopulation", foreign(Population)(**vars(known))
            yield "Feature", replace(known, rule=Feature(**vars(known.rule), tau_b=ONE))


STRANGERS = list(strangers())


def refusals(network: Network, chip: str) -> list[nd.Finding]:
    return [f for f in nd.check(network, chip).findings if f.severity == "error"]


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("like", CONNECTIONS, ids=lambda kind: kind.__name__)
def test_a_subclass_of_any_node_is_refused_by_its_own_name(chip: str, like: type[Node]) -> None:
    found = refusals(of_kind(foreign(like), like), chip)
    assert [(f.code, f.layer) for f in found] == [("KIND-UNSUPPORTED", "n")]
    assert f"the kind My{like.__name__}" in found[0].what
    with pytest.raises(TargetError) as refused:
        nd.compile(of_kind(foreign(like), like), chip)
    assert refused.value.exit_code == 4


@pytest.mark.parametrize("chip", CHIPS)
def test_unknown_membranes_rules_and_features_are_refused_by_their_own_names(chip: str) -> None:
    for name, node in STRANGERS:
        (found,) = refusals(chain(EYE, node), chip)
        assert (found.code, found.layer) == ("KIND-UNSUPPORTED", "n")
        assert name in found.what


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("word", NEURONS)
def test_neurons_are_run_as_they_were_declared_or_refused(chip: str, word: str) -> None:
    network = chain(EYE, NEURONS[word])
    target, _ = chip_named(chip)
    domain, verdict = target.accepts(chip), nd.check(network, chip)
    node = verdict.network["n"]
    row = accepted(node, domain)
    if row is None or row.model is None:
        named = [f for f in verdict.findings if f.severity == "error" and f.layer == "n"]
        assert named, verdict.findings
        if row is None:
            assert {f.code for f in named} <= {"KIND-UNSUPPORTED", "RULE-UNSUPPORTED"}
        return
    assert not {"KIND-UNSUPPORTED", "RULE-UNSUPPORTED"} & {f.code for f in verdict.findings}
    if verdict.fits and chip in SEEN:
        passes(network, chip)


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("like", CONNECTIONS, ids=lambda kind: kind.__name__)
def test_every_node_is_run_as_it_was_declared_or_refused(chip: str, like: type[Node]) -> None:
    network = of_kind(like, like)
    target, _ = chip_named(chip)
    domain, verdict = target.accepts(chip), nd.check(network, chip)
    left = {type(n) for n in verdict.network.nodes} - {Input, Output, Population}
    if not left <= domain.nodes:
        named = [f for f in verdict.findings if f.severity == "error" and f.layer == "n"]
        assert named, verdict.findings
        if like not in domain.explained:
            assert {f.code for f in named} == {"KIND-UNSUPPORTED"}
        return
    if not verdict.fits:  # by a limit of the chip that has a code of its own
        assert "KIND-UNSUPPORTED" not in {f.code for f in verdict.findings}
    elif chip in SEEN:
        passes(network, chip)


def passes(network: Network, chip: str) -> None:
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
        (found,) = refusals(chain(EYE, NEURONS["LinearLeak-floor"]), chip)
        assert found.code == "KIND-UNSUPPORTED"
        assert "LinearLeak neurons that spike" in found.what
        assert "CurrentLeaky neurons that spike" in found.why


def test_a_feature_is_refused_by_its_name_and_its_meaning() -> None:
    (found,) = refusals(chain(EYE, NEURONS["Integrator-floor"]), "loihi2")
    assert found.code == "RULE-UNSUPPORTED"
    assert "`floor` (a floor of the potential) of Integrator neurons that spike" in found.what
    assert "reset_to" in found.why


def test_a_kind_is_refused_with_the_features_that_no_neurons_of_the_chip_have() -> None:
    """Else a user allows the rewrite of the kind, and is told the same again."""
    rests = NEURONS["Leaky-spikes"].with_(refractory=2 * ONE)
    for allow in ((), ("linear-leak",)):
        verdict = nd.check(chain(EYE, rests), "speck2b", allow=allow)
        (found,) = (f for f in verdict.findings if f.code == "KIND-UNSUPPORTED")
        assert "Leaky neurons that spike, nor any neurons with `refractory`" in found.what


def test_a_message_says_that_a_subclass_is_another_kind() -> None:
    (found,) = refusals(of_kind(foreign(Linear), Linear), "loihi2")
    assert "loihi2 does not run the kind MyLinear" in found.what
    assert "a subclass of Linear is another kind" in found.why


def test_a_foreign_class_of_a_known_name_is_not_mistaken() -> None:
    other = type("Linear", (Linear,), {"__module__": "acme"})
    assert kind_name(other) == "acme.Linear"
    assert kind_name(Linear) == "Linear"


@pytest.mark.parametrize("chip", CHIPS)
def test_the_rewrites_and_the_check_of_every_target_refuse_unknown_kinds(chip: str) -> None:
    target, _ = chip_named(chip)
    assert accepted_unknown(target, chip) == []


class AnyLeaky(LocalPass):
    """A rewrite that takes what is derived from a Leaky for a Leaky."""

    name = "any_leaky"

    def at(self, network: Network, node: Node) -> Outcome:
        if type(node) is not Population or type(node.membrane) is Leaky:
            return None
        if not isinstance(node.membrane, Leaky):
            return None
        plain = replace(node, membrane=Leaky(**MEMBRANE[Leaky]))
        return Done(replaced(network, plain), "made plain")


def test_the_conformance_case_fails_a_rewrite_that_uses_isinstance() -> None:
    target, chip = chip_named("loihi2")

    class Careless:
        def __getattr__(self, name: str) -> Any:
            return getattr(target, name)

        def passes(self, chip: str, allow: Sequence[str] = ()) -> Sequence[Any]:
            return (AnyLeaky(),)

    found = {f.what for f in accepted_unknown(Careless(), chip)}  # type: ignore[arg-type]
    assert found == {"a rewrite takes UnknownLeaky, a subclass of Leaky, for Leaky"}


def test_neurons_that_check_should_have_explained_are_refused_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A target that promises to explain a kind and does not cannot avoid the refusal."""
    target, chip = chip_named("loihi2")
    declared = target.accepts(chip)
    silent = tuple(replace(row, model=None) for row in declared.neurons)
    less = Domain(silent, declared.nodes, declared.explained)
    monkeypatch.setattr(type(target), "accepts", lambda self, chip: less)
    (found,) = refusals(chain(EYE, NEURONS["Leaky-spikes"]), chip)
    assert (found.code, found.layer) == ("KIND-UNSUPPORTED", "n")


def test_a_declaration_holds_known_things_only() -> None:
    with pytest.raises(TypeError, match="subclasses of Node"):
        Domain(nodes={"Linear"})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="rows of Accepts"):
        Domain(({Leaky},))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="subclasses of Membrane"):
        Accepts("lif", frozenset((Spikes,)), Spikes)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="'flor', which none of its neurons has"):
        Accepts("lif", frozenset(MEMBRANES), Spikes, frozenset(("flor",)))
    with pytest.raises(TypeError, match="by rows of Accepts"):
        Domain(nodes=frozenset((Population,)))


def test_even_the_reference_refuses_a_field_that_its_rule_does_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Spikes, "runs", Spikes.runs - {"floor"})
    rows = tuple(Accepts("r", frozenset(MEMBRANES), rule, rule.runs) for rule in (Spikes, Value))
    assert accepted(NEURONS["Leaky-floor"], rows) is None
    assert accepted(NEURONS["Leaky-spikes"], rows) is not None


def foreign_networks() -> Iterator[Network]:
    yield from probes()
    yield from (chain(EYE, node) for _, node in STRANGERS)
    yield of_kind(foreign(Scale), Scale)
    yield of_kind(foreign(Flatten), Flatten)


def test_the_float_reference_refuses_unknown_kinds() -> None:
    for network in foreign_networks():
        shape = network["x"].shape
        with pytest.raises(TargetError) as refused:
            run_reference(network, Recording.from_dense(np.zeros((2, *shape), np.int64)))
        assert [f.code for f in refused.value.findings] == ["KIND-UNSUPPORTED"]


def test_the_integer_form_refuses_unknown_neurons() -> None:
    for node in (*(node for _, node in STRANGERS), next(probes())[PROBE]):
        with pytest.raises(TargetError, match="KIND-UNSUPPORTED"):
            neuron(node, 1.0)  # type: ignore[arg-type]


def test_a_nir_file_does_not_take_a_subclass_for_its_base() -> None:
    for network in foreign_networks():
        with pytest.raises(NrfError, match="NIR-UNSAYABLE"):
            encode(network)


def test_a_floor_holds_in_the_reference() -> None:
    down = Linear(name="w", weight=-np.eye(4, dtype=np.float32))
    node = NEURONS["Integrator-floor"].with_(floor=-2 * ONE)
    events = np.ones((5, 4), np.int64)
    trace = run_reference(chain(down, node), Recording.from_dense(events), states=["n"])
    assert trace.states["n"]["v"][:, 0].tolist() == [-1, -2, -2, -2, -2]


# --- attribution ---------------------------------------------------------------


def rough(**features: Any) -> nd.Bundle:
    """Compile a bundle with errors that have causes: uneven weights on a grid of 8 bits."""
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(4, 4)).astype(np.float32)
    node = NEURONS["Leaky-spikes"].with_(tau=7.3 * ONE, **features)
    return nd.compile(chain(Linear(name="w", weight=weight), node), "loihi2")


def events() -> Recording:
    dense = np.random.default_rng(1).integers(0, 2, (200, 4))
    return Recording.from_dense(dense, 1.0)


def test_every_known_kind_is_simulated_in_full_where_causes_are_sought() -> None:
    for word, node in NEURONS.items():
        known = word not in ("LinearLeak-value",)
        assert (float_twin.unexpressed(node, {}) == "") is known, word


def test_a_feature_that_the_simulation_does_not_read_is_not_attributed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert [x.layer for x in attributed(rough(), events()).layers] == ["n"]
    rows = (Accepts("spikes", frozenset((Leaky,)), Spikes),)
    monkeypatch.setattr(float_twin, "DOMAIN", Domain(rows))
    found = attributed(rough(fires="at"), events())
    assert not found.layers
    (said,) = found.findings()
    assert said.code == "VERIFY-UNATTRIBUTED"
    assert "not attributed" in said.what
    assert "does not run fires=at of Leaky neurons" in said.why


def test_a_kind_that_the_simulation_does_not_run_is_not_attributed() -> None:
    for name, node in STRANGERS:
        assert name in float_twin.unexpressed(node, {})
    weights = foreign(Linear)(name="n", **CONNECTIONS[Linear])
    assert "does not run the kind MyLinear" in float_twin.unexpressed(weights, {})


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


def known(part: Any) -> Any:
    """Return a node or a part as what it derives from, where it is foreign."""
    base = type(part) if type(part).__module__ != probes.__module__ else type(part).__mro__[1]
    held = {f.name: getattr(part, f.name) for f in fields(base) if f.name != "kind"}
    if issubclass(base, Population):
        held |= {"membrane": known(part.membrane), "rule": known(part.rule)}
    return base(**held)


def test_the_probes_are_sound_as_their_bases(tmp_path: Path) -> None:
    """The probes fail by their kind alone: as their bases they are ordinary networks."""
    for probe in probes():
        nodes = tuple(known(n) if n.name == PROBE else n for n in probe.nodes)
        (tmp_path / "m.nir").write_bytes(encode(replace(probe, nodes=nodes)))
        assert not [f for f in nd.read(tmp_path / "m.nir").findings if f.severity == "error"]
