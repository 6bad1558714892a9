"""Errors of Speck's integers on N-MNIST: our choice of them beside sinabs' rule.

sinabs scales a layer by min(127 / max |w|, 127 / max |b|, 32767 / theta) and rounds weights,
biases and threshold. Our rule uses an integer threshold, which is not rounded, and chooses it by
the error of the weights, or by spikes on calibration data (the mirror image of the recording; the
errors are those of the recording). Everything runs by the same rules in time steps, and is
compared with the same rules in floats, as sinabs runs the trained model: several spikes a step,
at the threshold, which is subtracted.

"alone": each layer receives the float model's spikes, so only its own integers count; "in the
network" a layer inherits the errors of the layers before it. The numbers are excess and missing
spikes of the neurons in the steps.

    python benchmarks/speck_quantiser.py ../shared
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TypeGuard

import numpy as np

import nrf_deploy as nd
from nrf_deploy import neurons
from nrf_deploy.compiler.quantize.rules import Rules
from nrf_deploy.compiler.quantize.scheme import ConnectionScheme, PopulationScheme, Scheme
from nrf_deploy.diagnostics.text import table
from nrf_deploy.engines.emulator.engine import Engine
from nrf_deploy.engines.reference.connections import connection
from nrf_deploy.io.recordings import read
from nrf_deploy.ir.layer_view import layers
from nrf_deploy.ir.network import Array, Input, Network, Node, Population
from nrf_deploy.ir.program import Program
from nrf_deploy.ir.recording import Recording
from nrf_speck.arithmetic.kernels import StepsKernels
from nrf_speck.arithmetic.rules import StepsArithmetic
from nrf_speck.compile.branches import branches, key, rows
from nrf_speck.compile.lower import lower
from nrf_speck.compile.lower_core import core, port

Spikes = Mapping[str, Array]


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    options.add_argument("shared", type=Path, help="the folder with conformance/ and recordings/")
    shared = options.parse_args().shared
    model = nd.read(shared / "conformance/nir/cnn_sinabs.nir", dt=1, producer="nir").network
    model = dataclasses.replace(model, nodes=tuple(map(_as_trained, model.nodes)))
    shape = next(model.of(Input)).shape
    seen = read(shared / "recordings/nmnist_sample.npz", shape=shape, dt=1.0, bin=1e-3)[0]
    mirrored = Recording.from_dense(seen.dense()[..., ::-1], seen.dt)
    network = nd.check(model, "speck2b").network
    wanted = in_floats(network, seen)
    schemes = {"sinabs' rule": by_sinabs(network)}
    for name, rules, data in (
        ("by weights", Rules(error="weights"), None),
        ("by spikes", Rules(error="spikes"), mirrored),
    ):
        scheme = nd.check(model, "speck2b", data, rules).scheme
        assert scheme is not None
        schemes[name] = scheme
    for how, off in (("alone", isolated), ("in the network", together)):
        errors_of = {name: off(network, scheme, seen, wanted) for name, scheme in schemes.items()}
        lines = [
            (n, f"{int(wanted[n].sum()):,}", *(f"{errors_of[s][n]:,}" for s in schemes))
            for n in (p.name for p in network.of(Population))
        ]
        total = ("all", "", *(f"{sum(errors_of[s].values()):,}" for s in schemes))
        print(f"{how}: spikes too many or too few in a step of a neuron\n")
        print(table(("layer", "spikes", *schemes), [*lines, total], "lr" + "r" * len(schemes)))
        print()


def _as_trained(node: Node) -> Node:
    return node.with_(reset="subtract", fires="at") if is_if(node) else node


def is_if(node: Node) -> TypeGuard[Population]:
    """Return whether these are integrators that spike by the plain rule."""
    return (
        type(node) is Population
        and type(node.membrane) is neurons.Integrator
        and type(node.rule) is neurons.Spikes
        and node.features <= {"reset=subtract", "reset_to", "fires=at"}
    )


def in_floats(network: Network, recording: Recording) -> Spikes:
    """Run the rules in time steps with the model's float weights."""
    frames: dict[str, Array] = {}
    for name in network.order:
        node, sources = network[name], network.sources(name)
        if isinstance(node, Input):
            frames[name] = recording.dense().astype(np.float32)
        elif is_if(node):
            frames[name] = _integrated(node, frames[sources[0]])
        elif sources and network.targets(name):
            frames[name] = connection(node)(frames[sources[0]])  # type: ignore[arg-type]
    return {n.name: frames[n.name].astype(np.int64) for n in network.of(Population)}


def _integrated(node: Population, arriving: Array) -> Array:
    assert type(node.membrane) is neurons.Integrator
    assert type(node.rule) is neurons.Spikes
    v, theta = np.zeros(node.shape), node.rule.threshold.astype(np.float64)
    out = np.zeros(arriving.shape, np.float32)
    for t, x in enumerate(arriving):
        v = v + node.membrane.r * x
        out[t] = np.maximum(np.floor(v / theta), 0)
        v = v - out[t] * theta
    return out


def by_sinabs(network: Network) -> Scheme:
    view = layers(network)
    connections, populations = {}, {}
    for node in filter(is_if, network.nodes):
        assert type(node.rule) is neurons.Spikes
        parts = branches(network, view, node.name)
        weights = {key(b.link, node.name): rows(b) for b in parts}
        theta = float(node.rule.threshold.max())
        scale = min(127 / max(np.abs(w).max() for w in weights.values()), 32767 / theta)
        for name, w in weights.items():
            integers = np.rint(w * scale).astype(np.int64)
            connections[name] = ConnectionScheme(np.array(scale), integers, 8)
        params: dict[str, Array | int] = {"threshold_high": round(theta * scale)}
        populations[node.name] = PopulationScheme(params, {"v": np.array(scale)})
    return Scheme(connections, populations)


def together(
    network: Network, scheme: Scheme, recording: Recording, wanted: Spikes
) -> dict[str, int]:
    program, _ = lower(network, scheme, StepsArithmetic.name)
    outputs = Engine(program, StepsArithmetic(), StepsKernels()).run(recording).outputs
    return {n: int(np.abs(outputs[n].dense() - w).sum()) for n, w in wanted.items()}


def isolated(
    network: Network, scheme: Scheme, recording: Recording, wanted: Spikes
) -> dict[str, int]:
    view, errors = layers(network), {}
    for name, spikes in wanted.items():
        parts = branches(network, view, name)
        integers = {k: scheme.connections[k].weight for k in (key(b.link, name) for b in parts)}
        params = scheme.populations[name].params
        synapses, populations = core(network, parts, name, params, integers)
        (source,) = {b.source for b in parts}
        ports = (port(source, network[source].shape),)
        program = Program(
            arithmetic=StepsArithmetic.name,
            ports=ports,
            synapses=synapses,
            populations=populations,
            outputs=(name,),
        )
        stimulus = Recording.from_dense(wanted[source]) if source in wanted else recording
        got = Engine(program, StepsArithmetic(), StepsKernels()).run(stimulus, [name]).outputs[name]
        errors[name] = int(np.abs(got.dense() - spikes).sum())
    return errors


if __name__ == "__main__":
    main()
