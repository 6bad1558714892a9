"""The documents print the real output, and their links have targets."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)


def test_how_it_works_prints_the_numbers_that_it_tells(shared: Path, tmp_path: Path) -> None:
    """In a process of its own, with the three files in the folder, as a reader would run it."""
    page = (ROOT / "docs" / "how-it-works.md").read_text()
    (_, script), (_, printed) = BLOCK.findall(page)[-2:]
    for path in ("conformance/nir/cnn_sinabs.nir", "conformance/nir/lif_norse.nir",
                 "recordings/nmnist_sample.npz"):  # fmt: skip
        os.symlink(shared / path, tmp_path / Path(path).name)
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == printed
    told = page[: page.index("## Printing such numbers")]
    for number in ("406.1430", "**406**", "**240**", "-2688", "21248", "3885", "3998", "**164**",
                   "**255**", "**637**", "-0.1043", "0.8176"):  # fmt: skip
        assert number in told
        assert number.strip("*") in printed


def test_every_link_of_the_documents_leads_to_a_file() -> None:
    documents = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
    links = [
        (document.name, link)
        for document in documents
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text())
        if "://" not in link and not (document.parent / link).exists()
    ]
    assert links == []


def test_every_file_that_how_it_works_names_is_there() -> None:
    page = (ROOT / "docs" / "how-it-works.md").read_text()
    folders = [ROOT / "nrf_deploy", ROOT / "targets" / "nrf_loihi"]
    held = {p.name for folder in folders for p in folder.rglob("*.py")}
    named = {Path(n).name for n in re.findall(r"`([\w/]+\.py)\b", page)}
    assert named - held == set()


def test_every_code_of_export_is_explained() -> None:
    sources = [p.read_text() for p in (ROOT / "nrf_deploy").rglob("*.py")]
    raised = {code for text in sources for code in re.findall(r'"(EXPORT-[A-Z-]+[A-Z])"', text)}
    page = (ROOT / "docs" / "export.md").read_text()
    assert raised, "the codes stand in the sources as they are raised"
    assert raised - set(re.findall(r"EXPORT-[A-Z-]+[A-Z]", page)) == set()


def test_every_integer_that_inspect_sends_to_the_semantics_is_explained_there() -> None:
    """`inspect` of a bundle names this page for what it shows of neurons."""
    from nrf_emulator.arithmetic import models as fixed
    from nrf_loihi.arithmetic.neurons import PARAMETERS
    from nrf_speck.arithmetic.models import DECLARED

    machine = {name for declared in fixed.PARAMETERS.values() for name in declared}
    shown = {*DECLARED, *machine, *PARAMETERS["lif"], *PARAMETERS["li"]}
    page = (ROOT / "docs" / "semantics.md").read_text()
    assert {name for name in shown if f"`{name}`" not in page} == set()


def test_make_help_names_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (help .*)$", makefile, re.MULTILINE)
    printed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert re.findall(r"^  make (\S+) +\S", printed.stdout, re.MULTILINE) == phony.split()
