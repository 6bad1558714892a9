"""The Python API: typed, complete, documented, and named like the command line."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import nrf_deploy as nd
from nrf_deploy.cli.parser import parser
from nrf_deploy.io.recordings import Options
from nrf_deploy.io.rule_options import RuleOptions

SOURCE = Path(nd.__file__)
FUNCTIONS = [n for n in nd.__all__ if inspect.isfunction(getattr(nd, n))]


# --- the lists of names agree -----------------------------------------------------


def typed() -> dict[str, str]:
    """Return the module of each name that type checkers see."""
    tree = ast.parse(SOURCE.read_text())
    (block,) = [
        n for n in tree.body
        if isinstance(n, ast.If) and isinstance(n.test, ast.Name) and n.test.id == "TYPE_CHECKING"
    ]  # fmt: skip
    imports = [n for n in block.body if isinstance(n, ast.ImportFrom) and n.level == 1]
    assert all(a.name == a.asname for n in imports for a in n.names), "X as X is a re-export"
    return {a.name: str(n.module) for n in imports for a in n.names}


def test_type_checkers_and_the_lazy_loader_see_the_same_names_of_the_same_modules() -> None:
    assert typed() == nd._HOME


def test_dir_and_all_list_every_name_and_every_name_can_be_imported() -> None:
    assert dir(nd) == sorted(nd.__all__)
    assert set(nd.__all__) == {"__version__", *nd._HOME}
    for name in nd.__all__:
        assert getattr(nd, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        nd.nonsense  # noqa: B018


def test_an_import_of_a_submodule_hides_no_function_of_the_same_name() -> None:
    for name in nd._HOME:
        if find_spec(f"nrf_deploy.{name}") is not None:
            import_module(f"nrf_deploy.{name}")
    setattr(nd, "verify", sys)  # noqa: B010 - as an import of a module of this name would
    for name in nd._HOME:
        assert not inspect.ismodule(getattr(nd, name)), name


def test_importing_it_loads_nothing_heavy() -> None:
    heavy = {"numpy", "h5py", "numba", "torch", "typing", "argparse"}
    code = f"import sys; import nrf_deploy; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE.parents[1])},
    )  # fmt: skip
    assert done.stdout.strip() == "[]", done.stderr


# --- a user's type checker --------------------------------------------------------

RIGHT = """
import numpy as np

import nrf_deploy as nd

model: nd.Model = nd.read("model.nir", dt=1e-3, reset="subtract", fires="at")
verdict: nd.Verdict = nd.check(model, "loihi2")
rules = nd.Rules(weight_bits=6, layers={"conv1": nd.LayerRules(gain=2.0)})
recording: nd.Recording = nd.read_recording("e.npz", model, bin=1e-3, crop=(0, 0, 8, 8))
bundle: nd.Bundle = nd.compile(model, "loihi2", recording, rules, allow=["exact-decay"])
nd.save(bundle, "model.nrfb")
trace: nd.Trace = nd.align(bundle, nd.run(bundle, recording, layer="conv1", states=True))
nd.write_recording(trace.outputs["conv1"], "spikes.npz")
report: nd.Report = nd.verify("model.nrfb", recording, limit=0.05, labels="places.csv")
try:
    part: nd.Part = nd.bisect(bundle, recording, report=report)
    covariance: nd.Covariance = nd.covariance(bundle, "e.npz", bin=1e-3)
    engines: nd.Engines = nd.compare_engines([bundle], recording)
    conformance: nd.Conformance = nd.run_conformance("loihi2", case=["drift"])
    picture: nd.Image = nd.image(bundle)
except nd.NrfError as refusal:
    print([f.code for f in refusal.findings])
page: str = nd.report_html(report, bundle, recording, covariance=covariance.as_json())
frames = nd.Recording.from_dense(np.ones((3, 2), np.int64))
"""

WRONG = {
    "nd.compile(m, 42)": "arg-type",
    'nd.compile(m, "loihi2", nonsense=True)': "call-arg",
    "nd.read(3)": "arg-type",
    'nd.read("m.nir", reset="substract")': "arg-type",
    'nd.check("m.nir", "loihi2", calibrate="e.npz")': "arg-type",
    'nd.compile(m, "loihi2", scheme={})': "arg-type",
    "nd.save(m, 'b.nrfb')": "arg-type",
    "nd.load(3)": "arg-type",
    'nd.read_recording("e.npz", m, bni=1e-3)': "call-arg",
    'nd.read_recording("e.npz", m, bin="1 ms")': "arg-type",
    'nd.write_recording(m, "e.npz")': "arg-type",
    'nd.run(b, "e.npz")': "arg-type",
    "nd.run(b, r, steps=2.5)": "arg-type",
    'nd.run(b, r, decay="none")': "arg-type",
    "nd.align(b, r)": "arg-type",
    "nd.verify(b, r, limits={})": "arg-type",
    "nd.verify(b, r, causes=True)": "call-arg",
    "nd.verify_trained(m, 3)": "arg-type",
    "nd.bisect(b, r, report=3)": "arg-type",
    "nd.covariance(b, 3)": "arg-type",
    "nd.compare_engines(b, r)": "arg-type",
    "nd.run_conformance(3)": "arg-type",
    "nd.report_html(b, b, r)": "arg-type",
    "nd.junit(b)": "arg-type",
    "nd.parse_labels(3)": "arg-type",
    "nd.parse_rules(3)": "arg-type",
    "nd.parse_limits(3)": "arg-type",
    "nd.scheme_toml(b)": "arg-type",
    "nd.flash(b, tick='1')": "arg-type",
    "nd.image(3)": "arg-type",
    "nd.write_image(b, 3)": "arg-type",
    "nd.export(3)": "arg-type",
    'nd.export_program(b, 3, "out")': "arg-type",
    "nd.sample(3)": "arg-type",
    "nd.inspect(3)": "arg-type",
    "nd.targets(3)": "arg-type",
    'nd.sdk("destroy")': "arg-type",
    "nd.bench(3)": "arg-type",
    "nd.demo(3)": "arg-type",
    "nd.engines_of(3)": "arg-type",
    "nd.latency(b, 3)": "arg-type",
    "nd.unit(b, 3)": "arg-type",
    "nd.nonsense": "attr-defined",
}


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Check a right and a wrong file of a user, as strictly as mypy can."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "right.py").write_text(RIGHT)
    head = "import nrf_deploy as nd\n\ndef f(m: nd.Model, b: nd.Bundle, r: nd.Recording) -> None:\n"
    (folder / "wrong.py").write_text(head + "".join(f"    {line}\n" for line in WRONG))
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary"]
    root = SOURCE.parents[1]
    before = filter(None, [os.environ.get("PYTHONPATH")])
    done = subprocess.run(
        [*mypy, "--cache-dir", str(folder / "cache"), "right.py", "wrong.py"],
        capture_output=True, text=True, cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *before])},
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if ": error:" in line]


def test_mypy_finds_nothing_in_a_right_file(checked: list[str]) -> None:
    assert [line for line in checked if line.startswith("right.py")] == []


def test_mypy_finds_every_wrong_argument(checked: list[str]) -> None:
    found = {}
    for line in checked:
        name, number, _ = line.split(":", 2)
        assert name == "wrong.py", line
        code = re.findall(r"\[([\w-]+)\]$", line)[0]
        found[list(WRONG)[int(number) - 4]] = code
    assert found == WRONG


def test_a_wrong_argument_of_each_verb_is_tried() -> None:
    tried = {re.findall(r"nd\.(\w+)", line)[0] for line in WRONG}
    assert set(FUNCTIONS) - tried == {"from_torch"}, "torch need not be installed here"


# --- the command line has no option that Python lacks -----------------------------

VERBS: dict[str, list[Callable[..., Any]]] = {
    "demo": [nd.demo],
    "export": [nd.export, nd.compile, nd.read, nd.export_program],
    "check": [nd.check],
    "compile": [nd.compile],
    "inspect": [nd.inspect],
    "run": [nd.run],
    "verify": [nd.verify, nd.compare_engines, nd.verify_trained],
    "conformance": [nd.run_conformance],
    "flash": [nd.flash],
    "targets": [nd.targets],
    "sdk": [nd.sdk],
    "bench": [nd.bench],
}
"""The functions that do what a verb does; the first is the verb's own."""

READING = set(Options.__annotations__)
"""Options of a recording: keywords of `read_recording`, whose Recording the functions take."""

RULE = set(RuleOptions.__annotations__)
"""Options of a .nir file without a rule: keywords of the functions that read one."""

ELSEWHERE = {
    ("*", "json"): "a function returns its answer",
    ("*", "help"): "docs/api.md",
    ("check", "model"): "model",
    ("export", "sample"): "nd.sample returns it",
    ("export", "form"): "nd.export_program(bundle, form, folder)",
    ("compile", "output"): "nd.save writes the bundle",
    ("run", "output"): "nd.write_recording writes each output",
    ("verify", "bundle"): "of several: nd.compare_engines(bundles, ...)",
    ("verify", "bisect"): "nd.bisect returns the part",
    ("verify", "junit"): "nd.junit(report)",
    ("verify", "covariance"): "nd.covariance(bundle, input)",
    ("verify", "report"): "nd.report_html(report, ...) and report.as_json()",
    ("conformance", "junit"): "nd.junit(conformance)",
    ("flash", "image"): "nd.write_image(bundle, path)",
    ("flash", "dry_run"): "nd.image makes the image and touches no board",
}
"""Options that are not parameters of their command's functions, and their substitutes."""


def options() -> Iterator[tuple[str, str]]:
    for verb, words in parser().verbs.items():
        words.fill()
        for action in words._actions:
            if action.dest != "help":
                yield verb, action.dest


def test_every_verb_is_a_function() -> None:
    assert set(VERBS) == set(parser().verbs)


@pytest.mark.parametrize(("verb", "option"), list(options()))
def test_every_option_is_a_parameter_or_has_another_place(verb: str, option: str) -> None:
    taken = {p for f in VERBS[verb] for p in inspect.signature(f).parameters}
    if "options" in taken or taken & {"input", "calibrate"}:
        taken |= READING
    if "options" in taken:
        taken |= RULE
    elsewhere = {o for v, o in ELSEWHERE if v in ("*", verb)}
    assert (option in taken) != (option in elsewhere - {"bundle", "model"} - taken), option


def test_the_list_of_other_places_names_functions_that_exist() -> None:
    for words in ELSEWHERE.values():
        for name in re.findall(r"nd\.(\w+)", words):
            assert name in FUNCTIONS
    stale = {(v, o) for v, o in ELSEWHERE if v != "*"} - set(options())
    assert stale == set()


def test_every_option_of_a_recording_is_an_option_of_the_command_line() -> None:
    verify = {o for v, o in options() if v == "verify"}
    assert verify >= READING


# --- documented -------------------------------------------------------------------


def sections(text: str) -> dict[str, str]:
    """Return the sections of a Google-style docstring by heading."""
    parts = re.split(r"^(Args|Returns|Raises|Attributes):\n", inspect.cleandoc(text), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True)) | {"": parts[0]}


def described(function: Callable[..., Any]) -> list[str]:
    args = sections(function.__doc__ or "").get("Args", "")
    return re.findall(r"^    (\w+):\s\S", args, flags=re.M)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_parameter_is_described_with_its_default(name: str) -> None:
    function = getattr(nd, name)
    parameters = inspect.signature(function).parameters
    assert described(function) == list(parameters)
    args = sections(function.__doc__)["Args"]
    for parameter in parameters.values():
        own = re.findall(rf"^    {parameter.name}:(.*?)(?=^    \S|\Z)", args, re.M | re.S)[0]
        optional = parameter.default is not parameter.empty or parameter.kind.name == "VAR_KEYWORD"
        assert "Default:" in own or not optional or own.startswith(" Of a "), parameter.name


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_says_what_it_returns_and_raises(name: str) -> None:
    function = getattr(nd, name)
    found = sections(function.__doc__ or "")
    first = found[""].splitlines()[0]
    assert re.fullmatch(r"[A-Z].*[.]", first), first
    assert ("Returns" in found) == (inspect.signature(function).return_annotation != "None")
    assert "Raises" in found
    for kind in re.findall(r"^    (\w+):", found.get("Raises", ""), re.M):
        assert issubclass(getattr(nd, kind), nd.NrfError)


@pytest.mark.parametrize("name", sorted(set(nd.__all__) - {*FUNCTIONS, "__version__", "Labels"}))
def test_every_public_class_is_described(name: str) -> None:
    kind = getattr(nd, name)
    assert inspect.isclass(kind)
    text = kind.__doc__ or ""
    assert text
    assert not text.startswith(f"{name}(")
