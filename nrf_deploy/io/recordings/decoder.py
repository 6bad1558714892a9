"""Decoding of events in a separate process, packet by packet: by faery, or from HDF5."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import select
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from nrf_deploy.diagnostics.findings import MissingError, error

from .. import processes
from ..archive import DamagedError
from ..toml_json import parse_json
from .sensor import LATEST, Columns

WORKER = Path(__file__).with_name("faery_worker.py")
HDF5 = Path(__file__).with_name("hdf5_worker.py")
EVENT = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])
END = (1 << 64) - 1
MOST = 1 << 26  # events of one packet
MOST_READ = 1 << 20  # bytes at once
PATIENCE_S = 120.0  # for one packet
LOG_BYTES = 1 << 24


class Decoding:
    """One run of the worker: the sensor's size, then the packets. Close it to end it early."""

    def __init__(self, form: str, path: Path, worker: Path | None = None, *more: str) -> None:
        if worker is None:
            demand_faery(path)
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        self._patience = processes.patience(PATIENCE_S)
        self._worker = processes.start(
            [sys.executable, "-P", str(worker or WORKER), form, os.path.abspath(path), *more],
            file_limit=LOG_BYTES,
            stdout=subprocess.PIPE,
            stderr=self._said,
            environ={**os.environ, "RUST_BACKTRACE": "0"},
        )
        assert self._worker.stdout is not None
        self._stream: IO[bytes] = self._worker.stdout
        try:
            self.head = self._header()
        except BaseException:
            self.close()
            raise

    def packets(self) -> Iterator[Columns]:
        while (count := struct.unpack("<Q", self._take(8))[0]) != END:
            if count > MOST:
                raise DamagedError(f"was decoded to a packet of {count:,} events")
            events = np.frombuffer(self._take(count * EVENT.itemsize), EVENT)
            if count and not (events["t"].min() >= 0 and events["t"].max() < LATEST):
                raise DamagedError(f"has times that are not from 0 to {LATEST:,} us")
            if count:
                yield {name: events[name].astype(np.int64) for name in "txyp"}

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.close()
        processes.end(self._worker, grace_s=0)
        self._said.close()

    @property
    def size(self) -> tuple[int, int] | None:
        """The width and height of the sensor, if the file states them."""
        size = self.head.get("size")
        return None if size is None else (int(size[0]), int(size[1]))

    def _header(self) -> dict[str, Any]:
        line = b""
        while len(line) < 4096 and not line.endswith(b"\n"):
            line += self._take(1)
        if not line.endswith(b"\n"):
            raise self._failed()
        stated: dict[str, Any] = parse_json(line)
        return stated

    def _take(self, length: int) -> bytearray:
        """Return the next bytes, which must arrive within the time limit for one packet."""
        data, handle = bytearray(), self._stream.fileno()
        until = time.monotonic() + self._patience
        while len(data) < length:
            if not select.select([handle], [], [], max(until - time.monotonic(), 0))[0]:
                raise DamagedError(
                    f"could not be decoded: the decoder sent nothing in {self._patience:g} s "
                    f"({processes.PATIENCE}=SECONDS waits longer)"
                )
            part = os.read(handle, min(length - len(data), MOST_READ))
            if not part:
                raise self._failed()
            data += part
        return data

    def _failed(self) -> DamagedError:
        try:
            code = self._worker.wait(self._patience)
        except subprocess.TimeoutExpired:
            return DamagedError("could not be decoded to its end: the decoder stopped half-way")
        self._said.seek(0)
        lines = self._said.read(1 << 16).decode("utf-8", "replace").strip().splitlines()
        why = lines[-1] if lines else f"it ended with code {code}"
        return DamagedError(f"could not be decoded to its end: {why:.200}")


def demand_faery(path: Path) -> None:
    if importlib.util.find_spec("faery") is not None:
        return
    raise MissingError(
        error(
            "RECORDING-DECODER-MISSING",
            f"{path} needs the decoder faery, which is not installed",
            why="it comes with the optional extra [recordings] (8 MB)",
            fix="pip install 'nrf-deploy[recordings]', or pip install faery",
        )
    )
