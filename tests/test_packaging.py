"""The wheel: its list of files, and that it works without a checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.test_rooms import LOOSE, ORDER

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "nrf_deploy": "",
    "nrf_emulator": "targets/",
    "nrf_loihi": "targets/",
    "nrf_speck": "targets/",
    "nrf_models": "models/",
}
"""Every package of the wheel, and the source root that holds it."""
CODE = {".py", ".toml", ".txt", ".typed"}
WEIGHTS = {
    f"nrf_models/covariant/weights/{name}-theory-0.safetensors"
    for name in ("lif", "li")
}  # fmt: skip
"""Of the checkpoints in the repository only those of the shipped trackers."""


def tracked() -> list[str]:
    command = ["git", "ls-files", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the tracked files, so that the checkout stays as it is."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(out), "."]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return built


def held(wheel: Path) -> set[str]:
    """Return the files of the wheel but its metadata."""
    names = zipfile.ZipFile(wheel).namelist()
    return {name for name in names if ".dist-info/" not in name}


def test_it_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    expected = set()
    for package, root in PACKAGES.items():
        for name in tracked():
            path = Path(name.removeprefix(root))
            inside = name.startswith(f"{root}{package}/")
            if inside and (path.suffix in CODE or "kit" in path.parts):
                expected.add(path.as_posix())
    assert held(wheel) == expected | WEIGHTS


def test_every_file_of_the_toolchain_is_in_a_room(wheel: Path) -> None:
    for name in held(wheel):
        package, *inside = name.split("/")
        if package == "nrf_deploy":
            assert inside[0] in (ORDER if len(inside) > 1 else LOOSE), name


def test_it_holds_no_test_no_peer_and_no_research(wheel: Path) -> None:
    foreign = {"tests", "tools", "benchmarks", "nrf_peers", "nrf_research", "peers", "research"}
    assert {name for name in held(wheel) if foreign & set(name.split("/"))} == set()


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


def test_no_part_of_the_toolchain_names_a_target() -> None:
    for path in (ROOT / "nrf_deploy").rglob("*.py"):
        text = path.read_text()
        for word in ("nrf_loihi", "nrf_models", "import lava", "import torchvision"):
            assert word not in text, f"{path.name} names {word}"
