"""Types of options on the command line."""

from __future__ import annotations

import argparse
from typing import Any


def window(text: str) -> tuple[int, int, int, int]:
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y,W,H in whole numbers") from None
    return x, y, width, height


def _number(text: str, kind: type, low: float, name: str) -> Any:
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not low < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not {name}")
    return value


def positive(text: str) -> Any:
    return _number(text, int, 0, "a whole number above 0")


def positive_float(text: str) -> Any:
    return _number(text, float, 0, "a number above 0")


def fraction(text: str) -> Any:
    return _number(text, float, -1e-300, "a number of at least 0")
