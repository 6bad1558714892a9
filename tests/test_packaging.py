"""The wheel holds all that is needed: plug-ins, tables of chips, workers, type marker."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the tracked files, so that the checkout stays as it is."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(out), "."]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return built


def test_it_holds_every_module_and_every_data_file(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    roots = {"nrf_deploy": "", "targets": "targets/", "models": "models/"}
    for folder, prefix in roots.items():
        for path in (ROOT / folder).rglob("*"):
            kept = path.suffix in {".py", ".toml", ".txt", ".typed"} or "kit" in path.parts
            if kept and path.is_file() and "egg-info" not in str(path):
                name = path.relative_to(ROOT).as_posix().removeprefix(prefix)
                assert name in held, f"{name} is not in the wheel"


def test_it_works_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    script = (
        "import sys, nrf_deploy\n"
        f"assert nrf_deploy.__file__.startswith({str(site)!r}), nrf_deploy.__file__\n"
        "from nrf_deploy.compiler.target import targets\n"
        "chips = [c for t in targets().values() for c in t.chips]\n"
        "workers = [s.worker.is_file() for t in targets().values() for s in t.sdks]\n"
        "import nrf_models.covariant.receptive_fields\n"
        "sys.exit(0 if 'loihi2' in chips and all(workers) and 'torch' not in sys.modules else 1)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=empty,
        env={"PYTHONPATH": str(site), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_no_part_of_the_toolchain_imports_a_target() -> None:
    for path in (ROOT / "nrf_deploy").rglob("*.py"):
        text = path.read_text()
        for word in ("nrf_loihi", "nrf_models", "import lava", "import torchvision"):
            assert word not in text, f"{path.name} names {word}"
