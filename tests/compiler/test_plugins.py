"""A plug-in of another distribution that cannot be loaded: a warning, not the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest

import nrf_deploy as nd
from nrf_deploy.bundle import pipeline
from nrf_deploy.cli.main import main
from nrf_deploy.compiler import plugins
from nrf_deploy.compiler.target import Target
from nrf_deploy.diagnostics.findings import MissingError
from tests.builders.cli_calls import MISSING, USAGE
from tests.builders.random_networks import random_network, random_recording

GROUP = "nrf_deploy.targets"


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_broken", {})
    monkeypatch.setattr(plugins, "_sound", {})


def distribution(site: Path, group: str, module: str, text: str) -> None:
    """Install `acme-chips`, which has the plug-in `acme`."""
    (site / f"{module}.py").write_text(text)
    made = site / "acme_chips-1.0.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-chips\nVersion: 1.0\n")
    (made / "entry_points.txt").write_text(f"[{group}]\nacme = {module}:target\n")


BROKEN = {
    "import": "import no_such_module_of_acme",
    "syntax": "def target(:",
    "exits": "raise SystemExit(3)",
    "lacks": "",
    "no-target": "target = object()",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_target_that_cannot_be_loaded_stops_nobody_else(
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    module = "acme_" + request.node.callspec.id.replace("-", "_")
    distribution(tmp_path, GROUP, module, text)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["targets", "loihi"]) == 0
    told = capsys.readouterr()
    assert "loihi2" in told.out
    assert told.err.count("PLUGIN-BROKEN") == 1
    assert "acme-chips" in told.err

    assert main(["targets", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [f["severity"] for f in said["findings"]] == ["warning"]

    for words in (["targets", "acme"], ["check", "no.nir", "--target", "acme"]):
        assert main(words) in (MISSING, USAGE)
    assert main(["targets", "acme"]) == MISSING
    told = capsys.readouterr()
    assert "error[PLUGIN-BROKEN]" in told.err


def test_a_chip_that_only_the_broken_one_can_have_is_missing_and_a_typing_error_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nrf_deploy.compiler.target import chip_named

    distribution(tmp_path, GROUP, "acme_away", "import no_such_module_of_acme")
    monkeypatch.syspath_prepend(str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", plugins.PluginWarning)
        with pytest.raises(MissingError, match="acme-chips"):
            chip_named("wholly9")
        with pytest.raises(Exception, match="did you mean loihi2") as failed:
            chip_named("loihi22")
    assert getattr(failed.value, "exit_code", None) == USAGE


def test_in_python_it_is_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nrf_deploy.compiler.target import targets

    distribution(tmp_path, GROUP, "acme_gone", "import no_such_module_of_acme")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.warns(plugins.PluginWarning, match="acme-chips"):
        assert "acme" not in targets()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "loihi" in targets()


@pytest.mark.parametrize(
    ("group", "words", "code"),
    [
        (GROUP, ["targets", "loihi"], 0),
        ("nrf_deploy.benchmarks", ["bench", "no-such-case"], USAGE),
        ("nrf_deploy.models", ["export", "acme", "-o", "m.nir"], MISSING),
    ],
)
def test_the_program_goes_on(group: str, words: list[str], code: int, tmp_path: Path) -> None:
    distribution(tmp_path, group, "acme_broken", "import no_such_module_of_acme")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "nrf_deploy", *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == code
    assert done.stderr.count("PLUGIN-BROKEN") == 1
    assert "Traceback" not in done.stderr


def test_entries_are_looked_up_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plug-in that is sound is given as its entry point names it."""
    entry = EntryPoint("json", "json", "some.group")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [entry])
    assert plugins.loaded("some.group", plugins.has("loads")) == {"json": json}
    assert plugins.broken() == {}


def test_what_a_plugin_needs_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A property may read a file, and every run asks for its target."""
    looked: list[int] = []

    class Plugin:
        @property
        def chips(self) -> None:
            looked.append(1)

    plugin = Plugin()
    entry = SimpleNamespace(name="acme", value="acme:target", load=lambda: plugin)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [entry])
    for _ in range(3):
        assert plugins.loaded("some.group", plugins.has("chips")) == {"acme": plugin}
    assert looked == [1]


def test_a_run_looks_for_its_target_once(monkeypatch: pytest.MonkeyPatch) -> None:
    network = random_network(0)
    recording = random_recording(network, 0, steps=3)
    bundle = pipeline.compile(network, "emulator", recording)
    asked: list[int] = []
    known = pipeline.targets()

    def targets() -> dict[str, Target]:
        asked.append(1)
        return known

    monkeypatch.setattr(pipeline, "targets", targets)
    nd.run(bundle, recording)
    assert asked == [1]
