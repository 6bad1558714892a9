"""A lost output does not change the exit code, and control characters are escaped."""

from __future__ import annotations

import errno
import io
import subprocess
import sys
from pathlib import Path

import pytest

import nrf_loihi
from nrf_deploy.cli.main import main
from nrf_deploy.diagnostics import terminal

KIT = Path(nrf_loihi.__file__).parent / "kit" / "loihi.sparse"
GOOD = f"inspect {KIT / 'program.nrfb'}"
LACKING = "inspect nowhere.nrfb"
MISUSE = "inspect --bda"


def shell(words: str, to: str, **environ: str) -> subprocess.CompletedProcess[str]:
    line = f"{sys.executable} -m nrf_deploy {words} {to}"
    import os

    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        capture_output=True,
        text=True,
        env={**os.environ, **environ},
    )


@pytest.mark.parametrize(
    "to",
    [">&-", "> /dev/full", "2>&-", "2> /dev/full", ">&- 2>&-", "<&- >&- 2>&-", "2>&1 | true"],
)
@pytest.mark.parametrize(
    ("words", "code"), [(GOOD, 0), (f"{GOOD} --json", 0), (LACKING, 2), (MISUSE, 2), ("--help", 0)]
)
def test_output_that_goes_nowhere_keeps_the_exit_code(words: str, code: int, to: str) -> None:
    done = shell(words, to)
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_a_full_disk_is_said_in_one_line() -> None:
    done = shell(GOOD, "> /dev/full")
    assert done.stderr == "the output could not be written: No space left on device\n"


def test_a_file_is_not_mixed_with_an_output_that_was_closed(tmp_path: Path) -> None:
    """The first file that is opened would else be standard output."""
    outs = [tmp_path / name for name in ("a.npz", "b.npz")]
    words = f"run {KIT / 'program.nrfb'} --input {KIT / 'input.npz'} -o"
    for out, to in zip(outs, ("> /dev/null", ">&- 2>&-"), strict=True):
        shell(f"{words} {out}", to)
    assert outs[0].read_bytes() == outs[1].read_bytes()


def test_an_output_of_ascii_takes_every_name(tmp_path: Path) -> None:
    done = shell(f"inspect {tmp_path}/☃.nrfb", "", PYTHONIOENCODING="ascii")
    assert done.returncode == 2
    assert "u2603" in done.stderr


class Full(io.StringIO):
    """A stream that fails once it is flushed, as a full disk does."""

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_guarded_stream_takes_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()
    monkeypatch.setattr(sys, "stdout", Full())
    monkeypatch.setattr(sys, "stderr", told)
    with terminal.guarded():
        print("lost", flush=True)
        print("more \ud800")
    assert told.getvalue() == "the output could not be written: No space left on device\n"
    assert isinstance(sys.stdout, Full)


@pytest.mark.parametrize(
    "control", ["\x1b", "\x00", "\x07", "\x08", "\r", "\x7f", "\x9b", "\u202e", "\u2028", "\udc9b"]
)
def test_no_control_character_reaches_the_terminal(
    control: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with terminal.guarded():
        print(f"a{control}[2J\tb")
        print(f"a{control}[2J\tb", file=sys.stderr)
    escaped = f"a{repr(control)[1:-1]}[2J\tb\n"
    assert out.getvalue() == escaped
    assert err.getvalue() == (escaped if control != "\r" else "a\r[2J\tb\n")


def test_every_verb_prints_through_the_guard(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from nrf_deploy.cli import targets

    monkeypatch.setattr(targets, "run", lambda args: print("\x1b[31mred") or 0)
    assert main(["targets"]) == 0
    assert capsys.readouterr().out == "\\x1b[31mred\n"
