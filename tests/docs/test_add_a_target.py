"""docs/add-a-target.md as it stands: its files are installed, run, and broken."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders.cli_calls import unwrapped

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "add-a-target.md").read_text()
PARTS = re.compile(r"^`([\w/]+\.(?:toml|py))`|^```(python|toml)\n(.*?)^```", re.M | re.S)
STEP = '(256 - p["decay"])'


SEEN = "not found. Seen:"


def files() -> dict[str, str]:
    """Return the files of the page: blocks after a file's name belong to it, in order."""
    found: dict[str, list[str]] = {}
    name = ""
    for named, _, block in PARTS.findall(PAGE):
        if named:
            name = named
        else:
            found.setdefault(name, []).append(block)
    return {name: "".join(map(_apart, blocks)).strip("\n") + "\n" for name, blocks in found.items()}


def _apart(block: str) -> str:
    """Return the separator: one blank line between methods, two between classes."""
    return ("\n" if block.startswith(" ") else "\n\n") + block


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the package from its pyproject.toml into a separate folder."""
    source, site = tmp_path_factory.mktemp("toy"), tmp_path_factory.mktemp("site")
    for name, text in files().items():
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text(text)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site)]
    done = subprocess.run(
        [*pip, "--no-build-isolation", str(source)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return site


def changed(site: Path, tmp_path: Path, where: str, instead: str, *, once: bool = True) -> Path:
    """Return a copy of the installed target with a part of its code replaced."""
    path = tmp_path / "site"
    subprocess.run(["cp", "-r", str(site), str(path)], check=True)
    code = path / "toy8" / "__init__.py"
    text = code.read_text()
    assert text.count(where) == 1 if once else where in text
    code.write_text(text.replace(where, instead))
    return path


@pytest.fixture
def broken(site: Path, tmp_path: Path) -> Path:
    """Return the same target with a decay that is off by one."""
    return changed(site, tmp_path, STEP, '(255 - p["decay"])')


def first(site: Path) -> dict[str, str]:
    """Put the package before what PYTHONPATH holds already."""
    before = filter(None, [os.environ.get("PYTHONPATH")])
    return {"PYTHONPATH": os.pathsep.join([str(site), *before])}


def call(site: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "nrf_deploy", *map(str, words)],
        env={**os.environ, **first(site)},
        capture_output=True,
        text=True,
    )


def test_the_target_is_about_a_hundred_lines() -> None:
    assert set(files()) == {"toy8/chips.toml", "pyproject.toml", "toy8/__init__.py"}
    assert len(files()["toy8/__init__.py"].splitlines()) < 105


def test_the_code_of_the_page_is_formatted_and_sound(tmp_path: Path) -> None:
    (tmp_path / "toy8.py").write_text(files()["toy8/__init__.py"])
    ruff = [sys.executable, "-m", "ruff"]
    for words in (["check", "--select", "E,F,I,B"], ["format", "--check"]):
        command = [*ruff, *words, "--line-length", "100", "--isolated", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_the_page_s_commands_take_a_model_all_the_way(site: Path, tmp_path: Path) -> None:
    (block,) = re.findall(r"^pip install \.\n(.*?)^nrf-deploy conformance", PAGE, re.M | re.S)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-c", block],
        env={**os.environ, **first(site), "PATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "verdict: passed" in done.stdout


def test_the_kit_passes_it_as_the_page_says(site: Path) -> None:
    done = call(site, "conformance", "--target", "toy8")
    (verdict,) = re.findall(r"^verdict: passed.*$", PAGE, re.M)
    assert done.stdout.splitlines()[-1] == verdict
    assert done.returncode == 0


def test_a_decay_that_is_off_by_one_is_named_as_the_page_prints_it(broken: Path) -> None:
    done = call(broken, "conformance", "--target", "toy8", "--case", "leak")
    assert done.returncode == 1
    assert f"```\n{done.stdout}```" in PAGE


def test_every_case_with_neurons_that_remember_names_the_same_cause(broken: Path) -> None:
    done = call(broken, "conformance", "--target", "toy8")
    told = unwrapped(done.stdout)
    assert done.returncode == 1
    assert told.count("Likely cause:") == 1
    assert "Likely cause: right if decay were one less." in told
    assert "verdict: failed: 18 of 26 cases" in told


@pytest.mark.parametrize(
    ("where", "instead", "case", "cause"),
    [
        ('spike = v > p["threshold"]', 'spike = v >= p["threshold"]', "meets-threshold",
         "right if threshold were one more"),
        (' + p["bias"]', "", "bias", f"{SEEN} no passing case needs: bias of a layer."),
        ("total << 6", "total << 5", "sums", "right if the weights were twice as large"),
        ("return total << 6", "return -(total << 6)", "sums", "right if the weights were negated"),
        ('"v": np.where(spike, 0, v)', '"v": v', "sums",
         f"{SEEN} v differs first where the neuron spikes."),
        ("2**23), 2**23", "2**12), 2**12", "leak",
         f"{SEEN} v is at an end of its bits there: 4,095."),
        ("2**23), 2**23", "2**14), 2**14", "meets-threshold",
         f"{SEEN} v is at an end of its bits there: 16,383."),
        ("2**23), 2**23", "2**18), 2**18", "large",
         f"{SEEN} v is at an end of its bits there: 262,143."),
    ],
)  # fmt: skip
def test_other_mistakes_are_named_or_what_was_seen_of_them(
    site: Path, tmp_path: Path, where: str, instead: str, case: str, cause: str
) -> None:
    path = changed(site, tmp_path, where, instead, once=False)
    words = ["--case", case, "--case", "meets-threshold", "--case", "kernel"]
    done = call(path, "conformance", "--target", "toy8", *words)
    assert f"Likely cause: {cause}" in unwrapped(done.stdout), done.stdout


@pytest.mark.parametrize(
    ("where", "instead", "said"),
    [
        ("if foreign := nrf.unknown(network, self.accepts(chip), chip):", "if foreign := []:",
         "check takes UnknownConv, a subclass of Conv, for Conv"),
        ("        if foreign := nrf.unknown(network, self.accepts(chip), chip):\n"
         "            return foreign\n", "",
         "check takes UnknownLinear, a subclass of Linear, for Linear"),
    ],
)  # fmt: skip
def test_a_target_that_takes_a_subclass_for_its_base_fails(
    site: Path, tmp_path: Path, where: str, instead: str, said: str
) -> None:
    path = changed(site, tmp_path, where, instead)
    words = ["conformance", "--target", "toy8", "--case", "unknown-kinds"]
    assert call(site, *words).returncode == 0
    done = call(path, *words)
    assert done.returncode == 1
    assert said in unwrapped(done.stdout), done.stdout


@pytest.mark.parametrize("feature", ["floor", "refractory", "reset=subtract"])
def test_a_target_that_names_a_feature_and_does_not_read_it_fails(
    site: Path, tmp_path: Path, feature: str
) -> None:
    where = "{nrf.Integrator, nrf.Leaky}, nrf.Spikes)"
    path = changed(site, tmp_path, where, f"{where[:-1]}, {{{feature!r}}})")
    words = ["conformance", "--target", "toy8", "--case", "declared-features"]
    assert call(site, *words).returncode == 0
    done = call(path, *words)
    assert done.returncode == 1
    assert f"Integrator neurons with {feature}: toy8 differs in" in unwrapped(done.stdout)


@pytest.mark.parametrize(
    ("where", "instead"),
    [
        ("def accepts(self, chip):", "def _accepts(self, chip):"),
        ("return nrf.Domain((neurons,), {nrf.Linear", "return frozenset({nrf.Linear"),
        ("return nrf.Domain((neurons,), {nrf.Linear", 'return nrf.Domain((neurons,), {"Linear", 3'),
    ],
)
def test_a_target_that_does_not_declare_what_it_runs_is_refused(
    site: Path, tmp_path: Path, model: Path, where: str, instead: str
) -> None:
    path = changed(site, tmp_path, where, instead)
    done = call(path, "check", model, "--target", "toy8")
    assert done.returncode == 4
    assert "TARGET-ACCEPTS" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("where", "instead", "says"),
    [
        ("def accepts(self, chip):", "def takes(self, chip):",
         "it has 'takes', which no target has"),
        ("def lower(self, network, scheme, chip):", "def lower(self, network, scheme):",
         "lower(network, scheme) cannot be called as lower(network, scheme, chip)"),
        ("def place(self, program, chip):", "def places(self, program, chip):",
         "did you mean 'place'?"),
    ],
)  # fmt: skip
def test_a_target_that_does_not_keep_the_contract_is_named_when_it_is_loaded(
    site: Path, tmp_path: Path, model: Path, where: str, instead: str, says: str
) -> None:
    path = changed(site, tmp_path, where, instead)
    done = subprocess.run(
        [sys.executable, "-m", "nrf_deploy", "check", str(model), "--target", "toy8"],
        env={**os.environ, **first(path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 5
    assert "PLUGIN-BROKEN" in done.stderr
    assert says in unwrapped(done.stderr)


def test_what_the_toy_cannot_hold_is_refused_by_name(
    site: Path, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "s.toml").write_text("weight_bits = 4\n")
    refused = call(site, "check", model, "--target", "toy8", "--scheme", tmp_path / "s.toml")
    assert refused.returncode == 4
    assert "TOY-SCHEME" in refused.stdout + refused.stderr
