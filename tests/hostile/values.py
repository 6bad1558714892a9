"""Hostile numbers, texts, arrays and trees, and random damage to bytes."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
Rng = np.random.Generator

INTS = (
    0, -1, 1, 2, 3, 5, 7, 16, 63, 64, 65, 127, 128, 255, 256, 1000, 4095, 4096, 32767, 32768,
    65535, 65536, 65537, 10**6, 2**24, 2**26, 10**7, 2**28, 10**9, 2**31 - 1, 2**31, -(2**31),
    2**32, 2**33, 2**40, -(2**40), 2**53, 2**62, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64,
    10**30, -(10**30), 10**400,
)  # fmt: skip
FLOATS = (
    0.0, -0.0, 0.5, -1.5, 1e-3, 1e-30, 2e-309, 5e-324, 1e-300, 1e300, 1.7e308, -1e300, 3.4e38,
    1e39, 2.5, 1e6, 1e9, 1e15, 2.0**53, 2.0**63, float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
TEXTS = (
    "", " ", "x", "NaN", "0", "-1", "null", "true", "-o", "--json", "%s%n", "{}", "{0.__class__}",
    "'", '"', "\\", "\x00", "a\x00b", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x9b31m", "\r",
    "\n", "a\nb", "\t", "\x7f", "\x85", "\u2028", "\u202eabc", "\ud800", "\udc80x", "é", "名前",
    "\U0001f40d", "<script>alert(1)</script>", "<b onx=1>", '"><img src=x onx=1>', "]]>", "&amp;",
    "&#0;", "<!--", "javascript:onx", "../../x", "/etc/passwd", "a/b", "..", ".", "con", "~",
    "$(touch PWNED)", "`touch PWNED`", "__class__", "__proto__", "A" * 300, "B" * 70_000,
    "\u0301" * 50, "\ufeff", "\ufffe",
)  # fmt: skip
DTYPES = (
    "b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", ">i4", ">f8", "c8",
    "c16", "S3", "U3", "M8[s]", "m8[s]", "V4", "g",
)  # fmt: skip


def pick(rng: Rng, items: Sequence[T]) -> T:
    return items[int(rng.integers(len(items)))]


def chance(rng: Rng, probability: float) -> bool:
    return bool(rng.random() < probability)


def integer(rng: Rng, near: int | None = None) -> int:
    """Draw a hostile integer, often next to the old one."""
    if near is not None and chance(rng, 0.4):
        return int(pick(rng, (near + 1, near - 1, -near, 2 * near, near // 2, near * 1000)))
    if chance(rng, 0.15):
        return int(rng.integers(-(2**63), 2**63 - 1))
    if chance(rng, 0.3):
        return int(rng.integers(-3, 12))
    return pick(rng, INTS)


def number(rng: Rng, near: float | None = None) -> float:
    if near is not None and chance(rng, 0.3):
        return float(near * pick(rng, (-1.0, 0.0, 2.0, 1e3, 1e-3, 1e9)))
    return pick(rng, FLOATS)


def anything(rng: Rng, deep: int = 2) -> Any:
    """Draw a JSON value of any kind."""
    match int(rng.integers(9 if deep else 5)):
        case 0:
            return integer(rng)
        case 1:
            return number(rng)
        case 2:
            return pick(rng, TEXTS)
        case 3:
            return None
        case 4:
            return chance(rng, 0.5)
        case 5:
            return [anything(rng, deep - 1) for _ in range(int(rng.integers(4)))]
        case 6:
            return {pick(rng, TEXTS): anything(rng, deep - 1) for _ in range(int(rng.integers(3)))}
        case 7:
            return {"array": f"{int(rng.integers(4)):04d}"}
        case _:
            return nested(rng)


def nested(rng: Rng) -> Any:
    tree: Any = 0
    for _ in range(int(pick(rng, (3, 60, 400)))):
        tree = [tree]
    return tree


# --- trees as JSON has them -----------------------------------------------------

Slot = tuple[Any, Any]
"""A dict or a list, and the key or the index in it."""


def slots(tree: Any) -> list[Slot]:
    """Yield every place of a tree that can be replaced."""
    found: list[Slot] = []
    rest = [tree]
    while rest:
        held = rest.pop()
        keys = list(held) if isinstance(held, dict) else list(range(len(held)))
        for key in keys:
            found.append((held, key))
            if isinstance(held[key], dict | list):
                rest.append(held[key])
    return found


def mutate(rng: Rng, tree: Any, edits: int, among: Sequence[Slot] | None = None) -> str:
    """Change `count` places of a tree in place; return the changes in words."""
    done = []
    for _ in range(edits):
        every = slots(tree) if among is None else list(among)
        if every:
            done.append(_edit(rng, *pick(rng, every), every))
    return "; ".join(done)


def _edit(rng: Rng, held: Any, key: Any, every: Sequence[Slot]) -> str:
    if isinstance(held, list) and not (isinstance(key, int) and key < len(held)):
        return "nothing"
    if isinstance(held, dict) and key not in held:
        return "nothing"
    old = held[key]
    match int(rng.integers(10)):
        case 0:
            del held[key]
            return f"{key} deleted"
        case 1:
            other, at = pick(rng, every)
            if isinstance(other, list | dict) and _there(other, at):
                held[key] = _copy(other[at])
            return f"{key} = that of {at}"
        case 2:
            held[key] = anything(rng)
        case 3 if isinstance(held, dict):
            held[pick(rng, TEXTS)] = anything(rng)
            return f"a key beside {key}"
        case 3 | 4 if isinstance(old, list):
            held[key] = old * int(pick(rng, (0, 2, 3, 1000))) + [anything(rng)]
        case _:
            held[key] = alike(rng, old)
    return f"{key}: {old!r:.40} -> {held[key]!r:.60}"


def _there(held: Any, key: Any) -> bool:
    return key in held if isinstance(held, dict) else isinstance(key, int) and key < len(held)


def _copy(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {k: _copy(v) for k, v in tree.items()}
    return [_copy(v) for v in tree] if isinstance(tree, list) else tree


def alike(rng: Rng, old: Any) -> Any:
    """Draw a hostile value of the same kind."""
    if isinstance(old, bool):
        return not old
    if isinstance(old, int):
        return integer(rng, old)
    if isinstance(old, float):
        return number(rng, old)
    if isinstance(old, str):
        return pick(rng, (*TEXTS, old + pick(rng, TEXTS), old[:-1], old.upper()))
    if isinstance(old, list):
        return old[: int(rng.integers(len(old) + 1))] if chance(rng, 0.5) else [*old, *old]
    return anything(rng)


# --- bytes and arrays -----------------------------------------------------------


def damaged(rng: Rng, data: bytes, *, most: int = 12) -> bytes:
    """Change bytes by flips, cuts, repeats or other bytes."""
    held = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        if not held:
            break
        at = int(rng.integers(len(held)))
        length = int(pick(rng, (1, 2, 4, 8, 64)))
        match int(rng.integers(8)):
            case 0:
                del held[at:]
            case 1:
                del held[at : at + length]
            case 2:
                held[at:at] = rng.bytes(length)
            case 3:
                word = integer(rng) % 2**64
                held[at : at + 8] = word.to_bytes(8, pick(rng, ("little", "big")))
            case 4:
                other = int(rng.integers(len(held)))
                held[at : at + length] = held[other : other + length]
            case 5:
                held[at : at + length] = bytes([pick(rng, (0, 255, 128))]) * length
            case _:
                for _ in range(int(rng.integers(1, most))):
                    held[int(rng.integers(len(held)))] ^= 1 << int(rng.integers(8))
    return bytes(held)


def array(rng: Rng, old: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], str]:
    """Replace the array `old` by one of another dtype, shape or range."""
    if old.dtype.kind not in "biuf":
        return np.zeros(old.shape), "zeros"
    match int(rng.integers(9)):
        case 0:
            dtype = pick(rng, DTYPES)
            return _cast(old, dtype), f"dtype {dtype}"
        case 1:
            shape = shapes(rng, old.shape)
            return np.resize(old, shape), f"shape {old.shape} -> {shape}"
        case 2:
            return old.reshape(-1), "flat"
        case 3:
            return old.T.copy(), "transposed"
        case 4:
            return old[: old.shape[0] // 2] if old.ndim else old[None], "halved"
        case 5:
            value = integer(rng) % 2**63
            return np.full(old.shape, value, np.int64), f"all {value}"
        case 6 if old.dtype.kind == "f" and old.size:
            made = old.copy()
            with np.errstate(all="ignore"):
                made.flat[int(rng.integers(old.size))] = number(rng)
            return made, "one float"
        case _ if old.size:
            made = old.astype(np.int64) if old.dtype.kind in "biu" else old.copy()
            count = int(pick(rng, (1, 1, 2, old.size)))
            for at in rng.integers(old.size, size=count):
                value = integer(rng, int(old.flat[at]) if old.dtype.kind in "iu" else None)
                made.flat[at] = (value + 2**63) % 2**64 - 2**63
            return made, f"{count} values"
    return np.zeros(3), "three zeros"


def shapes(rng: Rng, old: tuple[int, ...]) -> tuple[int, ...]:
    """Draw another shape, never of more than some thousand elements."""
    sizes = [*old] if chance(rng, 0.6) else []
    for _ in range(int(rng.integers(1, 3))):
        match int(rng.integers(4)):
            case 0:
                sizes.append(int(rng.integers(0, 4)))
            case 1 if sizes:
                del sizes[int(rng.integers(len(sizes)))]
            case 2 if sizes:
                at = int(rng.integers(len(sizes)))
                sizes[at] = max(0, sizes[at] + int(rng.integers(-2, 3)))
            case _:
                sizes = sizes[::-1]
    return tuple(min(s, 16) for s in sizes)


def _cast(old: np.ndarray[Any, Any], dtype: str) -> np.ndarray[Any, Any]:
    if dtype in ("V4",):
        return np.zeros(old.shape, dtype)
    with np.errstate(all="ignore"):
        return old.astype(np.int64 if dtype[0] in "Mm" else old.dtype).astype(dtype)


def npy(value: np.ndarray[Any, Any]) -> bytes:
    """Return an array as numpy writes it, whatever its type."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(value), allow_pickle=True)
    return stream.getvalue()


class Pickled:
    """Leaves a file where it is unpickled: nothing of a file may ever run."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("PWNED",)


def pickled() -> bytes:
    return npy(np.array([Pickled()], object))
