"""Faults of a bundle: pieces that are unsound, or that do not fit each other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nrf_deploy.compiler.place.placement import Piece, Placement
from nrf_deploy.engines.emulator import soundness
from nrf_deploy.ir import network_faults
from nrf_deploy.ir.network import Input

if TYPE_CHECKING:
    from .bundle import Bundle

MOST_CORES = 2**24


def faults(bundle: Bundle) -> Iterator[str]:
    """Yield every fault in words; checks that need sound pieces run last."""
    unsound = [*_program_faults(bundle), *network_faults.faults(bundle.network)]
    yield from unsound or _joints(bundle)


def _program_faults(bundle: Bundle) -> Iterator[str]:
    """Yield the faults that the golden engine refuses by the rules of an installed target.

    Without its target a program does not run: pipeline.target_of refuses it.
    """
    from nrf_deploy.compiler.target import targets

    yield from bundle.program.faults()
    target = targets().get(bundle.target)
    if target is None or any(True for _ in bundle.program.faults()):
        return
    if bundle.program.arithmetic not in target.arithmetics:
        yield (
            f"the target {target.name} has no arithmetic {bundle.program.arithmetic!r:.80}; "
            f"expected {' or '.join(target.arithmetics)}"
        )
        return
    rules: Any = target.arithmetics[bundle.program.arithmetic]
    for finding in soundness.findings(bundle.program, rules):
        yield f"{finding.layer!r}: {finding.what}" if finding.layer else finding.what


def _joints(bundle: Bundle) -> Iterator[str]:
    inputs = sum(math.prod(node.shape) for node in bundle.network.of(Input))
    ports = sum(math.prod(port.shape) for port in bundle.program.ports)
    if inputs != ports:
        yield f"the network takes {inputs:,} values a step, the program {ports:,}"
    yield from _placement_faults(bundle.placement)
    shapes = {p.name: p.shape for p in bundle.program.populations}
    for piece in bundle.placement.pieces:
        if not _inside(piece, shapes.get(piece.population, ())):
            yield (
                f"core {piece.core} holds neurons {piece.start}..{piece.stop} of "
                f"{piece.population!r}, which the program does not have"
            )
    nodes = {node.name: node for node in bundle.network.nodes}
    for origin in bundle.program.origins:
        node, shape = nodes.get(origin.node), shapes[origin.population]
        if node is not None and math.prod(node.shape) != math.prod(shape):
            yield (
                f"population {origin.population!r} of the shape {shape} stands for the node "
                f"{origin.node!r} of {node.shape}"
            )
    if bundle.placement.chip != bundle.chip:
        yield f"it is placed on {bundle.placement.chip!r:.80}, and made for {bundle.chip!r:.80}"


def _placement_faults(placement: Placement) -> Iterator[str]:
    if not 1 <= placement.chips <= placement.cores <= MOST_CORES:
        yield f"it has {placement.cores} cores on {placement.chips} chips; expected 1 or more each"
    for piece in placement.pieces:
        if not 0 <= piece.core < placement.cores:
            yield f"a piece is on core {piece.core}; expected 0 to {placement.cores - 1}"
    counts = [*placement.limits.values(), *(n for p in placement.pieces for n in p.used.values())]
    if any(not 0 <= n < 2**63 for n in counts):
        yield "a budget is below 0 or beyond 64 bits"


def _inside(piece: Piece, shape: tuple[int, ...]) -> bool:
    if not len(piece.start) == len(piece.stop) == len(shape) > 0:
        return False
    ends = zip(piece.start, piece.stop, shape, strict=True)
    return all(0 <= a <= b <= size for a, b, size in ends)
