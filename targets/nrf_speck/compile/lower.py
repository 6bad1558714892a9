"""From a legalised network and a scheme to integers. There is no freedom left here."""

from __future__ import annotations

from nrf_deploy.compiler.lowering import outputs
from nrf_deploy.compiler.quantize.scheme import Scheme
from nrf_deploy.diagnostics.findings import Finding
from nrf_deploy.ir.layer_view import layers
from nrf_deploy.ir.network import Input, Network, Population
from nrf_deploy.ir.program import Origin, Program, Synapses
from nrf_deploy.ir.program import Population as Core

from ..arithmetic.rules import EventsRule
from .branches import branches, key
from .lower_core import core, port


def lower(
    network: Network, scheme: Scheme, arithmetic: str = EventsRule.name
) -> tuple[Program, list[Finding]]:
    view = layers(network)
    synapses: list[Synapses] = []
    populations: list[Core] = []
    origins: list[Origin] = []
    for stop in view.stops:
        if type(network[stop]) is not Population:
            continue
        parts = branches(network, view, stop)
        keys = [key(b.link, stop) for b in parts]
        integers = {k: scheme.connections[k].weight for k in keys}
        numbers = scheme.populations[stop]
        links, cells = core(network, parts, stop, numbers.params, integers)
        synapses += links
        populations += cells
        origins.append(Origin(population=stop, node=stop, latency=0, scale=numbers.scale))
    program = Program(
        arithmetic=arithmetic,
        ports=tuple(port(n.name, n.shape) for n in network.of(Input)),
        synapses=tuple(synapses),
        populations=tuple(populations),
        outputs=outputs(network, [o.node for o in origins]),
        origins=tuple(origins),
    )
    return program, []
