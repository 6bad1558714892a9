"""Neurons in bundles of schema 2: one name for each kind, with all of its fields beside it.

Since schema 3 a population is written as it is, by its membrane and its rule. Here the content of
an older bundle is rewritten in that form before it is decoded; the codec then judges it as any
other, and refuses what the older form could not hold either.
"""

from __future__ import annotations

from typing import Any

from .codec import Tree

SCHEMA = "2"

_LEAKY = ("tau", "r", "v_leak")
_CURRENT = ("tau_syn", "tau_mem", "r", "v_leak", "w_in")
_SPIKES = {"v_threshold": "threshold", "v_reset": "reset_to", "reset": "reset", "fires": "fires"}

_KINDS: dict[str, tuple[str, tuple[str, ...], str, dict[str, Any]]] = {
    "network.I": ("Integrator", ("r",), "Value", {}),
    "network.IF": ("Integrator", ("r",), "Spikes", {}),
    "network.LI": ("Leaky", _LEAKY, "Value", {}),
    "network.RectifiedLI": ("Leaky", _LEAKY, "Value", {"rectified": True}),
    "network.LIF": ("Leaky", _LEAKY, "Spikes", {}),
    "network.CubaLI": ("CurrentLeaky", _CURRENT, "Value", {}),
    "network.CubaLIF": ("CurrentLeaky", _CURRENT, "Spikes", {}),
}
"""Old name -> membrane, its fields, rule, and what the name itself says of the rule."""
_RESETS = ("value", "subtract")
"""The words of a reset then."""


def upgraded(content: Tree) -> Tree:
    """Return the content of a bundle with its neurons as schema 3 writes them."""
    match content:
        case {"map": {"network": {"nodes": list(nodes)} as network} as pieces}:
            network = {**network, "nodes": [_upgraded(node) for node in nodes]}
            return {**content, "map": {**pieces, "network": network}}
    return content


def _upgraded(node: Tree) -> Tree:
    kind = _KINDS.get(node["type"]) if _is_node(node) else None
    if kind is None or node.keys() & {"membrane", "rule"}:  # no older bundle has these
        return node
    if node.get("reset", "value") not in _RESETS:  # the codec refuses the old name
        return node
    membrane, inner, rule, fixed = kind
    outer = _SPIKES if rule == "Spikes" else {}
    return {
        "type": "network.Population",
        "membrane": {
            "type": f"neurons.{membrane}",
            **{key: node[key] for key in inner if key in node},
        },
        "rule": {
            "type": f"neurons.{rule}",
            **{new: node[old] for old, new in outer.items() if old in node},
            **fixed,
        },
        **{key: node[key] for key in node.keys() - {"type", *inner, *outer}},
    }


def _is_node(node: Tree) -> bool:
    return isinstance(node, dict) and isinstance(node.get("type"), str)
