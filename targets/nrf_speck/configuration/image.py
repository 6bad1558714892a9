"""Conversion of a lowered and placed program to the configuration of a chip.

core_form.py describes the form of the program: each layer becomes the core of its placement.
Output layers are monitored, so that the host receives their spikes. The camera is off: the host
sends the events of a recording to the first layers, as in all other engines.
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
    "samna's verdict: samna 0.7, which needs no board, does not have {chip}, and the newer samna "
    "was not run. flash runs it, with a board"
)
SAMNA_LATER = "samna's verdict: samna checks the word stream (--image F.img)"


def configuration(program: Program, placement: Placement) -> Configuration:
    """Convert a placed program to a configuration, without a check (board_limits.faults)."""
    refuse(core_form.faults(program), TargetError)
    places = {piece.population: piece.core for piece in placement.pieces}
    refuse((_unplaced(n) for n in _names(program) if n not in places), TargetError)
    return Configuration(chip=placement.chip, cores=to_cores(program, places))


def _names(program: Program) -> list[str]:
    return [layer.name for layer in cores(program)]


def _unplaced(layer: str) -> Finding:
    return error(
        "SPECK-UNPLACED",
        "the bundle does not place this layer on a core",
        layer=layer,
        why="a program built by hand has no placement",
        fix="run it on the emulator (nrf-deploy run), or compile a model",
    )


def artefacts(program: Program, placement: Placement) -> dict[str, bytes]:
    """Return the files of a bundle: the configuration as samna's JSON."""
    return {ARTEFACT: tree.text(checked(program, placement)).encode()}


def warnings(program: Program, chip: str) -> list[Finding]:
    """Return the warnings of a board about these integers, which do not depend on the placement."""
    places = {layer.name: number for number, layer in enumerate(cores(program))}
    draft = Configuration(chip=chip, cores=to_cores(program, places))
    return [f for f in board_limits.board_faults(draft) if f.severity == "warning"]


def to_cores(program: Program, places: Mapping[str, int]) -> tuple[Core, ...]:
    """Convert the layers to cores with the indices `places`, in the program's order."""
    layers = cores(program)
    return tuple(_core(layer, layers, places, layer.name in program.outputs) for layer in layers)


def entries(program: Program) -> tuple[str, ...]:
    """Return the layers that receive a port's events."""
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
                "biases differ within a feature; a core has one per feature",
                layer=layer.name,
                fix="use one bias per feature",
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


# --- for nrf_deploy.flash --------------------------------------------------------


def checked(program: Program, placement: Placement) -> Configuration:
    """Return the configuration; raise a TargetError with all findings against it."""
    result = configuration(program, placement)
    refuse(board_limits.faults(result), TargetError)
    return result


def configuration_file(bundle: Bundle) -> Image:
    """Return the configuration as JSON, without an SDK (the rules are board_limits.faults)."""
    config = checked(bundle.program, bundle.placement)
    new = config.chip in tree.NEW
    return Image(
        data=tree.text(config).encode(),
        form="JSON, " + (NEW_FORM if new else "as samna 0.7 reads it (from_json)"),
        counts={
            "cores": len(config.cores),
            "weights": sum(core.weights.size for core in config.cores),
            "biases": sum(core.biases.size for core in config.cores if core.leaks),
            "neuron states": sum(core.initial.size for core in config.cores),
        },
        checks=("the rules of samna 0.7's validator, and the known limits of boards",),
        unchecked=(NO_ORACLE.format(chip=config.chip),) if new else (SAMNA_LATER,),
        suffix=JSON,
    )


def image(bundle: Bundle) -> Image:
    """Return samna's word stream, decoded and compared with the program's integers."""
    config = checked(bundle.program, bundle.placement)
    stream = client.encode(config)
    width = WIDTH[config.chip]
    bits = {4: 20, 8: 64}[width]
    return Image(
        data=stream.to_bytes(),
        form=f"{len(stream.words):,} words of {bits} bits, {width} bytes each, the low byte first",
        counts=stream.writes.counts(),
        checks=(
            "the configuration is valid by samna and by our rules",
            "the decoded words write every weight, bias and state of the program, and nothing else",
        ),
    )


def flash(bundle: Bundle, board: str, tick: float | None) -> Flashed:
    config = checked(bundle.program, bundle.placement)
    return boards.flash(config, board, bundle.network.dt if tick is None else tick)
