"""Placement of a program on the nine cores, by the sizes of their memories.

Each layer needs one core with sufficient kernel, neuron and bias memories. This is a matching
of layers and cores, computed with augmenting paths: if all cores for a layer are in use, a layer
on one of them is moved, provided that there is another core for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nrf_deploy.compiler import checks
from nrf_deploy.compiler.place.placement import Piece, Placement
from nrf_deploy.diagnostics.findings import Finding, TargetError, error, refuse
from nrf_deploy.ir.program import Program

from ..arithmetic.models import joins_wires
from ..chip import MEMORIES, PREFIX, Chip
from ..compile.core_form import Layer, cores

Need = Mapping[str, int]


def place(program: Program, chip: Chip) -> Placement:
    layers = cores(program)
    needs = {layer.name: need(layer) for layer in layers}
    could = {name: _could(n, chip) for name, n in needs.items()}
    core_of = matching(could)
    refuse(_faults(layers, needs, could, core_of, chip), TargetError)
    pieces = [
        Piece(core, p.name, (0,) * len(p.shape), p.shape, _used(needs[p.name], chip, core))
        for p in program.populations
        if (core := core_of.get(p.name)) is not None
    ]
    pieces += [
        Piece(core_of[conv.targets[0]], p.name, (0,) * len(p.shape), p.shape, {})
        for p in program.populations
        if joins_wires(p)
        for conv in program.out_of(p.name)
    ]
    order = [p.name for p in program.populations]
    pieces.sort(key=lambda piece: order.index(piece.population))
    budgets = tuple(b for name in MEMORIES for b in (name, _left(name)))
    return Placement(chip.name, chip.cores, {}, tuple(pieces), budgets=budgets)


def need(layer: Layer) -> dict[str, int]:
    """Return the words of each memory that this layer needs."""
    (c, *_), (f, y, x) = layer.input_shape, layer.output_shape
    leaks = layer.population.params.get("bias", 0)
    return {
        "kernel_words": c << (_bits(layer.conv.weight.shape[2] ** 2) + _bits(f)),
        "neuron_words": f << (_bits(y) + _bits(x)),
        "bias_words": f if bool(leaks if isinstance(leaks, int) else leaks.any()) else 0,
    }


def _bits(count: int) -> int:
    """Return the address bits of `count` items."""
    return (count - 1).bit_length()


def _left(memory: str) -> str:
    return memory.replace("words", "left")


def _used(need: Need, chip: Chip, core: int) -> dict[str, int]:
    left = {_left(name): room - need[name] for name, room in chip.memory(core).items()}
    return {**need, **left}


def _could(need: Need, chip: Chip) -> tuple[int, ...]:
    """Return the cores with sufficient memories, the smallest first."""
    order = sorted(
        range(chip.cores),
        key=lambda k: (k in chip.parallel_cores, sum(chip.memory(k).values()), k),
    )
    return tuple(k for k in order if all(need[m] <= room for m, room in chip.memory(k).items()))


def matching(could: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Assign as many layers as possible to different cores."""
    holder: dict[int, str] = {}

    def assign(name: str, tried: set[int]) -> bool:
        for core in could[name]:
            if core not in tried:
                tried.add(core)
                if core not in holder or assign(holder[core], tried):
                    holder[core] = name
                    return True
        return False

    for name in could:
        assign(name, set())
    return {name: core for core, name in holder.items()}


def _faults(
    layers: tuple[Layer, ...],
    needs: Mapping[str, Need],
    could: Mapping[str, tuple[int, ...]],
    core_of: Mapping[str, int],
    chip: Chip,
) -> Iterator[Finding]:
    if len(layers) > chip.cores:
        yield checks.cores(
            PREFIX,
            f"the model has {len(layers)} layers, each of which needs a core",
            chip.name,
            chip.cores,
            why="two layers of neurons cannot share a core",
            fix="train with fewer layers",
        )
    for layer in layers:
        name, n = layer.name, needs[layer.name]
        if not could[name]:
            yield _too_large(layer, n, chip)
        elif name not in core_of and len(layers) <= chip.cores:
            layer_on = {core: other for other, core in core_of.items()}
            users = [f"{k} ({layer_on[k]})" for k in sorted(could[name]) if k in layer_on]
            yield error(
                "SPECK-PLACE",
                f"all cores with sufficient memory are in use: {', '.join(users)}",
                layer=name,
                why=f"it needs {_text(n)}",
                fix="reduce the channels or the map of this layer or of one of those",
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
        f"it needs {_text(need)}; the nearest, core {nearest}, has {_text(chip.memory(nearest))}",
        layer=layer.name,
        why=f"a kernel of {k} x {k} from {c} to {f} features takes c 2^(ceil log2 k^2 + ceil log2 "
        f"f) words, {f} maps of {y} x {x} neurons f 2^(ceil log2 y + ceil log2 x)",
        fix="use fewer channels, a smaller kernel or map; just above a power of two, the need "
        "doubles",
    )


def _text(words: Need) -> str:
    return ", ".join(f"{words[m]:,} {m.replace('_', ' ')}" for m in MEMORIES)
