"""Dialects: the readings of the producers of .nir files, one file each."""

from __future__ import annotations

import numpy as np

from ...rule_options import Producer
from ..graph import RawGraph
from .base import FLOOR, Clock, Dialect, ForeignError, Mark
from .nir_itself import NirItself
from .norse import Norse
from .rockpool import Rockpool
from .sinabs import Sinabs
from .snntorch import SnnTorch
from .spikingjelly import SpikingJelly
from .spyx import Spyx

NIR = NirItself()
BY_MARK: tuple[Dialect, ...] = (
    Rockpool(), Spyx(), SpikingJelly(), SnnTorch(), Norse(), Sinabs(),
)  # fmt: skip
"""The surest marks first: a file of one producer may also have a weaker mark of another."""
DIALECTS: dict[Producer, Dialect] = {d.name: d for d in (*BY_MARK, NIR)}


def likely(graph: RawGraph) -> tuple[Dialect, Mark] | None:
    """Return the producer that a file's marks tell, and its mark; None if they tell none."""
    with np.errstate(all="ignore"):  # absurd values overflow; the checks then refuse them
        return next(((d, mark) for d in BY_MARK if (mark := d.mark(graph))), None)


__all__ = [
    "DIALECTS", "FLOOR", "NIR", "Clock", "Dialect", "ForeignError", "Mark", "likely",
]  # fmt: skip
