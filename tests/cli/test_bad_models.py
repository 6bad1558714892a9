"""Model files that must not get through: each with its exit code, its finding, its sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from nrf_deploy.cli.main import main
from nrf_deploy.io import nir
from tests.builders.cli_calls import INPUT, refusal, small, unwrapped

WEIGHT, TAU = "node/nodes/w/weight", "node/nodes/hidden/tau"


def replaced(path: Path, place: str, value: object) -> None:
    with h5py.File(path, "r+") as file:
        del file[place]
        file[place] = value


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def text(path: Path) -> None:
    path.write_text("a model, believe me\n" * 40)


def other_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["temperature"] = np.arange(5)


def sixteen_terabytes(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file[WEIGHT]
        file.create_dataset(WEIGHT, (2**21, 2**21), "f4", chunks=(64, 64))


def outside(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file[WEIGHT]
        file[WEIGHT] = h5py.ExternalLink("/etc/passwd", "/weight")


def loop(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file[WEIGHT]
        file[WEIGHT] = h5py.SoftLink(f"/{WEIGHT}")


def nan(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file[WEIGHT][1, 2] = np.nan


def short_tau(path: Path) -> None:
    replaced(path, TAU, np.array([0.01, 0.0005, 0.01], "f4"))


def unknown(path: Path) -> None:
    replaced(path, "node/nodes/hidden/type", "Telepathy")


@pytest.mark.parametrize(
    ("spoil", "code", "says"),
    [
        (cut, "NIR-DAMAGED", "cut off"),
        (text, "NIR-NOT-HDF5", "not an HDF5 file"),
        (other_hdf5, "NIR-NOT-NIR", "holds no model"),
        (sixteen_terabytes, "NIR-TOO-LARGE", WEIGHT),
        (outside, "NIR-LINK", "external link"),
        (loop, "NIR-LINK", "soft link"),
        (nan, "NIR-NOT-FINITE", "'w'"),
        (short_tau, "NIR-TAU-DT", "--dt"),
        (unknown, "NIR-KIND-UNKNOWN", "Telepathy"),
    ],
)
def test_a_bad_model_is_refused_by_every_verb_that_reads_one(
    spoil: Callable[[Path], None],
    code: str,
    says: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, out = tmp_path / "m.nir", tmp_path / "m.nrfb"
    nir.write(small(), path)
    spoil(path)
    for words in (
        ["check", str(path), "--target", "loihi2"],
        ["compile", str(path), "--target", "loihi2", "-o", str(out)],
    ):
        assert main(words) == INPUT
        answer = unwrapped(refusal(capsys))
        assert code in answer
        assert says in answer
    assert not out.exists()
