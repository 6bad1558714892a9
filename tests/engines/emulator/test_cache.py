"""The machine code that the engine keeps on disk: found again, never half, never another's."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from nrf_deploy.engines.emulator import compiled
from nrf_deploy.engines.emulator.cache import Files

ALL_SAID = "import nrf_deploy.engines.emulator.compiled as c; c.WORTH_SAYING = 0.0"

ONE_KERNEL = f"""
{ALL_SAID}
import nrf_loihi.arithmetic.neurons_compiled as neurons
from nrf_deploy.engines.emulator.compiled import findings, kernel_address
from nrf_deploy.engines.emulator.kernels import Cell
kernel_address(Cell(neurons.pass_, payload=True), 4, True)
print([f.code for f in findings()], [f.code for f in findings()])
"""

A_RUN = f"""
{ALL_SAID}
import numpy as np
from nrf_deploy.engines.emulator.engine import Engine
from nrf_deploy.ir.program import Dense, Population, Port, Program
from nrf_deploy.ir.recording import Recording
from nrf_loihi.arithmetic.rules import LoihiArithmetic
from nrf_loihi.arithmetic.kernels import LoihiKernels
rng = np.random.default_rng(0)
shapes = {{"source_shape": (9,), "target_shape": (9,)}}
weight = rng.integers(-99, 99, (9, 9))
params = {{"du": 4095, "dv": 900, "vth": 40}}
program = Program(
    arithmetic="loihi",
    ports=(Port(name="in", shape=(9,)),),
    synapses=(Dense(name="w", source="in", targets=("x",), weight=weight, **shapes),),
    populations=(Population(name="x", shape=(9,), model="lif", params=params),),
    outputs=("x",),
)
recording = Recording.from_dense(rng.integers(0, 2, (50, 9)))
trace = Engine(program, LoihiArithmetic(), LoihiKernels()).run(recording)
print(len(trace.outputs["x"].index), [f["code"] for f in trace.notes.get("findings", [])])
"""


def start(script: str, folder: Path) -> subprocess.Popen[str]:
    env = os.environ | {"NUMBA_CACHE_DIR": str(folder)}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", script], stdout=pipe, stderr=pipe, text=True, env=env
    )


def said(script: str, folder: Path) -> str:
    out, err = start(script, folder).communicate()
    assert err == ""
    return out


def kept(folder: Path) -> dict[Path, int]:
    """Return the files of machine code, and the time when each was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.nrfc")}


def test_compiling_is_said_once_and_the_second_start_finds_it_compiled(tmp_path: Path) -> None:
    assert said(ONE_KERNEL, tmp_path) == "['EMULATOR-COMPILED'] []\n"
    before = kept(tmp_path)
    assert before
    assert said(ONE_KERNEL, tmp_path) == "[] []\n"
    assert kept(tmp_path) == before


def test_what_is_broken_on_disk_is_compiled_again(tmp_path: Path) -> None:
    said(ONE_KERNEL, tmp_path)
    for path in kept(tmp_path):
        path.write_bytes(path.read_bytes()[:-9])
    assert said(ONE_KERNEL, tmp_path) == "['EMULATOR-COMPILED'] []\n"


def test_compiling_that_nobody_notices_is_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    spent = {"short": compiled.WORTH_SAYING / 2, "long": compiled.WORTH_SAYING}
    said = {}
    for name, seconds in spent.items():
        monkeypatch.setattr(compiled, "_spent", seconds)
        said[name] = [f.code for f in compiled.findings()]
    assert said == {"short": [], "long": ["EMULATOR-COMPILED"]}


@pytest.mark.parametrize("broken", [b"", b"short", b"x" * 500])
def test_what_is_not_whole_is_not_there(tmp_path: Path, broken: bytes) -> None:
    files = Files(tmp_path, said)
    files.path("key").write_bytes(broken)
    assert files.load("key") is None
    files.save("key", 7)
    assert files.load("key") == 7


def test_two_processes_that_compile_at_once_leave_whole_files(tmp_path: Path) -> None:
    both = [start(ONE_KERNEL, tmp_path) for _ in range(2)]
    for process in both:  # the slower one may already find what the other has compiled
        out, err = process.communicate()
        assert out in ("['EMULATOR-COMPILED'] []\n", "[] []\n")
        assert err == ""
    assert said(ONE_KERNEL, tmp_path) == "[] []\n"
    assert {p.suffix for p in tmp_path.rglob("*") if p.is_file()} == {".nrfc"}


@pytest.mark.conformance
def test_the_second_run_of_a_network_compiles_nothing(tmp_path: Path) -> None:
    both = [start(A_RUN, tmp_path) for _ in range(2)]
    cold = [process.communicate()[0] for process in both]
    firings = cold[0].split()[0]
    assert [c.split()[0] for c in cold] == [firings] * 2
    assert f"{firings} ['EMULATOR-COMPILED']\n" in cold
    before = kept(tmp_path)
    assert said(A_RUN, tmp_path) == f"{firings} []\n"
    assert kept(tmp_path) == before


def test_without_a_folder_for_machine_code_a_finding_says_so(tmp_path: Path) -> None:
    script = """
import numba.core.caching as caching
caching.CacheImpl._locator_classes = []
from nrf_deploy.engines.emulator.compiled import compiled, findings
assert compiled(lambda x: x + 1)(1) == 2
print([f.code for f in findings()])
"""
    assert said(script, tmp_path) == "['EMULATOR-CACHE']\n"


def test_a_folder_that_is_full_is_no_error_and_is_said(tmp_path: Path) -> None:
    script = """
import nrf_loihi.arithmetic.neurons_compiled
from nrf_deploy.engines.emulator.compiled import findings, kernel_address
from nrf_deploy.engines.emulator.kernels import Cell
import nrf_deploy.engines.emulator.cache as cache
def gone(*_): raise OSError("disk full")
cache.os.replace = gone
kernel_address(Cell(nrf_loihi.arithmetic.neurons_compiled.pass_, payload=True), 4, True)
print([f.code for f in findings()])
"""
    assert said(script, tmp_path) == "['EMULATOR-CACHE']\n"
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_who_reads_while_others_write_sees_all_or_nothing(tmp_path: Path) -> None:
    files = Files(tmp_path, said)
    whole = ["x" * 100_000, "y" * 200_000]

    def write(data: str) -> None:
        for _ in range(40):
            files.save("key", data)

    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write, data) for data in whole]
        seen = [files.load("key") for _ in range(200)]
    for writer in writers:
        writer.result()
    assert set(seen) <= {None, *whole}
    assert files.load("key") in whole


def test_another_constant_or_signature_is_another_file(tmp_path: Path) -> None:
    files = Files(tmp_path, said)
    assert files.load("key") is None
    files.save("key", np.arange(3))
    files.save("other", np.arange(4))
    assert len(files.load("key")) == 3
    assert len(files.load("other")) == 4
    assert Files(tmp_path, kept).load("key") is None
