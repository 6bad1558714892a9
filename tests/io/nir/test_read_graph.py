"""`nd.read` of a graph of the nir library, and `nd.from_torch`: models without a file."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.io import nir as nir_io

nir = pytest.importorskip("nir")


def graph(**changes: Any) -> Any:
    """Return two LIF neurons behind a layer; `changes` are fields of the neurons."""
    two = np.ones(2, np.float32)
    fields = {
        "tau": two * 0.02,
        "r": two,
        "v_leak": two * 0,
        "v_threshold": two,
        "v_reset": two * 0,
    }
    return nir.NIRGraph(
        nodes={
            "input": nir.Input(input_type=np.array([3])),
            "w": nir.Linear(weight=np.ones((2, 3), np.float32)),
            "n": nir.LIF(**{**fields, **changes}),
            "output": nir.Output(output_type=np.array([2])),
        },
        edges=[("input", "w"), ("w", "n"), ("n", "output")],
    )


def refused(call: Callable[[], object]) -> tuple[type[BaseException], list[tuple[str, str | None]]]:
    with pytest.raises(nd.NrfError) as refusal:
        call()
    return type(refusal.value), [(f.code, f.layer) for f in refusal.value.findings]


def same(a: Any, b: Any) -> bool:
    """Return whether two networks have the same bytes as files."""
    return bool(nir_io.checked(a) == nir_io.checked(b))


def test_a_graph_is_read_as_its_file_is(tmp_path: Path) -> None:
    nir.write(tmp_path / "g.nir", graph())
    from_file = nd.read(tmp_path / "g.nir", dt=1e-3, reset="subtract", fires="at")
    from_graph = nd.read(graph(), dt=1e-3, reset="subtract", fires="at")
    assert same(from_file.network, from_graph.network)
    assert from_graph.findings == from_file.findings
    assert from_graph.sha256 is None
    assert from_file.sha256 is not None


def test_every_verb_that_takes_a_model_takes_a_graph() -> None:
    made = nd.compile(graph(), "loihi2", dt=1e-3, reset="value", fires="above")
    assert nd.check(graph(), "loihi2", dt=1e-3, reset="value", fires="above").fits
    assert same(made.network, nd.read(graph(), 1e-3, reset="value", fires="above").network)


WRONG = {
    "no time step": (graph, None),
    "a NaN": (lambda: graph(tau=np.array([0.02, np.nan], np.float32)), 1e-3),
    "tau below dt": (graph, 1.0),
    "a shape that does not fit": (lambda: graph(r=np.ones(3, np.float32)), 1e-3),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_graph_is_refused_as_its_file_is(name: str, tmp_path: Path) -> None:
    make, dt = WRONG[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            made = make()
        except Exception:
            pytest.skip("this version of nir refuses it itself")
        nir.write(tmp_path / "g.nir", made)
        ways = [lambda: nd.read(tmp_path / "g.nir", dt=dt), lambda: nd.read(made, dt=dt)]
        one, other = map(refused, ways)
    assert one == other


def test_what_the_nir_library_cannot_write_is_a_finding() -> None:
    made = graph()
    made.nodes["n"].metadata = {"object": {1, 2}}
    kind, found = refused(lambda: nd.read(made, dt=1e-3))
    assert (kind, found[0][0]) == (nd.InputError, "NIR-GRAPH")


def test_a_graph_that_is_too_large_is_refused_with_the_code_of_a_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nir_io, "LIMITS", nir_io.Limits(size=100))
    kind, found = refused(lambda: nd.read(graph(), dt=1e-3))
    assert (kind, found[0][0]) == (nd.InputError, "NIR-TOO-LARGE")


@pytest.mark.parametrize("given", [3, None, {"nodes": {}}, [graph()]])
def test_what_is_neither_a_path_nor_a_graph_is_a_type_error(given: Any) -> None:
    with pytest.raises(TypeError, match="ARGUMENT-TYPE"):
        nd.read(given)


def test_a_single_node_is_no_graph() -> None:
    with pytest.raises(TypeError, match="NIRGraph"):
        nd.read(graph().nodes["n"])


def test_dt_and_rules_beside_a_model_that_was_read_are_refused() -> None:
    model = nd.read(graph(), 1e-3, reset="value", fires="above")
    for options, says in (({"dt": 1e-3}, "dt given"), ({"reset": "value"}, "reset given")):
        with pytest.raises(nd.UsageError, match=says):
            nd.check(model, "loihi2", **options)  # type: ignore[arg-type]


# --- from torch -------------------------------------------------------------------


def module() -> Any:
    torch = pytest.importorskip("torch")
    pytest.importorskip("norse")
    import norse.torch as norse

    torch.manual_seed(0)
    lif = norse.LIFBoxCell(norse.LIFBoxParameters(tau_mem_inv=torch.tensor(50.0)))
    return norse.SequentialState(torch.nn.Linear(3, 2, bias=False), lif)


@pytest.fixture
def factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a factory of the same module, as the command line takes it."""
    import sys
    from types import ModuleType

    made = ModuleType("factory_of_read_graph")
    made.build = lambda: (module(), (3,))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return f"{made.__name__}:build"


def test_a_torch_module_is_the_model_that_export_writes_and_read_reads(
    factory: str, tmp_path: Path
) -> None:
    direct = nd.from_torch(module(), (3,))
    written = nd.export(factory, tmp_path / "m.nir")
    read = nd.read(tmp_path / "m.nir")
    assert direct.sha256 == written.sha256 == read.sha256
    assert same(direct.network, read.network)
    assert direct.findings == written.findings
    assert set(read.findings) <= set(direct.findings)
    one, other = tmp_path / "one.nrfb", tmp_path / "other.nrfb"
    nd.save(nd.compile(read, "loihi2"), one)
    nd.save(nd.compile(nd.read(tmp_path / "m.nir"), "loihi2"), other)
    assert one.read_bytes() == other.read_bytes()


def test_an_export_without_a_path_writes_nothing(
    factory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert nd.export(factory).sha256 == nd.from_torch(module(), (3,)).sha256
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"module": 3}, "torch module"),
        ({"shape": 3}, "a shape or a tensor"),
        ({"shape": ()}, "whole numbers above 0"),
        ({"shape": (3.0,)}, "whole numbers above 0"),
        ({"shape": (0,)}, "whole numbers above 0"),
        ({"dt": "1e-3"}, "dt: '1e-3'"),
    ],
)
def test_a_wrong_argument_of_from_torch_is_a_type_error(changed: dict[str, Any], says: str) -> None:
    arguments = {"module": module(), "shape": (3,)} | changed
    with pytest.raises(TypeError, match=says):
        nd.from_torch(**arguments)
