"""Writer of a Network as a .nir file.

The file has the layout of nir 1.0.8, so that nir and everything built on it opens it
(grouped convolutions and kernels that are not square only with type_check=False: nir
computes wrong shapes for them). It is written with h5py, so that weights that several
layers share are stored once (a hard link) and are read as shared, and so that the same
network gives the same bytes.

NIR has no field for the time step, the reset and the firing rule of neurons, the start of
loops, the order of nodes, the readout or receptive fields: they are in the metadata. So are
fields of neurons that NIR does not have (beyond.py); a finding then reports that other readers
see plain ones.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from nrf_deploy.diagnostics.findings import Finding, UsageError, error, refuse, warning
from nrf_deploy.ir import network_faults
from nrf_deploy.ir.capabilities import kind_name, neurons_name
from nrf_deploy.ir.network import (
    DATA,
    KINDS,
    Array,
    Conv,
    Delay,
    Flatten,
    Linear,
    MaxPool,
    Network,
    Node,
    Pads,
    Pool,
    Population,
    Port,
    Scale,
    Shape,
    Threshold,
)
from nrf_deploy.ir.network_faults import type_faults
from nrf_deploy.ir.witness import Witness

from ..files import write_atomically
from .beyond import FIELDS, OURS, VERSION, WORDS, full, is_known, nir_fields
from .beyond import say as say_beyond
from .connection_builders import POOL, same_padding
from .graph import NODE_ORDER
from .metadata import LOOP_START
from .read import read
from .witness import encode as encode_witness

NIR_VERSION = "1.0.8"
PACK_FROM = 4096  # bytes; below, the chunk index of HDF5 costs more than packing saves

Field = str | int | Array
Form = dict[str, Field]


class NoFormError(Exception):
    """A node or field without a form in NIR."""


def write(network: Network, path: str | Path, witness: Witness | None = None) -> list[Finding]:
    """Write `network` to `path`, complete or not at all; return what other readers do not see.

    A network that `read` would refuse (a NaN, tau below dt, wrong shapes) is refused, and a
    witness that does not fit it. Whether the witness is right is for a reader to find out.
    """
    data = checked(network, witness)

    def fill(stream: BinaryIO) -> None:
        stream.write(data)

    write_atomically(path, fill)
    return [*foreign(network)]


def foreign(network: Network) -> Iterator[Finding]:
    """Yield a warning for neurons that other readers of the file read as plain ones."""
    for node in network.nodes:
        more = say_beyond(node) if type(node) is Population else _pool_words(node)
        if more:
            kind = node.membrane.nir[node.spikes] if type(node) is Population else "SumPool2d"
            yield warning(
                "NIR-FOREIGN",
                f"other readers of this file see a plain {kind}",
                why=f"NIR has no field for its metadata: {', '.join(sorted(more))}",
                fix="read the file with nrf-deploy",
                layer=node.name,
            )


def checked(network: Network, witness: Witness | None = None) -> bytes:
    """Return the bytes of the .nir file; refuse a network that `read` would refuse."""
    refuse(_faults(type_faults(network)), UsageError)
    data = encode(network, witness)
    read(io.BytesIO(data))
    refuse(_faults(network_faults.faults(network)), UsageError)
    return data


def _faults(faults: Iterable[str]) -> Iterator[Finding]:
    for fault in faults:
        yield error("NETWORK-FAULT", fault, fix="build the network as nrf_deploy.read would")


def encode(network: Network, witness: Witness | None = None) -> bytes:
    """Return the bytes of the .nir file; the same network and witness give the same bytes."""
    findings: list[Finding] = []
    forms = {n.name: _form(n, findings) for n in network.nodes}
    refuse(findings, UsageError)
    observed = {} if witness is None else encode_witness(witness, network)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        writer = _Writer()
        writer.put(file, "version", NIR_VERSION)
        graph = file.create_group("node")
        writer.put(graph, "type", "NIRGraph")
        edges = np.array(network.edges, object).reshape(-1, 2)
        graph.create_dataset("edges", data=edges, dtype=h5py.string_dtype())
        nodes = graph.create_group("nodes")
        for node in network.nodes:
            writer.fields(nodes.create_group(node.name), forms[node.name], _metadata(node))
        order = json.dumps([n.name for n in network.nodes])
        metadata = graph.create_group("metadata")
        metadata.create_dataset("dt", data=float(network.dt))
        writer.put(metadata, NODE_ORDER, order)
        if network.loop_start != "bias":
            writer.put(metadata, LOOP_START, network.loop_start)
        for key in DATA:
            if data := getattr(network, key):
                writer.put(metadata, key, json.dumps(dict(data)))
        for key, value in observed.items():
            writer.put(metadata, key, value)
    return buffer.getvalue()


class _Writer:
    """A writer of fields that stores a shared array once."""

    def __init__(self) -> None:
        self.stored: dict[int, tuple[Array, h5py.Dataset]] = {}

    def fields(self, group: h5py.Group, form: Form, metadata: Form) -> None:
        for key, value in form.items():
            self.put(group, key, value)
        if metadata:
            inner = group.create_group("metadata")
            for key, value in metadata.items():
                self.put(inner, key, value)

    def put(self, group: h5py.Group, key: str, value: Field) -> None:
        if isinstance(value, str):
            group.create_dataset(key, data=value, dtype=h5py.string_dtype())
        elif isinstance(value, int):
            group.create_dataset(key, data=value)
        elif id(value) in self.stored:
            group[key] = self.stored[id(value)][1]
        else:
            pack = "gzip" if value.nbytes >= PACK_FROM else None
            data = group.create_dataset(key, data=value, compression=pack)
            self.stored[id(value)] = (value, data)


# --- the form of each node in NIR ------------------------------------------


def _form(node: Node, findings: list[Finding]) -> Form:
    if not node.name.isprintable() or "/" in node.name or node.name in ("", ".", ".."):
        what = f"{node.name!r} cannot be the name of a node in a .nir file"
        findings.append(error("NIR-NAME", what, fix="rename the layer", layer=node.name))
    try:
        if type(node) is not Population and type(node) not in KINDS.values():
            raise NoFormError(f"NIR has no node of the kind {kind_name(type(node))}")
        for kind, convert in FORMS:
            if isinstance(node, kind):
                return convert(node)
        raise NoFormError(f"NIR has no form for the kind {node.kind}")
    except NoFormError as e:
        findings.append(
            error("NIR-UNSAYABLE", str(e), fix="export before this rewrite", layer=node.name)
        )
        return {}


def _metadata(node: Node) -> Form:
    metadata: Form = {}
    if isinstance(node, Conv) and node.bias is None:
        metadata["bias"] = "absent"
    if type(node) is Population:
        for field, key in WORDS[type(node.rule)].items():
            value = getattr(node.rule, field)
            if isinstance(value, str):
                metadata[key] = value
            elif value:
                metadata[key] = "yes"
        metadata |= say_beyond(node)
    return metadata | _pool_words(node)


def _pool_words(node: Node) -> Form:
    return {OURS + "version": VERSION, POOL: "max"} if type(node) is MaxPool else {}


def _sizes(shape: Iterable[int]) -> Array:
    return np.array(tuple(shape), np.int64)


def _port(node: Port) -> Form:
    return {"type": node.kind, "shape": _sizes(node.shape)}


def _linear(node: Linear) -> Form:
    if node.bias is None:
        return {"type": "Linear", "weight": node.weight}
    return {"type": "Affine", "weight": node.weight, "bias": node.bias}


def _conv(node: Conv) -> Form:
    axes = len(node.kernel)
    if axes not in (1, 2):
        raise NoFormError(f"NIR has no convolution over {axes} axes")
    out = node.weight.shape[0]
    bias = np.zeros(out, node.weight.dtype) if node.bias is None else node.bias
    if bias.shape != (out,):
        raise NoFormError("NIR has no bias that depends on the position")
    return {
        "type": f"Conv{axes}d",
        "weight": node.weight,
        "stride": _axes(node.stride),
        "padding": _conv_padding(node),
        "dilation": _axes(node.dilation),
        "groups": node.groups,
        "bias": bias,
        "input_shape": _axes(node.input_size),
    }


def _axes(values: Shape) -> Field:
    return values[0] if len(values) == 1 else _sizes(values)


def _conv_padding(node: Conv) -> Field:
    if (even := _even(node.padding)) is not None:
        return _axes(even)
    if set(node.stride) == {1} and node.padding == same_padding(node.kernel, node.dilation):
        return "same"
    raise NoFormError(f"NIR has no padding that differs at the two ends: {node.padding}")


def _even(padding: Pads) -> Shape | None:
    return tuple(a for a, _ in padding) if all(a == b for a, b in padding) else None


def _pool(node: Pool | MaxPool) -> Form:
    padding = _even(node.padding)
    if padding is None or len(node.window) != 2:
        raise NoFormError("NIR pools over two axes, with the same padding at both ends")
    return {
        "type": "SumPool2d" if type(node) is MaxPool else f"{node.kind}2d",
        "kernel_size": _sizes(node.window),
        "stride": _sizes(node.stride),
        "padding": _sizes(padding),
    }


def _flatten(node: Flatten) -> Form:
    return {
        "type": "Flatten",
        "input_type": _sizes(node.flat_input),
        "start_dim": node.start,
        "end_dim": node.end,
    }


def _population(node: Population) -> Form:
    membrane, rule = type(node.membrane), type(node.rule)
    if not is_known(node):
        raise NoFormError(f"NIR has no node for {neurons_name(membrane, rule)}")
    form: Form = {"type": node.membrane.nir[node.spikes]}
    form |= {key: getattr(node.membrane, key) for key in nir_fields(membrane)}
    for key, name in FIELDS[rule].items():
        form[name] = full(getattr(node.rule, key), node.shape)
    return form


FORMS: tuple[tuple[type[Node], Callable[[Any], Form]], ...] = (
    (Port, _port),
    (Linear, _linear),
    (Conv, _conv),
    (Pool, _pool),
    (MaxPool, _pool),
    (Flatten, _flatten),
    (Scale, lambda node: {"type": "Scale", "scale": node.scale}),
    (Threshold, lambda node: {"type": "Threshold", "threshold": node.threshold}),
    (Delay, lambda node: {"type": "Delay", "delay": node.delay}),
    (Population, _population),
)
