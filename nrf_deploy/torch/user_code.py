"""Lines of the user's code for messages: not those of torch, of a framework, or of this tool."""

from __future__ import annotations

import linecache
import os
import sys
import traceback
from pathlib import Path

from .frameworks.registry import known

OURS = f"{Path(__file__).parents[1]}{os.sep}"


def user_line() -> str:
    """Return the line of the user's code that is running: file, number and text."""
    frame = sys._getframe(1)
    skipped = _libraries()
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(skipped) and not file.startswith("<"):
            text = linecache.getline(file, frame.f_lineno).strip()
            return f"{Path(file).name}, line {frame.f_lineno}: {text}"
        frame = frame.f_back  # type: ignore[assignment]
    return "in the forward method"


def _libraries() -> tuple[str, ...]:
    import torch

    files = [getattr(sys.modules.get(f.package), "__file__", None) for f in known()]
    folders = [Path(f).parent for f in (torch.__file__, *files) if f]
    return (OURS, *(f"{folder}{os.sep}" for folder in folders))


def raising_line(e: Exception) -> str:
    """Return the line of the user's code that raised, if it is known."""
    skipped = _libraries()
    frames = [f for f in traceback.extract_tb(e.__traceback__) if f.line]
    inside = [f for f in frames if not f.filename.startswith(skipped)]
    last = inside[-1] if inside else None
    return f" ({Path(last.filename).name}, line {last.lineno}: {last.line})" if last else ""


def first_line(e: Exception) -> str:
    return (str(e).strip() or type(e).__name__).splitlines()[0]
