"""Files of event cameras: their formats, and their events packet by packet.

| format | recognised by | decoded by |
|---|---|---|
| Prophesee EVT2, EVT3 (.raw) | a header of lines with % that names evt or format | faery |
| Prophesee DAT (.dat) | a header of lines with % | numpy |
| AEDAT 2.0, 3.1 (.aedat) | #!AER-DAT2.0, #!AER-DAT3.1 | numpy (aedat.py) |
| AEDAT4 (.aedat4) | #!AER-DAT4.0 | faery |
| Event Stream (.es) | "Event Stream" | faery |
| DSEC, Prophesee, SHD (.h5) | the names in an HDF5 file | h5py, in a process of its own |
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, InputError, UsageError, error, info, warning

from ..archive import DamagedError
from ..files import reading
from . import aedat, dat, evt, hdf5
from .decoder import Decoding
from .sensor import Columns

MAGIC = {b"#!AER-DAT": "AEDAT4", b"Event Stream": "ES", b"%": "%"}
SUFFIXES = (".raw", ".dat", ".aedat", ".aedat4", ".es")
ES_HEADER = 20  # bytes
AEDAT2, AEDAT3 = "AEDAT 2.0", "AEDAT 3.1"
IDLE = (0xFE, 0xFF)  # bytes of .es that are not an event


@dataclass
class Camera:
    """A camera's file. `packets` may be called again; `findings` and `words` are those of the
    last call, and complete when its packets are used up."""

    path: Path
    form: str  # "EVT3"
    head: evt.Header | None = None
    size: tuple[int, int] | None = None  # width, height, where the file states them
    layout: str = ""  # of an address of AEDAT 2.0
    sample: int = 0  # of a file of many recordings
    words: evt.Words = field(default_factory=evt.Words)
    findings: list[Finding] = field(default_factory=list)
    _last: int = 0  # time of the last event

    @property
    def flat(self) -> bool:
        """True if the events have numbers of channels in place of pixels and polarities."""
        return self.form == hdf5.SHD

    def packets(self) -> Generator[Columns]:
        self.words, self.findings, self._last = evt.Words(), [], 0
        if self.form.startswith("DAT"):
            with reading(self.path) as stream:
                assert self.head is not None
                yield from self._held_to_size(dat.chunks(stream, self.head, self.words))
        elif self.form.startswith("EVT"):
            yield from self._words_and_events()
        elif self.form in (AEDAT2, AEDAT3):
            yield from self._aedat()
        elif self.form in hdf5.FORMS:
            yield from self._held_to_size(hdf5.packets(self.path, self.form, self.sample))
        else:
            body = self.path.stat().st_size - ES_HEADER
            for packet in self._decoded("aedat" if self.form == "AEDAT4" else "es"):
                body -= _es_bytes(packet, self._last)
                self._last = int(packet["t"][-1])
                yield packet
            if self.form == "ES":
                _demand_whole_es(self.path, body)

    def _held_to_size(self, packets: Iterator[Columns]) -> Generator[Columns]:
        for packet in packets:
            if self.size is not None and len(packet["t"]):
                for name, limit in zip("xy", self.size, strict=True):
                    if (worst := int(packet[name].max())) >= limit:
                        raise DamagedError(
                            f"has an event at {name} = {worst}; its sensor is "
                            f"{self.size[0]} x {self.size[1]}"
                        )
            yield packet

    def _aedat(self) -> Generator[Columns]:
        left = aedat.Left()
        with reading(self.path) as stream:
            if self.form == AEDAT3:
                yield from aedat.version3(stream, left)
            else:
                yield from aedat.version2(stream, aedat.LAYOUTS[self.layout], left)
        if left.count:
            parts = ", ".join(f"{n:,} {kind}" for kind, n in sorted(left.count.items()))
            what = f"{self.path} also holds {parts} events, which are left out"
            self.findings.append(info("RECORDING-OTHER-EVENTS", what))

    def _decoded(self, form: str) -> Generator[Columns]:
        decoding = Decoding(form, self.path)
        try:
            if form != "evt":
                self.size = decoding.size
            yield from self._held_to_size(decoding.packets())
        finally:
            decoding.close()

    def _words_and_events(self) -> Generator[Columns]:
        assert self.head is not None
        version = self.form[3:]
        with reading(self.path) as stream:
            evt.demand_whole(stream, self.head.length, version)
            start = evt.count_words(stream, self.head.length, version, to_the_clock=True)
            early, decoded, time = start.early, 0, 0
            for packet in self._decoded("evt"):
                decoded += len(packet["t"])
                time = int(packet["t"][-1])
                skip = min(early, len(packet["t"]))
                early -= skip
                if skip < len(packet["t"]):
                    yield {name: column[skip:] for name, column in packet.items()}
            self.words = evt.count_words(stream, self.head.length, version)
        self.findings += self._judge(version, decoded, time)

    def _judge(self, version: str, decoded: int, time: int) -> Iterator[Finding]:
        """Yield findings from comparing the words with the decoded events."""
        words = self.words
        if words.unknown:
            kinds = ", ".join(f"{count:,} of type {n}" for n, count in words.unknown.items())
            raise DamagedError(f"holds words that {self.form} does not know: {kinds}")
        if decoded != words.events:
            raise DamagedError(
                f"holds {words.events:,} events, and {decoded:,} could be decoded: "
                "the others lie beyond the edge of its sensor"
            )
        assert self.head is not None
        if words.early:
            yield warning(
                "RECORDING-CLOCK-UNKNOWN",
                f"{words.early:,} events of {self.path} come before the first word of the clock "
                "and are left out",
                why="when they happened is not in the file",
            )
        if words.backward and version == "2":
            raise DamagedError(
                f"has a clock that goes back {words.backward:,} times, which the decoder takes "
                "for turns of 4.8 hours"
            )
        if words.backward:
            yield warning(
                "RECORDING-CLOCK-BACK",
                f"the clock of {self.path} goes back {words.backward:,} times by 4096 us or more",
                why="the decoder holds the time there until the clock has caught up",
                fix="check how it was recorded: packets may have been lost or repeated",
            )
        if words.stalls:
            yield info(
                "RECORDING-CLOCK-HELD",
                f"the clock of {self.path} goes back {words.stalls:,} times, by up to "
                f"{words.furthest} us; the time is held there until it has caught up",
            )
        exact = not words.backward and "t0" not in self.head.fields
        if decoded and exact and time >> evt.LOW_BITS[version] != words.last:
            raise DamagedError("has a clock that the decoder does not follow: it leaps")


def recognise(stream: BinaryIO, path: Path, layout: str | None = None) -> Camera | None:
    """Identify a camera's file by its first bytes; None if they are not a camera's."""
    stream.seek(0)
    first = stream.read(16)
    form = next((f for magic, f in MAGIC.items() if first.startswith(magic)), None)
    if form == "AEDAT4":
        return _aedat(stream, path, first, layout)
    if form == "ES":
        _demand_dvs(stream, path)
    if form == "%" and path.suffix.lower() not in (".csv", ".bin"):
        return _prophesee(stream, path)
    return None if form in (None, "%") else Camera(path, str(form))


def _aedat(stream: BinaryIO, path: Path, first: bytes, layout: str | None) -> Camera:
    version = first[len(b"#!AER-DAT") :].split(b"\n")[0].strip().decode("ascii", "replace")
    if first.startswith(b"#!AER-DAT4.0\r\n"):
        return Camera(path, "AEDAT4")
    if version == "3.1":
        return Camera(path, AEDAT3)
    if version != "2.0":
        raise other_kind(path, f"AER-DAT{version:.8}", "AER-DAT2.0, AER-DAT3.1 and AER-DAT4.0")
    layout = layout or _chip(stream)
    if layout is None:
        what = f"{path} does not state the chip, which decides the bits of x, y and polarity"
        fix = f"give --layout {'|'.join(aedat.LAYOUTS)}"
        raise UsageError(error("RECORDING-LAYOUT-MISSING", what, fix=fix))
    if layout not in aedat.LAYOUTS:
        what = f"the layout {layout!r:.40} is not one of an address of AEDAT 2.0"
        fix = f"give --layout {'|'.join(aedat.LAYOUTS)}"
        raise UsageError(error("RECORDING-LAYOUT", what, fix=fix))
    return Camera(path, AEDAT2, size=aedat.LAYOUTS[layout].size, layout=layout)


def _chip(stream: BinaryIO) -> str | None:
    """Return the layout of the chip that the header names, such as "DAVIS346B"."""
    length = aedat.header(stream, None)
    stream.seek(0)
    for line in stream.read(length).decode("ascii", "replace").splitlines():
        if "aechip" in line.lower():
            return next((name for name in aedat.LAYOUTS if name in line.lower()), None)
    return None


def other_kind(path: Path, what: str, known: str) -> InputError:
    """Return the refusal of a whole file of a format or a version that is not read."""
    return InputError(
        error(
            "RECORDING-UNKNOWN",
            f"{path} is a file of {what}",
            why=f"of these formats {known} are read",
            fix="decode the file and save t, x, y, p with numpy.savez",
        )
    )


def _prophesee(stream: BinaryIO, path: Path) -> Camera:
    head = evt.header(stream)
    version = head.version()
    if version is None and path.suffix.lower() == ".dat":
        return Camera(path, "DAT", head, head.size())
    if version is None:
        raise DamagedError("has a header that names no version of EVT")
    form = version.removesuffix(".0")
    if form not in evt.WORD_BYTES:
        raise other_kind(path, f"EVT {version:.20}", "EVT 2.0 and 3.0")
    return Camera(path, f"EVT{form}", head, head.size())


def _demand_dvs(stream: BinaryIO, path: Path) -> None:
    stream.seek(len(b"Event Stream"))
    rest = stream.read(8)
    if len(rest) < 8:
        raise DamagedError("was cut short in its header")
    if rest[0] != 2:
        raise other_kind(path, f"Event Stream version {rest[0]}", "version 2 with DVS events")
    if rest[3] != 1:
        kinds = {0: "generic", 2: "ATIS", 3: "AMD", 4: "color"}
        kind = kinds.get(rest[3], f"type {rest[3]}")
        raise other_kind(path, f"Event Stream with {kind} events", "version 2 with DVS events")


def _es_bytes(packet: Columns, last: int) -> int:
    """Return the bytes of these events in an .es file: 5 each, and 1 for each 127 us between."""
    pause = np.diff(packet["t"], prepend=last)
    return 5 * len(pause) + int((pause // 127).sum())


def _demand_whole_es(path: Path, rest: int) -> None:
    """Refuse bytes after the last event, except those that only advance the clock."""
    if rest <= 0:
        return
    with reading(path) as stream:
        stream.seek(-min(rest, 5), os.SEEK_END)
        tail = stream.read()
    if any(byte not in IDLE for byte in tail) and rest < 5:
        raise DamagedError(f"was cut short: an event takes 5 bytes, and {rest} are left over")


def whole(camera: Camera, limit: int) -> dict[str, np.ndarray]:
    """Read all events at once, in at most `limit` bytes."""
    from ..archive import TooLargeError

    parts: list[Columns] = []
    total = 0
    for packet in camera.packets():
        parts.append(packet)
        total += sum(column.nbytes for column in packet.values())
        if total > limit:
            raise TooLargeError(f"holds more events than {limit:,} bytes take")
    empty = np.zeros(0, np.int64)
    return {name: np.concatenate([empty, *(p[name] for p in parts)]) for name in "txyp"}


def is_camera(head: bytes, suffix: str) -> bool:
    """Return whether the first bytes or the suffix are those of a camera's file."""
    return head.startswith(tuple(MAGIC)) or suffix.lower() in SUFFIXES
