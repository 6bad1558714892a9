"""A file is written whole or not at all, and every refusal names the file and the reason."""

from __future__ import annotations

import errno
import os
import resource
import stat
from pathlib import Path
from typing import BinaryIO

import pytest

from nrf_deploy.diagnostics.findings import UsageError
from nrf_deploy.io.files import reading, write_atomically


def refused(path: Path, write=lambda stream: stream.write(b"new")) -> str:
    with pytest.raises(UsageError) as caught:
        write_atomically(path, write)
    (finding,) = caught.value.findings
    assert finding.code == "OUTPUT-UNWRITABLE"
    assert str(path) in finding.what
    assert finding.fix
    return finding.what


def test_the_file_holds_what_was_written_and_nothing_else_is_there(tmp_path):
    path = tmp_path / "out.bin"
    write_atomically(path, lambda stream: stream.write(b"first"))
    write_atomically(path, lambda stream: stream.write(b"second"))
    assert path.read_bytes() == b"second"
    assert os.listdir(tmp_path) == ["out.bin"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), ValueError("a bug"), SystemExit(1)])
def test_whatever_stops_the_writing_the_old_file_stays(tmp_path, stop):
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")

    def half(stream: BinaryIO) -> None:
        stream.write(b"half")
        raise stop

    with pytest.raises(type(stop)):
        write_atomically(path, half)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out.bin"]


def test_ctrl_c_during_the_rename_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "out.bin", lambda stream: stream.write(b"new"))
    assert os.listdir(tmp_path) == []


def test_a_file_the_system_cuts_short_is_refused(tmp_path):
    """A real refusal by the kernel in the middle of a write, as a full disk gives."""
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        what = refused(path, lambda stream: stream.write(bytes(1_000_000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "too large" in what
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out.bin"]


def test_a_full_disk_is_named(tmp_path):
    def full(stream: BinaryIO) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert "No space left" in refused(tmp_path / "out.bin", full)
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_missing_or_is_a_file_is_refused(tmp_path):
    assert "No such file" in refused(tmp_path / "missing" / "out.bin")
    (tmp_path / "file").write_bytes(b"")
    assert "Not a directory" in refused(tmp_path / "file" / "out.bin")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere: run the tests as a user")
def test_a_folder_closed_to_us_is_refused(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    assert "Permission denied" in refused(closed / "out.bin")


def test_a_folder_or_a_device_is_not_replaced(tmp_path):
    assert "is a folder" in refused(tmp_path)
    assert "not a regular file" in refused(Path(os.devnull))
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_permissions_follow_the_umask_and_stay_on_a_file_that_was_there(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"")
    old.chmod(0o640)
    umask = os.umask(0o027)
    try:
        for path in (old, new):
            write_atomically(path, lambda stream: stream.write(b"x"))
    finally:
        os.umask(umask)
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert stat.S_IMODE(new.stat().st_mode) == 0o640


def test_a_link_is_followed(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    link.symlink_to(real)
    write_atomically(link, lambda stream: stream.write(b"x"))
    assert link.is_symlink()
    assert real.read_bytes() == b"x"


def test_the_longest_name_that_the_system_allows_can_be_written(tmp_path):
    path = tmp_path / ("n" * 255)
    write_atomically(path, lambda stream: stream.write(b"x"))
    assert path.read_bytes() == b"x"


def test_what_cannot_be_read_is_a_usage_error(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reasons = {"missing": "no such file", ".": "is a folder", "pipe": "not a regular file"}
    for name, reason in reasons.items():
        with pytest.raises(UsageError, match=reason) as caught, reading(tmp_path / name):
            pass
        assert caught.value.findings[0].code == "INPUT-UNREADABLE"
