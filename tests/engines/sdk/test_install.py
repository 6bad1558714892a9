"""Vendors' environments: only what was named, with its hash, and nothing of the current folder."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nrf_deploy.cli.main import main
from nrf_deploy.compiler.target import targets
from nrf_deploy.diagnostics.findings import Finding, MissingError
from nrf_deploy.engines.sdk import environments
from nrf_deploy.engines.sdk.environments import (
    find_python,
    folder,
    importable,
    install,
    remove,
    status,
)
from nrf_deploy.engines.sdk.reply import Expected
from nrf_deploy.engines.sdk.sdk import Sdk
from nrf_deploy.engines.sdk.worker import call, run_worker
from nrf_peers import sdks
from nrf_speck.samna import client

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
WORKER = """
import acme, json, sys
from pathlib import Path
if __name__ == "__main__":
    (Path(sys.argv[2]) / "reply.json").write_text("{}")
"""


@pytest.fixture
def sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sdk:
    """Return a vendor whose one package is a local wheel; no index is used."""
    here = environments.Search(Path(sys.executable), ("here",))
    monkeypatch.setattr(environments, "find_python", lambda version: here)
    monkeypatch.setenv("NRF_DEPLOY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    (tmp_path / "wheels").mkdir()
    (tmp_path / "worker.py").write_text(WORKER)
    made = Sdk(
        "acme", "a test", VERSION, tmp_path / "requirements.txt", tmp_path / "worker.py",
        module="acme",
    )  # fmt: skip
    made.requirements.write_text(f"acme==1.0 --hash=sha256:{wheel(tmp_path, 'x = 1')}\n")
    return made


def wheel(tmp_path: Path, text: str) -> str:
    """Write a wheel of the module acme with this text; return its hash."""
    path = tmp_path / "wheels" / "acme-1.0-py3-none-any.whl"
    info = "acme-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("acme.py", text)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def failure(run: Callable[[], object]) -> Finding:
    with pytest.raises(MissingError) as failed:
        run()
    assert failed.value.exit_code == 5
    (finding,) = failed.value.findings
    return finding


def test_nothing_of_the_current_folder_runs(
    sdk: Sdk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = tmp_path / "evil"
    evil.mkdir()
    note = tmp_path / "PWNED"
    for name in ("venv", "pip", "ensurepip", "json", "logging", "acme", "sitecustomize", "runpy"):
        text = f"open({str(note)!r}, 'a').write({name!r})\nraise SystemExit(9)\n"
        (evil / f"{name}.py").write_text(text)
    monkeypatch.chdir(evil)
    install(sdk)
    assert not note.exists()
    assert importable(sdk) is True
    assert call(sdk, {}, Expected())[0] == {}
    assert not note.exists()


def test_an_interpreter_of_the_current_folder_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / f"python{VERSION}"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    for path in (".", "", ":"):
        monkeypatch.setenv("PATH", path)
        assert find_python(VERSION).python is None


def test_a_package_with_another_hash_or_none_is_not_installed(sdk: Sdk, tmp_path: Path) -> None:
    sdk.requirements.write_text(f"acme==1.0 --hash=sha256:{'0' * 64}\n")
    found = failure(lambda: install(sdk))
    assert found.code == "SDK-INSTALL-FAILED"
    assert "hash" in found.why.lower()
    sdk.requirements.write_text("acme==1.0\n")
    found = failure(lambda: install(sdk))
    assert "hash" in found.why.lower()
    assert not status(sdk).installed


def test_a_source_package_is_not_built(sdk: Sdk, tmp_path: Path) -> None:
    import tarfile

    note, source = tmp_path / "PWNED", tmp_path / "acme-1.0"
    source.mkdir()
    (source / "setup.py").write_text(f"open({str(note)!r}, 'w').write('x')")
    (source / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    packed = tmp_path / "wheels" / "acme-1.0.tar.gz"
    (tmp_path / "wheels" / "acme-1.0-py3-none-any.whl").unlink()
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(source, "acme-1.0")
    held = hashlib.sha256(packed.read_bytes()).hexdigest()
    sdk.requirements.write_text(f"acme==1.0 --hash=sha256:{held}\n")
    assert failure(lambda: install(sdk)).code == "SDK-INSTALL-FAILED"
    assert not note.exists()


EVERY = {
    f"{s.name}-{s.requirements.name}": s
    for s in (
        *(s for t in targets().values() for s in t.sdks),
        *(sdks.SANAFE, sdks.NENGO, sdks.SINABS, sdks.SCIPY),
    )
}


@pytest.mark.parametrize("name", EVERY)
def test_every_package_of_ours_is_named_with_its_version_and_its_hashes(name: str) -> None:
    text = EVERY[name].requirements.read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines
    for line in lines:
        one = r"[A-Za-z0-9_.-]+==[\w.+]+( ; [\w\s!=\".-]+?)?(\s+--hash=sha256:[0-9a-f]{64})+"
        assert re.fullmatch(one, line), line
    assert EVERY[name].module


# --- whether it can be imported -------------------------------------------------------


def test_what_cannot_be_imported_is_said_when_it_is_installed(sdk: Sdk, tmp_path: Path) -> None:
    text = "raise ImportError('libacme.so.9: cannot open shared object file')"
    sdk.requirements.write_text(f"acme==1.0 --hash=sha256:{wheel(tmp_path, text)}\n")
    found = failure(lambda: install(sdk))
    assert found.code == "SDK-NOT-IMPORTABLE"
    assert "libacme.so.9" in found.why
    told = status(sdk)
    assert (told.installed, told.importable, told.usable) == (True, False, False)
    assert "sdk install acme" in told.todo
    place = next(folder(sdk).glob("lib/python*/site-packages/acme.py"))
    place.write_text("x = 1")
    install(sdk)
    assert status(sdk).importable is True


def test_a_worker_whose_sdk_is_not_importable_is_one_finding(sdk: Sdk) -> None:
    install(sdk)
    sdk.worker.write_text(
        "import json, sys, pathlib\n"
        'said = {"not_importable": {"module": "acme", "why": "no network"}}\n'
        'pathlib.Path(sys.argv[2], "reply.json").write_text(json.dumps(said))\n'
    )
    found = failure(lambda: call(sdk, {}, Expected()))
    assert (found.code, found.why) == ("SDK-NOT-IMPORTABLE", "no network")
    assert status(sdk).importable is False


@pytest.mark.skipif(importlib.util.find_spec("samna") is not None, reason="samna is here")
def test_samna_without_its_library_is_one_finding() -> None:
    """The package samna-new without a network: its import raises."""
    asked = {"action": "boards"}
    python = Path(sys.executable)
    found = failure(
        lambda: run_worker("samna-new", python, client.newer.worker, asked, Expected(), {}, 60.0)
    )
    assert found.code == "SDK-NOT-IMPORTABLE"
    assert "No module named 'samna'" in found.why
    assert "Traceback" not in found.text()


def test_one_that_was_installed_before_is_tried_by_the_doctor(
    sdk: Sdk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from nrf_deploy.api import installed

    class Acme:
        sdks = (sdk,)

    monkeypatch.setattr(installed, "installed", lambda: {"acme": Acme})
    install(sdk)
    (folder(sdk) / environments.IMPORTED).unlink()
    assert main(["sdk", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sdks"][0]["importable"] is None
    assert main(["sdk", "list"]) == 0
    assert "not tried" in capsys.readouterr().out
    assert main(["sdk", "doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sdks"][0]["importable"] is True
    next(folder(sdk).glob("lib/python*/site-packages/acme.py")).unlink()
    (folder(sdk) / environments.IMPORTED).unlink()
    assert main(["sdk", "doctor"]) == 5
    assert "cannot be imported" in capsys.readouterr().out


@pytest.mark.parametrize("action", ["list", "doctor"])
def test_a_name_shows_that_sdk_alone(
    action: str, sdk: Sdk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from nrf_deploy.api import installed

    class Acme:
        sdks = (sdk, replace(sdk, name="other", optional=True))

    monkeypatch.setattr(installed, "installed", lambda: {"acme": Acme})
    main(["sdk", action, "--json"])
    assert len(json.loads(capsys.readouterr().out)["sdks"]) == 2
    main(["sdk", action, sdk.name, "--json"])
    assert [row["sdk"] for row in json.loads(capsys.readouterr().out)["sdks"]] == [sdk.name]


# --- removing ------------------------------------------------------------------------------


def test_an_sdk_is_removed_with_its_older_environments_and_nothing_else(
    sdk: Sdk, tmp_path: Path
) -> None:
    install(sdk)
    parent = folder(sdk).parent
    old, other, near = (parent / n for n in ("acme-0123456789ab", "acme-new-0123456789ab", "acme"))
    for place in (old, other, near):
        place.mkdir()
    assert remove(sdk) == sorted([old, folder(sdk)])
    assert not folder(sdk).exists()
    assert not old.exists()
    assert other.exists()
    assert near.exists()
    assert not status(sdk).installed
    assert remove(sdk) == []
    assert remove(replace(sdk, name="nothing")) == []


def test_the_verb_removes_by_name_only(
    sdk: Sdk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from nrf_deploy.api import installed

    class Acme:
        sdks = (sdk,)

    monkeypatch.setattr(installed, "installed", lambda: {"acme": Acme})
    place = folder(sdk)
    place.mkdir(parents=True)
    assert main(["sdk", "remove"]) == 2
    assert place.exists()
    assert "SDK-NAME-MISSING" in capsys.readouterr().err
    assert main(["sdk", "remove", "acme", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] == [str(place)]
    assert main(["sdk", "remove", "acme"]) == 0
    assert "not installed" in capsys.readouterr().out
