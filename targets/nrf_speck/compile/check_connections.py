"""Check that a connection fits a core's convolution (kernel, stride, padding)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nrf_deploy.compiler import checks
from nrf_deploy.diagnostics.findings import Finding, error
from nrf_deploy.ir.layer_view import Layers, Link
from nrf_deploy.ir.network import Conv, Linear, Network, Node, Output, Pool, Scale

from ..chip import PREFIX, Chip
from ..passes.exact import on_a_wire
from .branches import as_map, wires


def link_faults(network: Network, view: Layers, link: Link, chip: Chip) -> Iterator[Finding]:
    node = link.node
    if any(isinstance(network[t], Output) for t in link.targets):
        return
    into_pool = isinstance(network[link.targets[0]], Pool)
    if isinstance(node, Pool):
        yield from _pool(node, chip)
    if isinstance(network[link.source], Pool):
        yield from _pooled_twice(network, view, link)
    if into_pool:
        return
    source = network[link.source]
    if not isinstance(node, Linear) and len(source.shape) not in (1, 3):
        yield _axes(link, source)
        return
    match node:
        case Conv():
            yield from _convolution(link, node, chip)
        case Linear():
            yield from _linear(link, source, chip)
        case Scale():
            yield from _scale(link, node)
        case None:
            yield from _flattened(network, link, source)
    yield from _sizes(network, view, link, chip)
    yield from checks.all_zero(PREFIX, link)


def _flattened(network: Network, link: Link, source: Node) -> Iterator[Finding]:
    for name in link.targets:
        if len(source.shape) != len(network[name].shape):
            yield error(
                "SPECK-FLATTEN",
                f"{source.name!r} gives {source.shape} to neurons of shape {network[name].shape}",
                layer=name,
                why="without weights each event goes to the neuron at its own feature, y and x",
                fix="put a Linear between them, or give the neurons the shape of their source",
            )


def _axes(link: Link, source: Node) -> Finding:
    return error(
        "SPECK-AXES",
        f"{source.name!r} gives {source.shape}, along {len(source.shape)} axes",
        layer=link.name,
        why="events have a feature, a y and an x",
        fix="use layers over (channels, y, x)",
    )


def _convolution(link: Link, node: Conv, chip: Chip) -> Iterator[Finding]:
    def no(code: str, what: str, fix: str) -> Finding:
        return error(code, what, layer=link.name, why="a core cannot convolve so", fix=fix)

    if len(node.kernel) != 2:
        yield no("SPECK-AXES", "it convolves along one axis", "use a Conv2d over a square map")
        return
    if node.groups != 1:
        yield no(
            "SPECK-GROUPS",
            f"it has {node.groups} groups",
            "train with groups=1; a core connects all features with all",
        )
    if set(node.dilation) != {1}:
        yield no(
            "SPECK-DILATION",
            f"its dilation is {node.dilation}",
            "train with dilation 1 and a larger kernel",
        )
    if len(set(node.kernel)) > 1:
        yield no(
            "SPECK-KERNEL",
            f"its kernel is {node.kernel[0]} x {node.kernel[1]}",
            "use a square kernel; fill the shorter side with zeros",
        )
    if max(node.kernel) > chip.kernel:
        yield no(
            "SPECK-KERNEL",
            f"its kernel is {max(node.kernel)} wide; at most {chip.kernel} fit",
            "use a smaller kernel, or pool before it",
        )
    if any(a != b for a, b in node.padding):
        yield no(
            "SPECK-PADDING",
            f"its padding is {node.padding}, more on one side",
            "pad both sides alike",
        )
    elif max(a for a, _ in node.padding) > chip.padding:
        yield no(
            "SPECK-PADDING",
            f"its padding is {node.padding}; at most {chip.padding} fit",
            "use less padding, or a smaller input",
        )
    if not set(node.stride) <= set(chip.strides):
        yield no(
            "SPECK-STRIDE",
            f"its stride is {node.stride}; there are {_listed(chip.strides)}",
            "use one of these",
        )


def _linear(link: Link, source: Node, chip: Chip) -> Iterator[Finding]:
    if len(source.shape) not in (1, 3):
        yield _axes(link, source)
        return
    _, height, width = as_map(source.shape)
    if height != width:
        yield error(
            "SPECK-LINEAR",
            f"it is fully connected to a map of {height} x {width}",
            layer=link.name,
            why="on a core it becomes a convolution whose square kernel covers the whole map",
            fix="crop or pad the map to a square, or pool it to 1 x 1",
        )
    elif width > chip.kernel:
        yield error(
            "SPECK-LINEAR",
            f"it is fully connected to a map of {height} x {width}; kernels have at most "
            f"{chip.kernel} x {chip.kernel}",
            layer=link.name,
            fix="pool before it, or put a convolution with a stride there",
        )


def _scale(link: Link, node: Scale) -> Iterator[Finding]:
    flat = node.scale.reshape(len(node.scale), -1)
    if np.any(flat != flat[:, :1]):
        yield error(
            "SPECK-SCALE",
            "its factors differ within a feature",
            layer=link.name,
            why="a core holds the same weights at every place of a map",
            fix="scale whole channels",
        )


def _pool(node: Pool, chip: Chip) -> Iterator[Finding]:
    if on_a_wire(node) is not None:
        return
    size, window = node.pool_input[1:], node.window
    square = len(window) == 2 and len({*window, *node.stride}) == 1
    if square and window[0] in chip.pooling and not any(map(any, node.padding)):
        yield error(
            "SPECK-POOL-BORDER",
            f"{size[0]} x {size[1]} places cannot be pooled by {window[0]} to the last",
            layer=node.name,
            why="the model drops the border; the chip merges addresses, and the border's spikes "
            "would reach past the next core's input",
            fix="pad or crop the layer before it to a multiple of the pooling",
        )
        return
    yield error(
        "SPECK-POOL",
        f"it sums over {' x '.join(map(str, window))} places in strides of {node.stride}, "
        f"padding {node.padding}",
        layer=node.name,
        why=f"a wire merges {_listed(chip.pooling)} places along both axes, without overlap, and "
        "no connection beside it could take the sum over",
        fix=f"use a window and stride of {_listed(chip.pooling[1:])} and no padding, or a "
        "convolution with a stride",
    )


def _pooled_twice(network: Network, view: Layers, link: Link) -> Iterator[Finding]:
    before = [k for k in view.into(link.source) if isinstance(network[k.source], Pool)]
    if before or isinstance(link.node, Pool):
        yield error(
            "SPECK-POOL",
            f"the pool {link.source!r} meets another pool that it could not be joined with",
            layer=link.source,
            fix="use one pool",
        )
    for k in view.into(link.source):
        if not isinstance(k.node, Pool):
            yield error(
                "SPECK-POOL",
                f"{k.name!r} leads to the pool {link.source!r} without neurons between",
                layer=k.name,
                why="only a wire between two cores pools",
                fix="put IF neurons before the pool",
            )


def _sizes(network: Network, view: Layers, link: Link, chip: Chip) -> Iterator[Finding]:
    for source, pooling in wires(network, view, link):
        _, *size = as_map(network[source].shape)
        taken = max(size) // max(pooling, 1)
        if taken > chip.input_size:
            yield error(
                "SPECK-SIZE",
                f"its input is {taken} wide; at most {chip.input_size} fit",
                layer=link.name,
                fix="crop the input, or pool it",
            )
    for target in link.targets:
        features, *size = as_map(network[target].shape)
        if max(size) > chip.output_size:
            yield error(
                "SPECK-SIZE",
                f"its output is {max(size)} wide; at most {chip.output_size} fit",
                layer=link.name,
                fix="use a stride of 2, or crop or pool the input",
            )
        if features > chip.features:
            yield error(
                "SPECK-FEATURES",
                f"it gives {features} features; at most {chip.features} fit",
                layer=link.name,
                fix="use fewer channels",
            )


def _listed(numbers: tuple[int, ...]) -> str:
    return f"{', '.join(map(str, numbers[:-1]))} or {numbers[-1]}"
