"""Picture of the model: a box for each layer with its connections, and every edge."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from nrf_deploy.bundle.neuron_tables import features_of, numbers_of, rule_of
from nrf_deploy.diagnostics.text import dims, number, span
from nrf_deploy.ir.network import Network, Node

from .graph_layout import Layout, Point, layered
from .html import Markup, details, name, scrolled, section, table, tag
from .layer_labels import Layers, sort

MOST_BOXES = 300
WIDE = 1120.0  # a wider graph is drawn from top to bottom
LETTER, LINE, PAD = 6.7, 16.0, 9.0
CHARACTERS = 34


@dataclass(frozen=True, eq=False)
class Box:
    """A chain of nodes: connections, and the neurons to which they lead."""

    nodes: tuple[Node, ...]

    @property
    def key(self) -> str:
        return self.nodes[-1].name

    @property
    def lines(self) -> list[str]:
        return [name(self.key, CHARACTERS), *(name(sort(n), CHARACTERS) for n in self.nodes)]

    @property
    def size(self) -> Point:
        """Return the width and height of the box."""
        longest = max(map(len, self.lines))
        return (longest * LETTER + 2 * PAD, len(self.lines) * LINE + 2 * PAD - 4)


def boxes(network: Network) -> list[Box]:
    """Return the boxes in topological order. A node joins its only source's box."""
    chains: dict[str, list[Node]] = {}
    for key in network.order:
        before = network.sources(key)
        joined = (
            len(before) == 1
            and before[0] in chains
            and (before[0], key) not in network.back_edges
            and len(network.targets(before[0])) == 1
            and _joins(network[before[0]])
            and _joins(network[key], last=True)
        )
        chain = chains.pop(before[0]) if joined else []
        chains[key] = [*chain, network[key]]
    return [Box(tuple(nodes)) for nodes in chains.values()]


def _joins(node: Node, last: bool = False) -> bool:
    """Return whether a node stays with the next one: neurons and ports end a box."""
    return not (hasattr(node, "port_shape") or (hasattr(node, "states") and not last))


def graph(network: Network, layers: Layers) -> Markup:
    found_boxes = boxes(network) if len(network.nodes) <= 20 * MOST_BOXES else []
    if 0 < len(found_boxes) <= MOST_BOXES:
        drawn = scrolled("the model as a graph", _svg(network, found_boxes, layers))
    else:
        drawn = tag("p", f"The model has {len(network.nodes):,} nodes: too many to draw.")
    back = len(network.back_edges)
    feedback = (
        f" Dashed edges lead back: {back} of them, and each carries the value of the step before."
        if back
        else ""
    )
    return section(
        "model",
        "The model",
        tag(
            "p",
            f"{len(network.nodes):,} nodes, {len(network.edges):,} edges, one step is "
            f"{network.dt:g} in the units of its time constants. Each box is a layer: its "
            f"connections and its neurons.{feedback}",
        ),
        drawn,
        details("The same as a table", _nodes(network)),
    )


def _svg(network: Network, boxes_drawn: Sequence[Box], layers: Layers) -> Markup:
    box_of = {n.name: b.key for b in boxes_drawn for n in b.nodes}
    inner = {(a.name, b.name) for box in boxes_drawn for a, b in itertools.pairwise(box.nodes)}
    edges = [e for e in network.edges if e not in inner]
    drawn = [(box_of[a], box_of[b]) for a, b in edges]
    back = {i for i, e in enumerate(edges) if e in network.back_edges}
    across = layered({b.key: b.size for b in boxes_drawn}, drawn, back)
    sideways = across.size[0] <= WIDE
    layout = (
        across if sideways else layered({b.key: b.size[::-1] for b in boxes_drawn}, drawn, back)
    )
    width, height = _place(layout.size, sideways)
    return tag(
        "svg",
        tag(
            "title",
            f"{len(boxes_drawn)} boxes and {len(edges)} edges; the table below lists them",
        ),
        tag("defs", _arrow()),
        (_edge(layout, i, i in back, sideways) for i in range(len(edges))),
        (_box(b, _place(layout.corners[b.key], sideways), layers) for b in boxes_drawn),
        class_="graph",
        role="img",
        viewBox=f"0 0 {width + 4:.0f} {height + 4:.0f}",
        width=round(width + 4),
        height=round(height + 4),
    )


def _place(point: Point, sideways: bool) -> Point:
    """Convert (main, cross) to (x, y)."""
    main, cross = point
    return (main + 2, cross + 2) if sideways else (cross + 2, main + 2)


def _arrow() -> Markup:
    head = tag("path", d="M0 0L8 4L0 8z", class_="head")
    return tag("marker", head, id="arrow", markerWidth=8, markerHeight=8, refX=7.5, refY=4,
               orient="auto", markerUnits="userSpaceOnUse")  # fmt: skip


def _edge(layout: Layout, i: int, back: bool, sideways: bool) -> Markup:
    points = layout.routes[i]
    steps = [f"M{_at(points[0], sideways)}"]
    for a, b in itertools.pairwise(points):
        if back or a[1] == b[1]:
            steps.append(f"L{_at(b, sideways)}")
        else:
            half = (a[0] + b[0]) / 2
            bend = " ".join(_at(p, sideways) for p in ((half, a[1]), (half, b[1]), b))
            steps.append(f"C{bend}")
    kind = "edge back" if back else "edge"
    return tag("path", d="".join(steps), class_=kind, marker_end="url(#arrow)")


def _at(point: Point, sideways: bool) -> str:
    x, y = _place(point, sideways)
    return f"{x:.1f} {y:.1f}"


def _box(box: Box, corner: Point, layers: Layers) -> Markup:
    (x, y), (width, height) = corner, box.size
    colour = layers.colour(box.key)
    lines = [
        tag(
            "text",
            line,
            x=x + width / 2,
            y=y + PAD + 8 + LINE * i,
            class_="strong" if i == 0 else None,
        )
        for i, line in enumerate(box.lines)
    ]
    label = "; ".join(f"{name(n.name)}: {sort(n)}" for n in box.nodes)
    return tag(
        "g",
        tag("title", label),
        tag(
            "rect", x=x, y=y, width=width, height=height, rx=5, class_=f"box {colour or ''}".strip()
        ),
        lines,
    )


def _nodes(network: Network) -> Markup:
    rows = [
        (
            name(n.name),
            n.kind,
            dims(n.shape),
            number(n.weight.size) if hasattr(n, "weight") else "",
            _constants(n),
            ", ".join(name(s) for s in network.sources(n.name)),
        )
        for n in network.nodes
    ]
    header = ("node", "kind", "gives", "weights", "constants", "from")
    return table("Every node of the model, in the file's order", header, rows, "lllrll")


def _constants(node: Node) -> str:
    """Return the range of every number of a node that holds one per element."""
    others = ("delay", "scale", "threshold")
    numbers = numbers_of(node) or {k: getattr(node, k) for k in others if hasattr(node, k)}
    ranges = [f"{key} {span(array)}" for key, array in numbers.items()]
    rule = [f"{key} {word}" for key, word in rule_of(node).items()]
    return "; ".join([*ranges, *rule, *features_of(node, numbers=False)])
