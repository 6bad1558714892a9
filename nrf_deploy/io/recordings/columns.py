"""Events in arrays of numpy: structured arrays, and tables of four columns.

A structured array names its fields; what tonic, expelliarmus, faery and aedat give in Python has
some of the names below. An array (N, 4) names nothing: it may be N events or N steps of four
values, so its layout must be given, such as "x,y,t,p", or "frames".
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nrf_deploy.diagnostics.findings import InputError, error
from nrf_deploy.ir.network import Array

from ..archive import DamagedError

NAMES: Mapping[str, tuple[str, ...]] = {
    "t": ("t", "ts", "timestamp", "time"),
    "x": ("x", "address_x"),
    "y": ("y", "address_y"),
    "p": ("p", "pol", "polarity", "on"),
}
FRAMES = "frames"
WIDE = 1 << 15
"""A column with a number above this is neither a coordinate nor a polarity."""


def structured(array: Array) -> dict[str, Array]:
    """Return the columns of a structured array, by its fields' names."""
    names = array.dtype.names or ()
    if array.ndim != 1:
        raise DamagedError(f"holds a structured array of the shape {array.shape}, not a list")
    columns = {}
    for name, known in NAMES.items():
        fields = [n for n in names if n.lower() in known]
        if len(fields) != 1:
            listed = ", ".join(names)
            raise InputError(
                error(
                    "RECORDING-COLUMNS",
                    f"a structured array with the fields {listed:.80} has "
                    f"{len(fields) or 'no'} {name}",
                    why="expected t (microseconds), x, y and p, or polarity",
                    fix="save t, x, y, p with numpy.savez",
                )
            )
        columns[name] = np.ascontiguousarray(array[fields[0]])
    return {n: c.astype(np.int64) if c.dtype == np.bool_ else c for n, c in columns.items()}


def table(array: Array, layout: str) -> dict[str, Array]:
    """Return the columns of an array (N, 4) in the order of a layout such as "x,y,t,p"."""
    names = layout.split(",")
    if array.ndim != 2 or array.shape[1] != len(names):
        raise DamagedError(f"holds an array of {array.shape}, not of (N, {len(names)})")
    return {name: np.ascontiguousarray(array[:, i]) for i, name in enumerate(names)}


def demand_frames(array: Array, name: str) -> None:
    """Refuse an array (N, 4) that looks like a table of events, until its layout is given."""
    if array.ndim != 2 or array.shape[1] != 4 or not len(array):
        return
    clock = [i for i in range(4) if _is_clock(array[:, i])]
    if len(clock) == 1:
        order = "x,y,t,p" if clock == [2] else "t,x,y,p" if clock == [0] else "...,t,..."
        raise InputError(
            error(
                "RECORDING-AMBIGUOUS",
                f"{name} is an array of {len(array):,} rows of 4 values, the "
                f"{('first', 'second', 'third', 'last')[clock[0]]} of which rises to "
                f"{array[:, clock[0]].max():g}",
                why="it may hold events, one a row, or steps of four values",
                fix=f"give --layout {order} for events (t in microseconds), or --layout frames",
            )
        )


def _is_clock(column: Array) -> bool:
    finite = np.asarray(column, np.float64)
    return bool(np.isfinite(finite).all() and finite.max() > WIDE and (np.diff(finite) >= 0).all())


def is_layout(text: str) -> bool:
    """Return whether this is an order of the four columns."""
    return sorted(text.split(",")) == sorted(NAMES)
