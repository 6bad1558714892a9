"""Makes .nir files for tests: field by field, so that any mistake can be put into one."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from nrf_deploy.diagnostics.findings import InputError
from nrf_deploy.io.nir import read

Tree = dict[str, Any]


def put(group: h5py.Group, tree: Tree) -> None:
    for key, value in tree.items():
        if isinstance(value, dict):
            put(group.create_group(key), value)
        elif isinstance(value, str):
            group.create_dataset(key, data=value, dtype=h5py.string_dtype())
        else:
            group.create_dataset(key, data=value)


def graph(nodes: dict[str, Tree], edges: list[tuple[str, str]], **metadata: Any) -> Tree:
    table = np.array(edges, object).reshape(-1, 2).astype("S")
    tree: Tree = {"type": "NIRGraph", "nodes": nodes, "edges": table}
    return tree | ({"metadata": metadata} if metadata else {})


def save(path: Path, tree: Tree, version: str | None = "1.0.8") -> Path:
    with h5py.File(path, "w") as file:
        put(file, {"node": tree} | ({"version": version} if version else {}))
    return path


def chain(*nodes: Tree, dt: float | None = 1e-3, names: list[str] | None = None) -> Tree:
    """Build Input, nodes and Output in a row, as n0, n1 and so on; the caller names both ends."""
    names = names or [f"n{i}" for i in range(len(nodes))]
    edges = list(itertools.pairwise(names))
    metadata = {} if dt is None else {"dt": dt}
    return graph(dict(zip(names, nodes, strict=True)), edges, **metadata)


def port(kind: str, *shape: int) -> Tree:
    return {"type": kind, "shape": np.array(shape, np.int64)}


def lif(shape: Any, tau: Any = 0.01, **more: Any) -> Tree:
    """Build a LIF that states how it resets and fires."""
    values = {"tau": tau, "r": 1.0, "v_leak": 0.0, "v_threshold": 0.5, "v_reset": 0.0} | more
    return {"type": "LIF", "metadata": {"reset": "value", "fires": "above"}} | {
        k: np.full(shape, v, np.float32) if np.ndim(v) == 0 else np.asarray(v)
        for k, v in values.items()
    }


def linear(out: int, into: int) -> Tree:
    weight = np.arange(out * into, dtype=np.float32).reshape(out, into) / 8
    return {"type": "Linear", "weight": weight}


def conv(*weight: int, **more: Any) -> Tree:
    fields = {
        "weight": np.linspace(-1, 1, int(np.prod(weight)), dtype=np.float32).reshape(weight),
        "bias": np.zeros(weight[0], np.float32),
        "stride": np.array([1, 1]),
        "padding": np.array([0, 0]),
        "dilation": np.array([1, 1]),
        "groups": 1,
    }
    return {"type": "Conv2d"} | fields | more


def pool(**more: Any) -> Tree:
    fields = {k: np.array([2, 2]) for k in ("kernel_size", "stride")}
    return {"type": "SumPool2d"} | fields | {"padding": np.array([0, 0])} | more


def flatten(start: int = 0, end: int = -1, **more: Any) -> Tree:
    return {"type": "Flatten", "start_dim": start, "end_dim": end} | more


def refusal(path: Any, dt: float | None = None) -> InputError:
    """Return the refusal of a file; fail if it is read."""
    try:
        read(path, dt)
    except InputError as e:
        return e
    raise AssertionError("the file was read")


def codes(path: Any, dt: float | None = None) -> list[str]:
    """Return the codes of the errors for which a file is refused."""
    return [f.code for f in refusal(path, dt).findings if f.severity == "error"]
