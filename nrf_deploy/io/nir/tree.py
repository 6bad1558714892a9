"""Nested dictionaries from a scanned HDF5 file or from nir's own graph object.

Leaves are numpy arrays of numbers or text, or str. nir's node objects are not used: they
refuse some files that are sound (depthwise convolutions, kernels that are not square).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from nrf_deploy.diagnostics.findings import Finding, InputError, error, refuse, warning

from .heap import Bytes, texts
from .scan import LIMITS, Limits, Source, is_text, opened, scan_open

Tree = dict[str, Any]

KNOWN_MAJOR = 1  # of nir; files of 0.x hold the same fields


def load(source: Source, limits: Limits = LIMITS) -> tuple[Tree, list[Finding]]:
    """Return the graph of a .nir file, and findings on its version and extra fields."""
    with opened(source, limits) as whole:
        file = whole.file
        refuse(scan_open(file, limits), InputError)
        if not isinstance(file.get("node"), h5py.Group):
            raise InputError(
                error(
                    "NIR-NOT-NIR",
                    "the file is HDF5 but holds no model",
                    why="a .nir file has its graph in the group 'node'",
                    fix="name a file written by nir.write or nrf-deploy export",
                )
            )
        loader = _Loader(whole.data, limits)
        tree = loader.group(file["node"])
        version = loader.dataset(file["version"]) if "version" in file else None
        extra = sorted(set(file) - {"node", "version"})
    findings = version_findings(version)
    findings += [warning("NIR-FIELD-UNKNOWN", f"{name!r} was not read") for name in extra]
    return tree, findings


def version_findings(version: Any) -> list[Finding]:
    if version is None:
        return [warning("NIR-VERSION", "the file does not state its version of NIR")]
    major = str(version).split(".")[0]
    if not (isinstance(version, str) and major.isdecimal()):
        return [warning("NIR-VERSION", f"{str(version)[:40]!r} is not a version of NIR")]
    if int(major) <= KNOWN_MAJOR:
        return []
    return [
        error(
            "NIR-VERSION-NEW",
            f"the file is NIR {version}",
            why=f"versions after {KNOWN_MAJOR}.x may give the same fields another meaning",
            fix=f"write the file with nir {KNOWN_MAJOR}.x",
        )
    ]


class _Loader:
    """A loader that reads each dataset once, so that shared weights stay shared."""

    def __init__(self, data: Bytes, limits: Limits):
        self.data = data
        self.text_left = limits.text
        self.seen: dict[int, Any] = {}

    def group(self, group: h5py.Group) -> Tree:
        return {
            name: self.group(item) if isinstance(item, h5py.Group) else self.dataset(item)
            for name, item in group.items()
        }

    def dataset(self, data: h5py.Dataset) -> Any:
        address = h5py.h5o.get_info(data.id).addr
        if address not in self.seen:
            self.seen[address] = plain(self.text(data) if is_text(data.id) else data[()])
        return self.seen[address]

    def text(self, data: h5py.Dataset) -> Any:
        count, offset = math.prod(data.shape), data.id.get_offset()
        parts = texts(self.data, offset, count, self.text_left) if count else []
        self.text_left -= sum(map(len, parts))
        return np.array(parts, object).reshape(data.shape) if data.shape else parts[0]


def from_object(graph: Any) -> Tree:
    """Return the tree of a nir.NIRGraph (or of any object with such a dictionary)."""
    tree: Tree = plain(graph.to_dict())
    return tree


def plain(value: Any) -> Any:
    """Convert text to str, numbers to arrays, and lists of text to arrays of str."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, str):
        return value
    array = np.asarray(value)
    if array.dtype.kind in "OSU":
        flat = [x.decode("utf-8") if isinstance(x, bytes) else x for x in array.ravel().tolist()]
        text = np.empty(len(flat), object)
        text[:] = flat
        return text.reshape(array.shape)
    return np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(array.shape)
