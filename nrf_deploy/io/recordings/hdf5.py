"""Recordings in HDF5 that are not NIR data: DSEC, Prophesee's HDF5, and spikes as in SHD.

A worker reads them in a process of its own (hdf5_worker.py), since libhdf5 trusts a file.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

from .decoder import HDF5, Decoding
from .sensor import Columns

DSEC, PROPHESEE, SHD = "DSEC", "Prophesee HDF5", "SHD"
WORDS = {"dsec": DSEC, "prophesee": PROPHESEE, "shd": SHD}
FORMS = {form: word for word, form in WORDS.items()}
KNOWN = "DSEC (events/t, x, y, p), Prophesee (CD/events), SHD (spikes/times and units), NIR data"


def looked(path: Path) -> dict[str, Any]:
    """Return the format of an HDF5 file ("nir" for NIR's own) and the names in it."""
    decoding = Decoding("look", path, HDF5)
    decoding.close()
    return decoding.head


def packets(path: Path, form: str, sample: int) -> Generator[Columns]:
    with closing(Decoding(FORMS[form], path, HDF5, str(sample))) as decoding:
        yield from decoding.packets()
