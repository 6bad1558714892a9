"""Files of cameras: headers, words and packets; some are decoded by faery, where it is there."""

from __future__ import annotations

import importlib.util
import struct

from . import recordings
from .case import MISSING, Box, Case, Family
from .values import FLOATS, TEXTS, Rng, chance, damaged, integer, pick

FAERY = importlib.util.find_spec("faery") is not None


def damaged_bytes(box: Box) -> Case:
    """Change bytes of a file that a camera or our tests wrote."""
    sample = pick(box.rng, box.samples.cameras)
    data = damaged(box.rng, sample.read_bytes())
    return _case(box, sample.name, data, f"{sample.name}: bytes")


def headers(box: Box) -> Case:
    """Draw lines of a header, before random words."""
    rng = box.rng
    suffix = pick(rng, ("raw", "dat"))
    lines = [b"% evt 2.0", b"% evt 3.0", b"% format EVT3;height=4;width=5", b"% geometry 5x4",
             b"% Width 5", b"% Height 4", b"% Version 2", b"% end"]  # fmt: skip
    lines = [pick(rng, lines) for _ in range(int(rng.integers(0, 5)))]
    for _ in range(int(rng.integers(0, 3))):
        key = pick(rng, ("geometry", "evt", "format", "Width", "Height", "x", "end", "t0"))
        value = pick(rng, (*TEXTS, "9" * 5000, f"{'9' * 5000}x1", "0x0", "-1x5", "70000x70000",
                           f"EVT3;height={integer(rng)};width=5", str(integer(rng)), "³x4",
                           "1x2x3", str(pick(rng, FLOATS)), "height=;width="))  # fmt: skip
        lines.append(f"% {key} {value}".encode("utf-8", "surrogatepass"))
    ends = pick(rng, (b"\n", b"\n", b"\r\n", b""))
    body = rng.bytes(int(pick(rng, (0, 3, 8, 200))))
    if suffix == "dat" and chance(rng, 0.8):
        body = bytes([int(pick(rng, (0, 12, 14, 99))), int(pick(rng, (8, 8, 0, 4)))]) + _dat(rng)
    data = ends.join(lines) + ends + body
    return _case(box, f"h.{suffix}", data, f".{suffix}: header {lines!r:.120}")


def _dat(rng: Rng) -> bytes:
    rows = [(int(rng.integers(2**32)), int(rng.integers(2**32))) for _ in range(30)]
    return b"".join(struct.pack("<II", *row) for row in rows)


def words(box: Box) -> Case:
    """Draw words behind a sound header: types, clocks that turn, places beyond the sensor."""
    rng = box.rng
    form = pick(rng, ("2", "3", "es", "dat"))
    count = int(rng.integers(1, 400))
    if form == "2":
        kinds = rng.choice([0, 1, 8, 10, 14], count, p=[0.4, 0.3, 0.25, 0.03, 0.02])
        data = (
            b"% evt 2.0\n" + (kinds << 28 | rng.integers(0, 2**28, count)).astype("<u4").tobytes()
        )
    elif form == "3":
        kinds = rng.choice([0, 2, 3, 4, 5, 6, 8, 7, 14], count)
        data = (
            b"% evt 3.0\n" + (kinds << 12 | rng.integers(0, 2**12, count)).astype("<u2").tobytes()
        )
    elif form == "dat":
        data = b"% Version 2\n" + bytes([0, 8]) + _dat(rng)
    else:
        data = b"Event Stream" + bytes([2, 0, 0, 1]) + struct.pack("<HH", 5, 4) + rng.bytes(count)
    name = {"2": "w.raw", "3": "w.raw"}.get(form, f"w.{form}")
    return _case(box, name, data, f"{form}: {count} random words")


def _case(box: Box, name: str, data: bytes, about: str) -> Case:
    refusals = frozenset() if FAERY else frozenset({MISSING})
    return recordings.called(box, box.put(name, data), about, events=True, refusals=refusals)


FAMILIES = (
    Family("camera-bytes", "bytes of .raw, .dat, .aedat4, .es, .bin", damaged_bytes, 350, 5),
    Family("camera-headers", "headers of .raw and .dat", headers, 250, 12),
    Family("camera-words", "random words of EVT2, EVT3, .es, .dat", words, 200, 4),
)
