"""Vendor environments: found, built once and whole, and called without trusting them.

The vendors here are scripts of a few lines, run by the interpreter of the tests.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nrf_deploy.diagnostics.findings import Finding, MissingError
from nrf_deploy.engines.sdk import environments
from nrf_deploy.engines.sdk.environments import (
    find_python,
    folder,
    install,
    installed_python,
    status,
)
from nrf_deploy.engines.sdk.reply import Expected, Numbers, Upto
from nrf_deploy.engines.sdk.sdk import Sdk
from nrf_deploy.engines.sdk.worker import call, run_worker

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

ANSWER = """
import json, sys
from pathlib import Path
import numpy as np
asked, answered = map(Path, sys.argv[1:])
request = json.loads((asked / "request.json").read_text())
with np.load(asked / "arrays.npz") as given:
    np.savez(answered / "arrays.npz", twice=given["x"] * 2)
"""


TWICE = Expected({}, {"twice": Numbers((Upto("n", 10),))})


@pytest.fixture
def work(tmp_path: Path) -> Callable[..., Any]:
    """Run a worker of these lines on a small request; its reply has the form `form`."""

    def run(text: str, timeout_s: float = 60.0, form: Any = TWICE.form) -> Any:
        script = tmp_path / "vendor.py"
        script.write_text(textwrap.dedent(text))
        arrays = {"x": np.arange(3)}
        expected = Expected(form, TWICE.arrays)
        python = Path(sys.executable)
        return run_worker("acme", python, script, {"n": 1}, expected, arrays, timeout_s)

    return run


def failure(run: Callable[[], Any]) -> Finding:
    with pytest.raises(MissingError) as failed:
        run()
    (finding,) = failed.value.findings
    return finding


# --- a worker that works ----------------------------------------------------


def test_a_request_goes_in_and_a_reply_comes_out(work: Callable[..., Any]) -> None:
    reply, arrays = work(
        ANSWER + "(answered / 'reply.json').write_text(json.dumps({'n': request['n'] + 1}))",
        form={"n": int},
    )
    assert reply == {"n": 2}
    assert arrays["twice"].tolist() == [0, 2, 4]


def test_a_worker_sees_neither_our_packages_nor_the_files_beside_it(
    work: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lava.py").write_text("raise SystemExit('the wrong lava')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    reply, _ = work(
        ANSWER
        + """
import os
found = sorted(p.name for p in Path(__file__).parent.iterdir())
said = {"path": [p for p in sys.path if "vendor" in p], "beside": found,
        "environ": os.environ.get("PYTHONPATH")}
try:
    import lava
except ImportError:
    said["lava"] = "not found"
(answered / "reply.json").write_text(json.dumps(said))
""",
        form={"path": [str], "beside": [str], "environ": object, "lava": str},
    )
    assert reply == {"path": [], "beside": ["worker.py"], "environ": None, "lava": "not found"}


# --- a worker that fails -------------------------------------------------------


def test_a_refusal_is_passed_on_in_the_workers_words(work: Callable[..., Any]) -> None:
    refused = {"refused": {"what": "too wide", "why": "64 at most", "fix": "split it"}}
    finding = failure(
        lambda: work(ANSWER + f"(answered / 'reply.json').write_text(json.dumps({refused!r}))")
    )
    assert (finding.code, finding.why, finding.fix) == ("SDK-REFUSED", "64 at most", "split it")
    assert finding.what == "acme refused: too wide"


def test_an_exception_is_a_crash_with_its_last_words(work: Callable[..., Any]) -> None:
    finding = failure(lambda: work("raise RuntimeError('the chip is on fire')"))
    assert finding.code == "SDK-CRASHED"
    assert "exit code 1" in finding.what
    assert "the chip is on fire" in finding.why


def test_a_segmentation_fault_names_the_signal(work: Callable[..., Any]) -> None:
    finding = failure(
        lambda: work(
            """
            import os, resource, signal
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.kill(os.getpid(), signal.SIGSEGV)
            """
        )
    )
    assert finding.code == "SDK-CRASHED"
    assert "SIGSEGV" in finding.what


def alive(pid: int) -> bool:
    """Return whether a process runs; a zombie that nobody waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_worker_that_hangs_ends_with_all_its_children(
    work: Callable[..., Any], tmp_path: Path
) -> None:
    note = tmp_path / "child"
    for timeout_s in (1.5, 6.0, 24.0, 96.0):  # a busy machine needs longer to start the child
        finding = failure(
            lambda: work(
                f"""
                import os, pathlib, signal, subprocess, sys, time
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
                pathlib.Path({str(note)!r} + ".new").write_text(str(child.pid))
                os.rename({str(note)!r} + ".new", {str(note)!r})
                time.sleep(600)
                """,
                timeout_s=timeout_s,  # noqa: B023
            )
        )
        assert finding.code == "SDK-TIMEOUT"
        assert f"{timeout_s:g} s" in finding.what
        if note.exists():
            break
    child = int(note.read_text())
    for _ in range(2400):
        if not alive(child):
            break
        time.sleep(0.05)
    assert not alive(child)


def test_children_do_not_outlive_a_worker_that_ends_well(
    work: Callable[..., Any],
) -> None:
    reply, _ = work(
        ANSWER
        + """
import subprocess
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
(answered / "reply.json").write_text(json.dumps({"child": child.pid}))
""",
        form={"child": int},
    )
    assert not alive(reply["child"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("print('hello')", "lacks the file reply.json"),
        (ANSWER + "(answered / 'reply.json').write_text('{oops')", "cannot be read"),
        (ANSWER + "(answered / 'reply.json').write_bytes(b'\\xff\\xfe\\x00')", "cannot be read"),
        (ANSWER + "(answered / 'reply.json').write_text('[1]')", "not a JSON object"),
        (
            ANSWER
            + "(answered / 'reply.json').write_text('{}')\n"
            + "(answered / 'arrays.npz').write_bytes(b'garbage')",
            "has arrays that cannot be read",
        ),
        (
            ANSWER
            + "(answered / 'reply.json').write_text('{}')\n"
            + "np.savez(answered / 'arrays.npz', twice=np.array([{}], dtype=object))",
            "has arrays that cannot be read",
        ),
    ],
    ids=["nothing", "half-json", "bytes", "list", "no-zip", "pickle"],
)
def test_a_garbled_reply_is_said_to_be_one(work: Callable[..., Any], text: str, said: str) -> None:
    finding = failure(lambda: work(text))
    assert finding.code == "SDK-REPLY-BAD"
    assert said in finding.what


def test_an_interpreter_that_is_gone_is_a_finding(tmp_path: Path) -> None:
    script = tmp_path / "vendor.py"
    script.write_text("")
    finding = failure(
        lambda: run_worker("acme", tmp_path / "python", script, {}, Expected(), {}, 60.0)
    )
    assert finding.code == "SDK-CRASHED"
    assert "cannot be run" in finding.what


# --- environments ------------------------------------------------------------


@pytest.fixture
def sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sdk:
    """Return a vendor without packages, with a separate cache."""
    monkeypatch.setenv("NRF_DEPLOY_CACHE", str(tmp_path / "cache"))
    requirements, worker = tmp_path / "requirements.txt", tmp_path / "vendor.py"
    requirements.write_text("# nothing\n")
    worker.write_text(ANSWER + "(answered / 'reply.json').write_text('{}')")
    return Sdk("acme", "a test", VERSION, requirements, worker)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set up a machine without any Python: an empty PATH (returned), pyenv and home."""
    path = tmp_path / "bin"
    path.mkdir()
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    return path


def command(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_the_cache_is_where_the_user_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NRF_DEPLOY_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert environments.cache() == tmp_path / "nrf-deploy"
    monkeypatch.setenv("NRF_DEPLOY_CACHE", str(tmp_path / "own"))
    assert environments.cache() == tmp_path / "own"


def test_an_interpreter_is_taken_only_if_it_runs_and_is_what_it_says(bare: Path) -> None:
    command(bare / f"python{VERSION}", "echo 'shim: version not installed' >&2; exit 127")
    assert find_python(VERSION).python is None
    command(bare / f"python{VERSION}", "echo 2.7; echo /usr/bin/python")
    assert find_python(VERSION).python is None
    command(bare / f"python{VERSION}", f'exec {sys.executable} "$@"')
    assert find_python(VERSION).python == Path(sys.executable)


def test_pyenv_is_asked_after_path_and_its_newest_patch_is_taken(
    bare: Path, tmp_path: Path
) -> None:
    for patch in ("9", "10"):
        home = tmp_path / "pyenv" / "versions" / f"{VERSION}.{patch}"
        command(home / "bin" / "python", f"echo {VERSION}; echo {home}")
    found = find_python(VERSION)
    assert found.python == tmp_path / "pyenv" / "versions" / f"{VERSION}.10"
    assert len(found.looked) == 2


def test_uv_is_asked_last(bare: Path) -> None:
    command(bare / "uv", f"test \"$*\" = 'python find {VERSION}' && echo {sys.executable}")
    found = find_python(VERSION)
    assert found.python == Path(sys.executable)
    assert len(found.looked) == 3


def test_without_an_interpreter_it_is_said_what_was_looked_for(bare: Path, sdk: Sdk) -> None:
    finding = failure(lambda: install(sdk))
    assert finding.code == "SDK-PYTHON-MISSING"
    for place in (f"python{VERSION} on PATH", "pyenv", f"uv python find {VERSION}"):
        assert place in finding.why
        assert place in status(sdk).todo


def test_an_environment_is_built_once_and_called(sdk: Sdk, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = failure(lambda: call(sdk, {}, Expected()))
    assert missing.code == "SDK-MISSING"
    assert missing.fix == "nrf-deploy sdk install acme"

    told: list[str] = []
    monkeypatch.setattr(environments, "find_python", here)
    python = install(sdk, told.append)
    assert told
    assert status(sdk).installed
    assert status(sdk).todo == ""
    monkeypatch.setattr(environments, "_build", None)
    assert install(sdk) == python

    crashed = failure(lambda: call(sdk, {}, Expected()))
    assert crashed.code == "SDK-CRASHED"
    assert "numpy" in crashed.why


def here(version: str) -> environments.Search:
    return environments.Search(Path(sys.executable), ("here",))


def test_a_build_that_was_broken_off_is_no_environment(
    sdk: Sdk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "find_python", here)
    sdk.requirements.write_text("no such requirement, certainly\n")
    finding = failure(lambda: install(sdk))
    assert finding.code == "SDK-INSTALL-FAILED"
    assert "requirement" in finding.why.lower()
    assert installed_python(sdk) is None
    assert (folder(sdk) / "bin" / "python").exists()


def test_other_requirements_or_another_python_make_another_environment(sdk: Sdk) -> None:
    before = folder(sdk)
    other = Sdk(sdk.name, sdk.about, "9.9", sdk.requirements, sdk.worker)
    assert folder(other) != before
    sdk.requirements.write_text("# other\n")
    assert folder(sdk) != before


def test_a_second_install_waits_for_the_first(sdk: Sdk, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process holds the lock, install does nothing but wait."""
    lock = folder(sdk).with_name(folder(sdk).name + ".lock")
    lock.parent.mkdir(parents=True)
    monkeypatch.setattr(environments, "_build", lambda *_: pytest.fail("built under a lock"))

    def give_up(*_: object) -> None:
        raise TimeoutError("still waiting")

    previous = signal.signal(signal.SIGALRM, give_up)
    try:
        with lock.open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(TimeoutError, match="still waiting"):
                install(sdk)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def test_a_cache_that_cannot_be_written_is_a_finding(
    sdk: Sdk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NRF_DEPLOY_CACHE", os.fspath(tmp_path / "file"))
    finding = failure(lambda: install(sdk))
    assert finding.code == "SDK-INSTALL-FAILED"
    assert "NRF_DEPLOY_CACHE" in finding.fix
