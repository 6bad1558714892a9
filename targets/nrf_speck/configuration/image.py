"""From a lowered program and its places to the configuration of a chip.

The program's form is described in core_form.py: each layer becomes the core that its placement
names. Layers that are outputs are monitored, so that the host receives their spikes. The
camera stays off: the events of a recording go to the first layers from the host, as in every
other engine here.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.flash import JSON
from nrf_deploy.compiler.abilities import Flashed, Image
from nrf_deploy.compiler.place.placement import Placement
from nrf_deploy.diagnostics.findings import Finding, TargetError, error, refuse
from nrf_deploy.ir.program import Program

from ..arithmetic.rules import parameters
from ..compile import core_form
from ..compile.core_form import Layer, cores
from ..samna import boards, client
from . import board_limits, tree
from .configuration import Configuration, Core, Destination
from .word_stream import WIDTH

ARTEFACT = "speck/configuration.json"
NEW_FORM = "the fields that a network sets, by the names of the Speck dev kit's data sheet"
NO_ORACLE = (
    "samna's own verdict: samna 0.7, which judges without a board, has no {chip}, and the samna "
    "that has it was not asked. flash asks it, with a board"
)
SAMNA_LATER = "samna's own verdict: it is asked for the words (--image F.img)"


def configuration(program: Program, placement: Placement) -> Configuration:
    """What the chip is told; nothing here judges it (config_board.faults does)."""
    refuse(core_form.faults(program), TargetError)
    places = {piece.population: piece.core for piece in placement.pieces}
    refuse((_unplaced(n) for n in _names(program) if n not in places), TargetError)
    return Configuration(chip=placement.chip, cores=made_of(program, places))


def _names(program: Program) -> list[str]:
    return [layer.name for layer in cores(program)]


def _unplaced(layer: str) -> Finding:
    return error(
        "SPECK-UNPLACED",
        "the bundle does not say on which core this layer is",
        layer=layer,
        why="a program that was built by hand has no placement",
        fix="run it on the emulator (nrf-deploy run), or compile a model",
    )


def artefacts(program: Program, placement: Placement) -> dict[str, bytes]:
    """The files of a bundle: the configuration as samna's JSON."""
    return {ARTEFACT: tree.text(checked(program, placement)).encode()}


def warnings(program: Program, chip: str) -> list[Finding]:
    """What a board will do with these integers that the user should know, wherever they go."""
    places = {layer.name: number for number, layer in enumerate(cores(program))}
    made = Configuration(chip=chip, cores=made_of(program, places))
    return [f for f in board_limits.board_faults(made) if f.severity == "warning"]


def made_of(program: Program, places: Mapping[str, int]) -> tuple[Core, ...]:
    """The layers as cores, each on its place, in the program's order."""
    layers = cores(program)
    return tuple(_core(layer, layers, places, layer.name in program.outputs) for layer in layers)


def entries(program: Program) -> tuple[str, ...]:
    """The layers that take a port's events."""
    ports = {port.name for port in program.ports}
    return tuple(layer.name for layer in cores(program) if ports & {w.source for w in layer.wires})


def _core(
    layer: Layer, layers: tuple[Layer, ...], places: Mapping[str, int], monitored: bool
) -> Core:
    conv, population = layer.conv, layer.population
    params = parameters(population)
    bias, initial = (
        np.broadcast_to(params[name], population.shape).reshape(layer.output_shape)
        for name in ("bias", "v0")
    )
    if (bias != bias[:, :1, :1]).any():
        raise TargetError(
            error(
                "SPECK-BIAS-SPREAD",
                "biases differ within a feature; a core has one for each",
                layer=layer.name,
                fix="give one bias a feature",
            )
        )
    return Core(
        index=places[layer.name],
        layer=layer.name,
        input_shape=layer.input_shape,
        output_shape=layer.output_shape,
        kernel=conv.weight.shape[2],
        stride=conv.stride,
        padding=tuple(before for before, _ in conv.padding),
        weights=conv.weight,
        biases=bias[:, 0, 0],
        initial=initial,
        threshold_high=int(params["threshold_high"]),
        threshold_low=int(params["threshold_low"]),
        returns_to_zero=bool(params["returns_to_zero"]),
        leaks=bool(bias.any()),
        monitored=monitored,
        destinations=tuple(
            Destination(core=places[w.target], pooling=w.pooling, shift=w.shift)
            for target in layers
            for w in target.wires
            if w.source == layer.name
        ),
    )


# --- what nrf_deploy.flash asks for ----------------------------------------------


def checked(program: Program, placement: Placement) -> Configuration:
    """The configuration, or a TargetError with everything that speaks against it."""
    made = configuration(program, placement)
    refuse(board_limits.faults(made), TargetError)
    return made


def configuration_file(bundle: Bundle) -> Image:
    """The configuration as JSON. It needs no SDK: the rules are ours (config_board.faults)."""
    made = checked(bundle.program, bundle.placement)
    new = made.chip in tree.NEW
    return Image(
        data=tree.text(made).encode(),
        form="JSON, " + (NEW_FORM if new else "as samna 0.7 reads it (from_json)"),
        counts={
            "cores": len(made.cores),
            "weights": sum(core.weights.size for core in made.cores),
            "biases": sum(core.biases.size for core in made.cores if core.leaks),
            "neuron states": sum(core.initial.size for core in made.cores),
        },
        checks=("the rules of samna 0.7's validator, and what a board does not do, as we know it",),
        unchecked=(NO_ORACLE.format(chip=made.chip),) if new else (SAMNA_LATER,),
        suffix=JSON,
    )


def image(bundle: Bundle) -> Image:
    """The word stream by samna, decoded by us and compared with the program's integers."""
    made = checked(bundle.program, bundle.placement)
    stream = client.encode(made)
    width = WIDTH[made.chip]
    bits = {4: 20, 8: 64}[width]
    return Image(
        data=stream.to_bytes(),
        form=f"{len(stream.words):,} words of {bits} bits, {width} bytes each, the low byte first",
        counts=stream.writes.counts(),
        checks=(
            "samna finds the configuration valid, and so do we",
            "the words, decoded again, write every weight, bias and state of the program, "
            "and nothing else",
        ),
    )


def flash(bundle: Bundle, board: str, tick: float | None) -> Flashed:
    made = checked(bundle.program, bundle.placement)
    return boards.flash(made, board, bundle.network.dt if tick is None else tick)
