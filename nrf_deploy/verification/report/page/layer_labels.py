"""A layer's number, colour and description, shared by the parts of the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.diagnostics.text import dims, number
from nrf_deploy.ir.network import Connection, Conv, Linear, Node, Pool, Shape

from .html import Markup, tag

COLOURS = 12
"""Number of colours that the eye distinguishes; further layers repeat them, with numbers."""


@dataclass(frozen=True, eq=False)
class Layers:
    """Populations of a bundle's program, numbered from 1 in its order."""

    bundle: Bundle

    @cached_property
    def numbers(self) -> Mapping[str, int]:
        """Numbers by the name on the chip, and by the name in the model."""
        numbers_of = {p.name: i for i, p in enumerate(self.bundle.program.populations, 1)}
        return numbers_of | {o.node: numbers_of[o.population] for o in self.bundle.program.origins}

    def colour(self, name: str) -> str | None:
        """Return a layer's class of the style sheet."""
        k = self.numbers.get(name)
        return None if k is None else f"c{(k - 1) % COLOURS}"

    def key(self, name: str) -> Markup | None:
        """Return a layer's number in its colour, which stands before its name."""
        if name not in self.numbers:
            return None
        return tag("span", self.numbers[name], class_=f"key {self.colour(name)}")


def _once(sizes: Shape) -> str:
    """Return sizes as text: one number if all are equal."""
    return str(sizes[0]) if len(set(sizes)) == 1 else dims(sizes)


def sort(node: Node) -> str:
    """Return a short description of a node."""
    match node:
        case Conv():
            stride = "" if set(node.stride) == {1} else f" /{_once(node.stride)}"
            groups = "" if node.groups == 1 else f", {node.groups} groups"
            return f"Conv {dims(node.kernel)}{stride}{groups}, {number(node.weight.size)} weights"
        case Linear():
            return f"Linear, {number(node.weight.size)} weights"
        case Pool():
            return f"{node.kind} {dims(node.window)}"
        case Connection():
            return node.kind
    return f"{node.kind} {dims(node.shape)}"
