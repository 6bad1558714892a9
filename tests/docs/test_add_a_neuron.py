"""docs/add-a-neuron.md word for word, in a copy of the source: its files, its diffs, its output."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "add-a-neuron.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
SOURCES = ("nrf_deploy", "targets")


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(PAGE) if found == language]


def commands() -> list[tuple[str, str]]:
    """Return (command, what it prints) of every console block."""
    found = []
    for text in blocks("console"):
        for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
            command, _, printed = part.partition("\n")
            found.append((command, printed.strip("\n")))
    return found


class Copy:
    """A copy of the source that the page's steps change."""

    def __init__(self, root: Path) -> None:
        self.root, self.work = root, root / "work"
        self.work.mkdir()
        for name in SOURCES:
            shutil.copytree(
                ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
            )

    def patch(self, text: str) -> None:
        done = subprocess.run(
            ["git", "apply", "--unidiff-zero", "--recount", "--whitespace=nowarn", "-"],
            cwd=self.root, input=text, text=True, capture_output=True,
            env={**os.environ, "GIT_CEILING_DIRECTORIES": str(self.root.parent)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def call(self, command: str) -> subprocess.CompletedProcess[str]:
        program, *words = shlex.split(command)
        start = {"python": [sys.executable], "nrf-deploy": [sys.executable, "-m", "nrf_deploy"]}
        paths = os.pathsep.join(str(self.root / p) for p in ("", "targets"))
        return subprocess.run(
            [*start[program], *words], cwd=self.work, text=True, capture_output=True,
            env={**os.environ, "PYTHONPATH": paths, "COLUMNS": "80"},
        )  # fmt: skip


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Return the copy after "The rule": the float side knows the feature, and no chip does."""
    copy = Copy(tmp_path_factory.mktemp("neuron"))
    part, script = blocks("python")
    (copy.root / "nrf_deploy" / "neurons" / "tired.py").write_text(part)
    (copy.work / "tired.py").write_text(script)
    for text in blocks("diff")[:2]:
        copy.patch(text)
    return copy


def test_the_page_has_the_steps_that_are_followed_here() -> None:
    assert [len(blocks(x)) for x in ("python", "diff", "console")] == [2, 4, 2]
    assert "Create `nrf_deploy/neurons/tired.py`" in PAGE


def test_no_chip_runs_it_before_it_is_taught_and_the_emulator_does_afterwards(
    taught: Copy,
) -> None:
    (make, _), (check, refused), *then = commands()
    done = taught.call(make)
    assert (done.returncode, done.stderr) == (0, "")
    done = taught.call(check)
    assert (done.returncode, done.stdout.strip("\n")) == (4, refused)
    for chip in ("loihi1", "loihi2", "speck2b", "dynapcnn", "emulator"):
        done = taught.call(f"nrf-deploy check tired.nir --target {chip} --json")
        assert done.returncode == 4
        assert re.search("(RULE|KIND)-UNSUPPORTED|SPECK-KIND", done.stdout), done.stdout
    taught.patch(blocks("diff")[2])
    for command, printed in then:
        done = taught.call(command)
        assert (done.returncode, done.stdout.strip("\n")) == (0, printed), done.stderr
    assert taught.call("nrf-deploy check tired.nir --target loihi2").returncode == 4


def test_the_probe_shows_that_the_emulator_reads_it(taught: Copy) -> None:
    """The models have no kernel, so that none is compiled here."""
    ask = """if True:
        from nrf_deploy.compiler.target import chip_named
        from nrf_deploy.testing.conformance import declared
        target, chip = chip_named("emulator")
        domain = target.accepts(chip)
        print(declared.unprobed(domain))
        for q in declared.questions(domain):
            if q.features == {"tired=Tired"}:
                print(q.told(), declared.answer(target, chip, q).given)
    """
    done = taught.call(f"python -c {shlex.quote(ask)}")
    assert done.stdout == "['tired=Tired']\n", done.stderr
    taught.patch(blocks("diff")[3])
    done = taught.call(f"python -c {shlex.quote(ask)}")
    kinds = ("Integrator", "Leaky", "CurrentLeaky")
    ran = "".join(f"{kind} neurons with tired=Tired ran\n" for kind in kinds)
    assert done.stdout == f"[]\n{ran}", done.stderr
