"""MODELS of nrf_loihi is the one place that knows a neuron model by its name."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nrf_deploy as nd
import nrf_loihi
from nrf_deploy.diagnostics.findings import TargetError
from nrf_deploy.ir.capabilities import accepted
from nrf_deploy.ir.network import Input, Linear, Network, Output, Population
from nrf_deploy.ir.program import Population as Cells
from nrf_deploy.ir.recording import Recording
from nrf_deploy.neurons import (
    CurrentLeaky,
    Integrator,
    Leaky,
    LinearLeak,
    Membrane,
    Rule,
    Spikes,
    Value,
)
from nrf_loihi.arithmetic.kernels import LoihiKernels
from nrf_loihi.arithmetic.neurons import MODELS, Lava, domain, relay, runs_on
from nrf_loihi.chip import Chip
from nrf_loihi.lava import emit_calls, engine

FOLDER = Path(nrf_loihi.__file__).parent
ONE = np.ones(3, np.float32)
MEMBRANES = (
    Integrator(r=ONE),
    Leaky(tau=8 * ONE, r=ONE, v_leak=0 * ONE),
    CurrentLeaky(tau_syn=4 * ONE, tau_mem=8 * ONE, r=ONE, v_leak=0 * ONE, w_in=ONE),
)


def test_no_other_module_has_a_table_by_the_names_of_models() -> None:
    keys = re.compile(rf"[\"']({'|'.join(MODELS)})[\"'] *:")
    for path in FOLDER.rglob("*.py"):
        found = keys.search(path.read_text("utf-8"))
        assert found is None or path.name == "neurons.py", (path.name, found)


def node(membrane: Membrane, rule: Rule) -> Population:
    return Population(name="n", membrane=membrane, rule=rule)


def network(cells: Population) -> Network:
    nodes = (
        Input(name="x", port_shape=(3,)),
        Linear(name="w", weight=-np.eye(3, dtype=np.float32)),
        cells,
        Output(name="y", port_shape=(3,)),
    )
    return Network(nodes, (("x", "w"), ("w", "n"), ("n", "y")), 1.0)


@given(st.sampled_from(MEMBRANES), st.booleans(), st.booleans())
def test_runs_on_names_a_model_for_what_the_domain_accepts(
    membrane: Membrane, spikes: bool, rectified: bool
) -> None:
    rule = Spikes(threshold=ONE) if spikes else Value(rectified=rectified)
    cells = node(membrane, rule)
    if accepted(cells, domain(Chip.load("loihi2"))) is None:
        with pytest.raises(TargetError) as refusal:
            runs_on(cells)
        assert [f.code for f in refusal.value.findings] == ["RULE-UNSUPPORTED"]
        return
    model, more = runs_on(cells)
    assert MODELS[model].sends == ("spikes" if spikes else "potential")
    assert more == ({"rectify": 1} if rectified and not spikes else {})
    assert set(more) <= set(MODELS[model].parameters)


def test_runs_on_refuses_what_no_model_runs() -> None:
    for cells in (
        node(LinearLeak(r=ONE, leak=ONE), Spikes(threshold=ONE)),
        node(MEMBRANES[0], Spikes(threshold=ONE, floor=0 * ONE)),
    ):
        with pytest.raises(TargetError):
            runs_on(cells)


def test_a_rectified_current_leaky_layer_is_rectified_on_the_chip() -> None:
    """The old names had none: the core accepts it, and its payloads must not go below 0."""
    bundle = nd.compile(network(node(MEMBRANES[2], Value(rectified=True))), "loihi2")
    frames = np.ones((20, 3), np.int64)
    trace = nd.run(bundle, Recording.from_dense(frames, 1.0))
    assert bundle.program.population("n").params["rectify"] == 1
    assert trace.outputs["n"].value.min(initial=0) >= 0


def test_what_needs_microcode_is_not_lowered_to_loihi1(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = (domain(Chip.load(name)) for name in ("loihi1", "loihi2"))
    assert {row.model for row in one.neurons} == {"lif", "li"} <= {r.model for r in two.neurons}
    monkeypatch.setitem(MODELS, "li", replace(MODELS["li"], microcode=True))
    assert {row.model for row in domain(Chip.load("loihi1")).neurons} == {"lif"}
    assert domain(Chip.load("loihi2")) == two


@pytest.mark.parametrize(("value", "fits"), [(1, True), (2, False), (np.array([0, 1, -1]), False)])
def test_a_number_of_the_rule_beyond_its_range_is_refused(
    monkeypatch: pytest.MonkeyPatch, value: object, fits: bool
) -> None:
    """No rule of today can say one, so the table is asked to."""
    changed = replace(MODELS["li"], more=lambda node: {"rectify": value})  # type: ignore[dict-item]
    monkeypatch.setitem(MODELS, "li", changed)
    verdict = nd.check(network(node(MEMBRANES[1], Value())), "loihi2")
    codes = [f.code for f in verdict.findings if f.severity == "error"]
    assert codes == ([] if fits else ["LOIHI-RULE-RANGE"])


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_cell_a_writer_and_a_process_or_says_why_not(name: str) -> None:
    model = MODELS[name]
    params = {k: 1 for k, p in model.parameters.items() if p.default is None}
    cells = Cells(name="n", shape=(2,), model=name, params=params)
    assert LoihiKernels().cell(cells) is not None
    if isinstance(model.lava, Lava):
        assert emit_calls.population_call(cells, lambda key, x: key).cls == model.lava.process
        assert model.lava.once <= set(model.parameters)
    elif model.lava is None:
        assert model.sends == "what arrives"
    else:
        assert [f.code for f in engine.absent(cells)] == [model.lava.code]


def test_without_a_compiled_cell_the_plain_engine_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "lif", replace(MODELS["lif"], compiled=None))
    params = {"du": 4095, "dv": 0, "vth": 5}
    assert LoihiKernels().cell(Cells(name="n", shape=(2,), model="lif", params=params)) is None


@pytest.mark.parametrize("payloads", [True, False])
def test_a_relay_repeats_what_arrives(payloads: bool) -> None:
    model, params = relay(payloads)
    assert set(params) <= set(MODELS[model].parameters)
    arriving = np.array([0, 1, 1, 0])
    cells = Cells(name="n", shape=(4,), model=model, params=params)
    rules = nrf_loihi.LoihiArithmetic()
    sent, _ = rules.step(cells, rules.start(cells), arriving, 0)
    assert sent.tolist() == arriving.tolist()


def test_the_worker_has_every_process_that_a_request_can_name() -> None:
    """The worker runs on another interpreter, so its text is read."""
    text = (FOLDER / "lava" / "worker_lava.py").read_text("utf-8")
    table = text[text.index("PROCESSES = {") : text.index("# --- synapses")]
    named = {m.lava.process for m in MODELS.values() if isinstance(m.lava, Lava)}
    assert set(re.findall(r'^    "(\w+)":', table, re.MULTILINE)) == named
    assert "MODELS[" not in text
