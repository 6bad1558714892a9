"""Search for the smallest part of a bundle, and the shortest input, that still differ.

Two parts are tried, the smaller first: the layer with the largest error in isolation (against
floats every layer may have a small one), with its inputs; and this layer with all layers before
it. The input ends at the step of the first mismatch. A part is accepted only if it was run and
differs at the same neuron, with the same values: a layer in isolation can start differently (its
bias acted longer), and would then show another error.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.inputs import as_bundle
from nrf_deploy.compare.comparison import Comparison, Divergence
from nrf_deploy.compiler.passes import parse
from nrf_deploy.diagnostics.argument_types import demand
from nrf_deploy.diagnostics.findings import Finding, UsageError, error, info
from nrf_deploy.diagnostics.progress import Progress, quiet
from nrf_deploy.diagnostics.text import several
from nrf_deploy.engines.reference.neurons import Decay
from nrf_deploy.io.model import rule_findings
from nrf_deploy.ir.layer_view import layers
from nrf_deploy.ir.network import Edge, Input, Network, Node, Output, Population
from nrf_deploy.ir.program import Program
from nrf_deploy.ir.recording import Recording

from .attribution.isolated_layer import isolated
from .report.report import Report
from .verify import verify

Verify = Callable[[Bundle, Recording], Report]


@dataclass(frozen=True, eq=False)
class Part:
    """The smallest part of a bundle that still differs, to hand on.

    Attributes:
        bundle: The part.
        recording: The shortest input for it.
        divergence: Where the two runs of the part differ first.
        why: Why this part was chosen.
    """

    bundle: Bundle
    recording: Recording
    divergence: Divergence
    why: str

    def said(self) -> Finding:
        d, program = self.divergence, self.bundle.program
        names = ", ".join(repr(o.population) for o in program.origins)
        return info(
            "VERIFY-BISECTED",
            f"{names} on {several(self.recording.events, 'event')}, up to step "
            f"{self.recording.steps - 1:,}, still differs: {d.value.left} and {d.value.right}",
            layer=d.layer,
            neuron=d.neuron,
            step=d.step,
            why=self.why,
        )


def bisect(
    bundle: Bundle | str | Path,
    input: Recording,
    engine: str = "emulator",
    against: str | Path = "reference",
    *,
    report: Report | None = None,
    layer: str | None = None,
    behind: int = 0,
    decay: Decay = "euler",
    progress: Progress = quiet,
) -> Part:
    """Return the smallest part of a bundle, and the shortest input, that still differ.

    Args:
        bundle: What `compile` returns, or the path of a .nrfb file.
        input: What `read_recording` returns.
        engine: The engine in question, as in `verify`. Default: "emulator".
        against: The engine to trust, as in `verify`. Default: "reference".
        report: What `verify` returned for the same arguments. Default: it is made here.
        layer: Of a recording from silicon: its layer, as in `verify`.
        behind: Of a recording from silicon: its steps, as in `verify`. Default: 0.
        decay: How the reference steps, as in `verify`. Default: "euler".
        progress: Called as progress(done, of) with steps of each run. Default: silent.

    Returns:
        The Part: a bundle and a recording to hand on, where they differ, and why this part.

    Raises:
        UsageError: The runs do not differ (a ValueError), or as in `verify`.
        InputError: As in `verify`.
        MissingError: As in `verify`.
    """
    bundle = as_bundle(bundle)
    if report is not None:
        demand(report, Report, "a report", "pass what nrf_deploy.verify returns, or leave it out")

    def again(part: Bundle, recording: Recording) -> Report:
        return verify(
            part,
            recording,
            engine,
            against,
            decay=decay,
            layer=layer,
            behind=behind,
            progress=progress,
        )

    first = again(bundle, input) if report is None else report
    return smallest_part(bundle, input, first, again)


def smallest_part(bundle: Bundle, recording: Recording, report: Report, verify: Verify) -> Part:
    """Return the smallest part that differs; `verify` runs a part on the engines of `report`."""
    divergence = _first(report)
    if divergence is None:
        raise UsageError(
            error(
                "VERIFY-BISECT-NOTHING",
                "the runs do not differ in any spike or integer state: there is nothing to find",
                fix="leave --bisect out",
            )
        )
    final = rewritten(bundle)
    for part, part_input, wanted in _parts(bundle, final, recording, report, divergence):
        tried = verify(part, part_input).comparison
        first_mismatch = next((x.first for x in tried.layers if x.layer == wanted.layer), None)
        if first_mismatch is not None and _same(first_mismatch, wanted):
            return Part(part, part_input, first_mismatch, _chosen(report, first_mismatch))
    whole = report.comparison.first_divergence or divergence
    why = "no part of it in isolation differs at the same neuron with the same values"
    return Part(bundle, recording.until(whole.step + 1), whole, why)


def rewritten(bundle: Bundle) -> Network:
    """Return the network that was lowered."""
    network = bundle.network
    for step in bundle.steps:
        network, _ = parse(step.rewrite).apply(network)
    return network


def _first(report: Report) -> Divergence | None:
    """Return the first mismatch of the layer with the largest isolated error, or of the runs."""
    layers = () if report.alone is None else report.alone.layers
    differing = [x for x in layers if x.first is not None]
    if not differing:
        return report.comparison.first_divergence
    return max(differing, key=lambda x: x.mismatches / max(x.spikes_right, 1)).first


def _chosen(report: Report, taken: Divergence) -> str:
    """Return why this layer was chosen, which need not be the first that differs."""
    first = report.comparison.first_divergence
    if report.alone is None or all(x.first is None for x in report.alone.layers):
        return "the runs first differ in this layer"
    why = f"fed by {report.comparison.right}, this layer has the largest error"
    if first is None or first.layer == taken.layer:
        return why
    return f"{why}; the whole runs first differ in layer {first.layer!r}, at step {first.step:,}"


def _same(actual: Divergence, wanted: Divergence) -> bool:
    sides = [(d.neuron, d.step, d.value.left, d.value.right) for d in (actual, wanted)]
    return sides[0] == sides[1]


def _parts(
    bundle: Bundle, final: Network, recording: Recording, report: Report, divergence: Divergence
) -> Iterator[tuple[Bundle, Recording, Divergence]]:
    isolated_part = _alone(bundle, final, recording, report, divergence)
    if isolated_part is not None:
        yield (*isolated_part, divergence)
    first = _of(report.comparison, divergence.layer)
    if first is not None:
        kept = _before(final, divergence.layer)
        names = {n for n in kept if n in {p.name for p in bundle.program.populations}}
        network = _network(final, kept, divergence.layer)
        inputs = [n.name for n in final.of(Input)]
        if all(name in kept for name in inputs):
            part = _bundle(bundle, network, _program(bundle.program, names, divergence.layer))
            yield part, recording.until(first.step + 1), first


def _of(comparison: Comparison, layer: str) -> Divergence | None:
    return next((x.first for x in comparison.layers if x.layer == layer), None)


def _alone(
    bundle: Bundle, final: Network, recording: Recording, report: Report, divergence: Divergence
) -> tuple[Bundle, Recording] | None:
    """Return the layer in isolation, or None.

    It is None if its inputs are not spikes, come from itself or have different latencies.
    """
    view, name = layers(final), divergence.layer
    links = view.into(name)
    latency = {o.population: o.latency for o in bundle.program.origins}
    late = {latency.get(k.source, 0) for k in links}
    sources = [final[k.source] for k in links]
    fit = all(
        type(s) is Input or (type(s) is Population and s.spikes and s.name in latency)
        for s in sources
    )
    if report.traces is None or not fit or len(late) != 1 or any(k.back for k in links):
        return None
    isolated_layer = isolated(bundle.program, name, recording, report.traces[1])
    if isolated_layer is None or len(isolated_layer.program.ports) != 1:
        return None
    (first,), (port,) = late, isolated_layer.program.ports
    network = _fed(final, name, sources[0].name, port.name)
    origins = tuple(replace(o, latency=o.latency - first) for o in isolated_layer.program.origins)
    program = replace(isolated_layer.program, origins=origins)
    part_input = isolated_layer.recording.shifted(first).until(divergence.step + 1)
    return _bundle(bundle, network, program), part_input


def _before(network: Network, name: str) -> set[str]:
    """Return the names of this node and of all nodes that lead to it."""
    nodes, ahead = {name}, [name]
    while ahead:
        new = [s for s in network.sources(ahead.pop()) if s not in nodes]
        nodes |= set(new)
        ahead += new
    return nodes


def _fed(network: Network, name: str, source: str, port: str) -> Network:
    """Return a network of the layer between an Input, which replaces its source, and an Output."""
    kept, ahead = {name}, [name]
    while ahead:
        new = [s for s in network.sources(ahead.pop()) if s not in kept and s != source]
        kept |= set(new)
        ahead += new
    port_node = Input(name=port, port_shape=network[source].shape)
    edges = [(port if s == source else s, t) for s, t in network.edges if t in kept]
    return _closed(network, [port_node, *(n for n in network.nodes if n.name in kept)], edges, name)


def _network(network: Network, kept: Collection[str], name: str) -> Network:
    edges = [e for e in network.edges if set(e) <= set(kept)]
    return _closed(network, [n for n in network.nodes if n.name in kept], edges, name)


def _closed(network: Network, nodes: list[Node], edges: list[Edge], name: str) -> Network:
    end = "output"
    while any(n.name == end for n in nodes):
        end += "~"
    output = Output(name=end, port_shape=network[name].shape)
    ends = (*edges, (name, end))
    return Network((*nodes, output), ends, network.dt, loop_start=network.loop_start)


def _program(program: Program, names: Collection[str], name: str) -> Program:
    """Return a program of these populations and of those between them that the model lacks."""
    kept, ahead = set(names), list(names)
    while ahead:
        for s in program.into(ahead.pop()):
            if s.source not in kept and any(p.name == s.source for p in program.populations):
                kept.add(s.source)
                ahead.append(s.source)
    synapses = (
        replace(s, targets=tuple(t for t in s.targets if t in kept)) for s in program.synapses
    )
    return replace(
        program,
        synapses=tuple(s for s in synapses if s.targets),
        populations=tuple(p for p in program.populations if p.name in kept),
        outputs=(name,),
        origins=tuple(o for o in program.origins if o.population in kept),
    )


def _bundle(bundle: Bundle, network: Network, program: Program) -> Bundle:
    """Return a bundle of a part, with the findings on the origin of the firing rule.

    What belongs only to the whole (its file's hash, a vendor's files) is left out.
    """
    populations = {p.name for p in program.populations}
    pieces = tuple(p for p in bundle.placement.pieces if p.population in populations)
    return replace(
        bundle,
        network=network,
        program=program,
        source_sha256=None,
        steps=(),
        placement=replace(bundle.placement, pieces=pieces),
        findings=rule_findings(bundle.findings),
        artefacts={},
    )
