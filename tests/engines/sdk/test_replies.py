"""Replies of vendors' workers that do not have the expected form: one Finding each, exit code 5."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nrf_deploy.diagnostics.findings import Finding, MissingError
from nrf_deploy.engines.sdk import worker
from nrf_deploy.engines.sdk.reply import Expected, Numbers, Upto
from nrf_deploy.engines.sdk.worker import run_worker
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Dense, Population, Port, Program
from nrf_deploy.ir.recording import Recording
from nrf_loihi.lava import engine
from nrf_speck.configuration.configuration import Configuration
from nrf_speck.samna import boards
from nrf_speck.samna import client as samna
from nrf_speck.sinabs import client as sinabs
from tests.builders.speck_configurations import SOUND

PYTHON = Path(sys.executable)
EVENTS = Upto("events", 20)
WANTED = Expected(
    {"seconds": float},
    {
        "step": Numbers((EVENTS,), low=0, high=4),
        "value": Numbers((EVENTS,)),
        "v": Numbers((5, 2), kind="numbers"),
    },
)
GOOD: dict[str, Any] = {
    "step": np.array([0, 4]), "value": np.array([1, 2]), "v": np.zeros((5, 2)),
}  # fmt: skip
HEAD = """
import json, os, sys
from pathlib import Path
asked, answered = map(Path, sys.argv[1:])
"""
WELL = "(answered / 'reply.json').write_text('{\"seconds\": 1.5}')\n"
COPY = HEAD + "import shutil\nshutil.copy(os.environ['REPLY'], answered / 'arrays.npz')\n"


@pytest.fixture
def reply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run a worker of these lines; `arrays` is the arrays.npz of its reply."""

    def run(text: str = COPY + WELL, arrays: Mapping[str, Any] = GOOD) -> Any:
        script, held = tmp_path / "vendor.py", tmp_path / "held.npz"
        script.write_text(text)
        np.savez(held, **arrays)  # type: ignore[arg-type]
        monkeypatch.setenv("REPLY", str(held))
        return run_worker("acme", PYTHON, script, {}, WANTED, {}, 120.0)

    return run


def bad(run: Callable[[], Any], code: str = "SDK-REPLY-BAD") -> Finding:
    with pytest.raises(MissingError) as failed:
        run()
    assert failed.value.exit_code == 5
    (finding,) = failed.value.findings
    assert finding.code == code
    return finding


def test_what_was_asked_for_is_given_back(reply: Callable[..., Any]) -> None:
    said, arrays = reply()
    assert said == {"seconds": 1.5}
    assert {name: a.tolist() for name, a in arrays.items()} == {
        name: a.tolist() for name, a in GOOD.items()
    }


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"step": np.array([0.5, 1])}, "'step' of float64; expected integers"),
        ({"step": np.array(["a", "b"])}, "not of plain numbers"),
        ({"step": np.array([0, 5])}, "'step' with the value 5; expected at most 4"),
        ({"step": np.array([-1, 4])}, "'step' with the value -1; expected at least 0"),
        ({"step": np.zeros((2, 1), int)}, "'step' of 2 axes; expected 1"),
        ({"step": np.int64(3)}, "'step' of 0 axes; expected 1"),
        ({"step": np.array([0])}, "'value' of length 2; expected 1"),
        ({"step": np.zeros(21, int), "value": np.zeros(21, int)}, "'step' of length 21"),
        ({"v": np.full((5, 2), np.nan)}, "'v' with a value that is NaN or infinite"),
        ({"v": np.zeros((4, 2))}, "'v' of the shape (4, 2)"),
        ({"v": None}, "it lacks 'v'"),
        ({"more": np.zeros(1)}, "not expected are 'more'"),
        ({"v": np.zeros(10**5)}, "800,770 bytes; the limit is"),
        ({"v": np.array([{}], object)}, "pickle"),
    ],
    ids=[
        "half", "text", "beyond", "negative", "axes", "number", "lengths", "many", "nan", "shape",
        "missing", "unknown", "large", "pickle",
    ],
)  # fmt: skip
def test_arrays_are_of_the_shape_kind_and_range_that_was_asked_for(
    other: dict[str, Any], said: str, reply: Callable[..., Any]
) -> None:
    arrays = {name: a for name, a in {**GOOD, **other}.items() if a is not None}
    assert said in bad(lambda: reply(arrays=arrays)).what


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("'{}'", "it holds [], expected ['seconds']"),
        ('\'{"seconds": 1, "more": 2}\'', "expected ['seconds']"),
        ("'{\"seconds\": true}'", "it.seconds is True, expected float"),
        ("'{\"seconds\": NaN}'", "cannot be read: NaN"),
        ("'{\"seconds\": 1' + '0' * 10000 + '}'", "cannot be read"),
        ("'[' * 100000", "cannot be read"),
        ("'{\"a\":' * 100000 + '1'", "cannot be read"),
        ("'[1]'", "not a JSON object"),
    ],
)
def test_json_is_of_the_form_that_was_asked_for(
    text: str, said: str, reply: Callable[..., Any]
) -> None:
    assert said in bad(lambda: reply(f"{COPY}(answered / 'reply.json').write_text({text})")).what


@pytest.mark.parametrize("name", ["reply.json", "arrays.npz"])
@pytest.mark.parametrize(
    ("make", "said"),
    [
        ("os.mkfifo(file)", "not a regular file"),
        ("file.symlink_to('/dev/zero')", "cannot be opened"),
        ("file.mkdir()", "not a regular file"),
        ("os.truncate(os.open(file, os.O_CREAT | os.O_WRONLY), 10**9)", "1,000,000,000 bytes"),
    ],
    ids=["pipe", "device", "folder", "large"],
)
def test_only_a_regular_file_of_bounded_size_is_read(
    name: str, make: str, said: str, reply: Callable[..., Any]
) -> None:
    """A pipe would never end, and a link to a device would fill the memory."""
    found = bad(lambda: reply(f"{COPY}{WELL}file = answered / {name!r}\nfile.unlink()\n{make}"))
    assert said in found.what


def test_arrays_that_unpack_to_more_are_refused(reply: Callable[..., Any]) -> None:
    packed = """
import io, zipfile
member = zipfile.ZipInfo("v.npy")
with zipfile.ZipFile(answered / "arrays.npz", "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("v.npy", bytes(10**7))
"""
    assert "not plainly stored" in bad(lambda: reply(HEAD + packed + WELL)).what


def test_of_a_long_log_only_the_end_is_read(reply: Callable[..., Any]) -> None:
    """A log of 900 MB with nothing but its last line stored."""
    text = "import os, sys\nos.ftruncate(1, 900 << 20)\nos.lseek(1, 0, 2)\nsys.exit('the end')"
    found = bad(lambda: reply(text), "SDK-CRASHED")
    assert "the end" in found.why
    assert len(found.why) <= worker.TAIL + 100


def test_a_worker_cannot_fill_the_disk(
    reply: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "FILE_BYTES", 1 << 20)
    text = "while True:\n    print('x' * 10000, flush=True)"
    found = bad(lambda: reply(text), "SDK-CRASHED")
    assert "exit code" in found.what


# --- the callers ------------------------------------------------------------------


@pytest.fixture
def vendor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replace each vendor's worker by one that replies with these arrays and this JSON."""

    def put(arrays: Mapping[str, Any], said: str) -> None:
        script, held = tmp_path / "vendor.py", tmp_path / "held.npz"
        script.write_text(f"{COPY}(answered / 'reply.json').write_text({said!r})\n")
        np.savez(held, **arrays)
        monkeypatch.setenv("REPLY", str(held))
        monkeypatch.setattr(worker, "installed_python", lambda sdk: PYTHON)
        monkeypatch.setattr(boards, "installed_python", lambda sdk: PYTHON)
        for module, name in ((engine, "sdk"), (sinabs, "sdk"), (samna, "sdk"), (samna, "newer")):
            monkeypatch.setattr(module, name, replace(getattr(module, name), worker=script))

    return put


def two_steps() -> tuple[Program, Recording]:
    program = Program(
        arithmetic="loihi",
        ports=(Port(name="in", shape=(2,)),),
        populations=(
            Population(
                name="a", shape=(2,), model="lif", params={"vth": 10, "du": 4095, "dv": 0}
            ),
        ),
        outputs=("a",),
        synapses=(
            Dense(
                name="w", source="in", targets=("a",), source_shape=(2,), target_shape=(2,),
                weight=np.eye(2, dtype=np.int64), delay=1,
            ),
        ),
    )  # fmt: skip
    return program, Recording.from_dense(np.ones((3, 2), int))


def lava_reply(**other: Any) -> dict[str, Array]:
    good = {
        "0/a/output/step": np.array([0, 2]),
        "0/a/output/index": np.array([1, 1]),
        "0/a/output/value": np.array([1, 1]),
        "0/a/u": np.zeros((3, 2), np.int32),
        "0/a/v": np.zeros((3, 2), np.int32),
    }
    return good | {f"0/a/{name.replace('_', '/')}": array for name, array in other.items()}


def run_lava() -> Any:
    program, recording = two_steps()
    return engine.run(program, recording, states=["a"])


def test_lava_is_given_back_as_it_ran(vendor: Callable[..., None]) -> None:
    vendor(lava_reply(), "{}")
    trace = run_lava()
    assert trace.outputs["a"].counts().tolist() == [0, 2]
    assert trace.states["a"]["v"].shape == (3, 2)


@pytest.mark.parametrize(
    "other",
    [
        {"output_index": np.array([1, 2])},
        {"output_index": np.array([-1, 1])},
        {"output_step": np.array([0, 3])},
        {"output_step": np.array([0.5, 2])},
        {"output_value": np.array([1])},
        {"output_value": np.array(["a", "b"])},
        {"v": np.zeros((3, 3), np.int32)},
        {"v": np.zeros((2, 2), np.int32)},
        {"v": np.full((3, 2), np.nan)},
    ],
)
def test_a_bad_reply_of_lava_is_one_finding(
    other: dict[str, Any], vendor: Callable[..., None]
) -> None:
    vendor(lava_reply(**other), "{}")
    assert "lava" in bad(run_lava).what


def test_lava_that_says_nothing_is_one_finding(vendor: Callable[..., None]) -> None:
    vendor({}, "{}")
    assert "lacks '0/a/output/index'" in bad(run_lava).what


def run_sinabs(states: tuple[int, ...] = ()) -> Any:
    cores = SOUND.cores
    size = int(np.prod(cores[0].input_shape))
    recording = Recording.from_dense(np.zeros((3, size), int))
    job = sinabs.Job(
        cores=cores,
        entries=[cores[0].index],
        recording=replace(recording, shape=cores[0].input_shape),
        record=[cores[0].index],
        states=states,
        steps=3,
    )
    return sinabs.run_jobs([job])


def sinabs_reply(**other: Any) -> dict[str, Array]:
    place = f"0/{SOUND.cores[0].index}/output"
    good = {name: np.zeros(1, int) for name in ("step", "index", "value")}
    return {f"{place}/{name}": array for name, array in {**good, **other}.items()}


def test_a_bad_reply_of_sinabs_is_one_finding(vendor: Callable[..., None]) -> None:
    answers = '{"answers": [{}]}'
    vendor(sinabs_reply(), answers)
    (ran,) = run_sinabs()
    assert ran.spikes[SOUND.cores[0].index].steps == 3
    vendor(sinabs_reply(), "{}")
    assert "expected ['answers']" in bad(run_sinabs).what
    vendor(sinabs_reply(), '{"answers": []}')
    assert "a list of 0, expected a list of 1" in bad(run_sinabs).what
    vendor(sinabs_reply(index=np.array([10**6])), answers)
    assert "1000000" in bad(run_sinabs).what
    vendor(sinabs_reply(step=np.array([0.5])), answers)
    assert "integers" in bad(run_sinabs).what
    where = SOUND.cores[0].index
    vendor({**sinabs_reply(), f"0/{where}/v": np.zeros((3, 1, 1, 1), int)}, answers)
    assert "shape (3, 1, 1, 1)" in bad(lambda: run_sinabs((where,))).what


def on(chip: str) -> Configuration:
    return replace(SOUND, chip=chip)


def test_a_bad_reply_of_samna_is_one_finding(vendor: Callable[..., None]) -> None:
    vendor({}, "{}")
    assert "words" in bad(lambda: samna.encode(on("speck2b"))).what
    assert "verdicts" in bad(lambda: samna.validate([on("speck2b")])).what
    assert "boards" in bad(lambda: boards.boards("speck2b")).what
    assert "read" in bad(lambda: boards.flash(on("speck2b"), "b", 1e-3)).what
    vendor({}, '{"verdicts": [{"ok": 1, "said": ""}]}')
    assert "expected bool" in bad(lambda: samna.validate([on("speck2b")])).what
    vendor({}, '{"boards": [1]}')
    assert "expected str" in bad(lambda: boards.boards("speck2b")).what
    garbage = {"words": np.array([5], np.uint64), "writes": np.zeros((1, 5), int)}
    vendor(garbage, "{}")
    assert "not a word stream" in bad(lambda: samna.encode(on("speck2b"))).what
    vendor({**garbage, "words": np.array([2**32], np.uint64)}, "{}")
    assert "4294967296" in bad(lambda: samna.encode(on("speck2b"))).what
    vendor({"read": np.zeros(10**6, int)}, "{}")
    assert "8,000,262 bytes; the limit" in bad(lambda: boards.flash(on("speck2b"), "b", 1e-3)).what


def test_patience_is_a_setting(
    vendor: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor(lava_reply(), "{}")
    Path(os.environ["REPLY"]).with_name("vendor.py").write_text("import time; time.sleep(600)")
    monkeypatch.setenv("NRF_DEPLOY_TIMEOUT", "0.2")
    found = bad(run_lava, "SDK-TIMEOUT")
    assert "0.2 s" in found.what
    assert "NRF_DEPLOY_TIMEOUT" in found.fix


@pytest.mark.parametrize("stated", ["soon", "0", "-1", "nan", "inf"])
def test_patience_that_is_no_time_is_a_misuse(
    stated: str, vendor: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from nrf_deploy.diagnostics.findings import UsageError

    vendor(lava_reply(), "{}")
    monkeypatch.setenv("NRF_DEPLOY_TIMEOUT", stated)
    with pytest.raises(UsageError, match="TIMEOUT-VALUE"):
        run_lava()
