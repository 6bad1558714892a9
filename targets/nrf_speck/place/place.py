"""A program on the nine cores: which layer sits where, by matching their memories.

Each layer takes one core, and a core holds it if its kernel, neuron and bias memories are
large enough. That is a matching of layers with cores, found by augmenting paths: a layer
that finds its cores taken moves another one on, as long as that finds a core of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nrf_deploy.compiler.place.placement import Piece, Placement
from nrf_deploy.diagnostics.findings import Finding, TargetError, error, refuse
from nrf_deploy.ir.program import Program

from ..arithmetic.models import joins_wires
from ..chip import MEMORIES, Chip
from ..compile.core_form import Layer, cores

Need = Mapping[str, int]


def place(program: Program, chip: Chip) -> Placement:
    layers = cores(program)
    needs = {layer.name: need(layer) for layer in layers}
    could = {name: _could(n, chip) for name, n in needs.items()}
    found = matching(could)
    refuse(_faults(layers, needs, could, found, chip), TargetError)
    pieces = [
        Piece(found[p.name], p.name, (0,) * len(p.shape), p.shape, _used(needs[p.name], chip, core))
        for p in program.populations
        if (core := found.get(p.name)) is not None
    ]
    pieces += [
        Piece(found[conv.targets[0]], p.name, (0,) * len(p.shape), p.shape, {})
        for p in program.populations
        if joins_wires(p)
        for conv in program.out_of(p.name)
    ]
    order = [p.name for p in program.populations]
    pieces.sort(key=lambda piece: order.index(piece.population))
    budgets = tuple(b for name in MEMORIES for b in (name, _left(name)))
    return Placement(chip.name, chip.cores, {}, tuple(pieces), budgets=budgets)


def need(layer: Layer) -> dict[str, int]:
    """Words of each memory that this layer takes."""
    (c, *_), (f, y, x) = layer.input_shape, layer.output_shape
    leaks = layer.population.params.get("bias", 0)
    return {
        "kernel_words": c << (_bits(layer.conv.weight.shape[2] ** 2) + _bits(f)),
        "neuron_words": f << (_bits(y) + _bits(x)),
        "bias_words": f if bool(leaks if isinstance(leaks, int) else leaks.any()) else 0,
    }


def _bits(count: int) -> int:
    """Address bits for so many things."""
    return (count - 1).bit_length()


def _left(memory: str) -> str:
    return memory.replace("words", "left")


def _used(need: Need, chip: Chip, core: int) -> dict[str, int]:
    left = {_left(name): room - need[name] for name, room in chip.memory(core).items()}
    return {**need, **left}


def _could(need: Need, chip: Chip) -> tuple[int, ...]:
    """The cores that hold it, the smallest first."""
    order = sorted(
        range(chip.cores),
        key=lambda k: (k in chip.parallel_cores, sum(chip.memory(k).values()), k),
    )
    return tuple(k for k in order if all(need[m] <= room for m, room in chip.memory(k).items()))


def matching(could: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """As many layers as possible, each on a core of its own."""
    holder: dict[int, str] = {}

    def settled(name: str, tried: set[int]) -> bool:
        for core in could[name]:
            if core not in tried:
                tried.add(core)
                if core not in holder or settled(holder[core], tried):
                    holder[core] = name
                    return True
        return False

    for name in could:
        settled(name, set())
    return {name: core for core, name in holder.items()}


def _faults(
    layers: tuple[Layer, ...],
    needs: Mapping[str, Need],
    could: Mapping[str, tuple[int, ...]],
    found: Mapping[str, int],
    chip: Chip,
) -> Iterator[Finding]:
    if len(layers) > chip.cores:
        yield error(
            "SPECK-CORES",
            f"the model has {len(layers)} layers, {chip.name} {chip.cores} cores",
            why="each layer of neurons takes one core",
            fix="train with fewer layers",
        )
    for layer in layers:
        name, n = layer.name, needs[layer.name]
        if not could[name]:
            yield _too_large(layer, n, chip)
        elif name not in found and len(layers) <= chip.cores:
            taken = {core: other for other, core in found.items()}
            holders = ", ".join(f"{k} ({taken[k]})" for k in sorted(could[name]) if k in taken)
            yield error(
                "SPECK-PLACE",
                f"every core that could hold it is taken: {holders}",
                layer=name,
                why=f"it needs {_said(n)}",
                fix="make this layer, or one of those, smaller: fewer channels, a smaller map",
            )


def _too_large(layer: Layer, need: Need, chip: Chip) -> Finding:
    def over(core: int) -> float:
        room = chip.memory(core)
        return max(need[m] / room[m] for m in MEMORIES)

    nearest = min(range(chip.cores), key=over)
    c, f = layer.input_shape[0], layer.output_shape[0]
    k, (_, y, x) = layer.conv.weight.shape[2], layer.output_shape
    return error(
        "SPECK-MEMORY",
        f"it needs {_said(need)}; the nearest, core {nearest}, has {_said(chip.memory(nearest))}",
        layer=layer.name,
        why=f"a kernel of {k} x {k} from {c} to {f} features takes c 2^(ceil log2 k^2 + ceil log2 "
        f"f) words, {f} maps of {y} x {x} neurons f 2^(ceil log2 y + ceil log2 x)",
        fix="use fewer channels, a smaller kernel or map; just above a power of two they cost "
        "double",
    )


def _said(words: Need) -> str:
    return ", ".join(f"{words[m]:,} {m.replace('_', ' ')}" for m in MEMORIES)
