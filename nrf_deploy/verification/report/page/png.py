"""PNG pictures of few colours, as small as possible."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence

import numpy as np

from nrf_deploy.ir.network import Array

Colour = tuple[int, int, int, int]  # red, green, blue, and how opaque


def png(pixels: Array, colours: Sequence[Colour]) -> bytes:
    """Encode `pixels` (rows, columns), which are indices of at most 16 `colours`."""
    if len(colours) > 16 or pixels.min(initial=0) < 0 or pixels.max(initial=0) >= len(colours):
        raise ValueError("a pixel is outside of the colours; expected 0 to 15")
    rows, columns = pixels.shape
    padded = np.zeros((rows, columns + columns % 2), np.uint8)
    padded[:, :columns] = pixels
    packed = padded[:, 0::2] << 4 | padded[:, 1::2]
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), packed], axis=1)
    palette = b"".join(bytes(c[:3]) for c in colours)
    opacity = bytes(c[3] for c in colours)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (
            _chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 4, 3, 0, 0, 0)),
            _chunk(b"PLTE", palette),
            _chunk(b"tRNS", opacity),
            _chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)),
            _chunk(b"IEND", b""),
        )
    )


def data_uri(pixels: Array, colours: Sequence[Colour]) -> str:
    return "data:image/png;base64," + base64.b64encode(png(pixels, colours)).decode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)
