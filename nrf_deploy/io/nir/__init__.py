"""Reading and writing of .nir files; no other module does it."""

from .data import read_data, write_data
from .read import look, read, read_all
from .scan import LIMITS, Limits, scan
from .statements import statements
from .witness import digest
from .write import checked, foreign, write

__all__ = [
    "LIMITS", "Limits", "checked", "digest", "foreign", "look", "read", "read_all",
    "read_data", "scan", "statements", "write", "write_data",
]  # fmt: skip
