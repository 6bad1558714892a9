"""The smallest part of a bundle, and the shortest input, that still part from the other run.

Two parts are tried, the smaller first: the layer that is most off alone (against floats every
layer may be a little), on what reached it; and this layer with all that lies before it. The
input ends at the step where they part. A part is taken only if it was run and differs at the
same neuron, with the same values: a layer by itself can start differently (its bias worked
longer), and then it would show another error.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..bundle import Bundle
from ..findings import Finding, UsageError, error, info
from ..given import as_bundle
from ..layers import layers
from ..legalise import parse
from ..model import rule_findings
from ..network import Edge, Input, Network, Node, Output, Population
from ..program import Program
from ..progress import Progress, quiet
from ..recording import Recording
from ..reference.neurons import Decay
from ..text import several
from ..typed import demand
from .alone import alone
from .comparison import Comparison, Divergence
from .report import Report
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
        held = ", ".join(repr(o.population) for o in program.origins)
        return info(
            "VERIFY-BISECTED",
            f"{held} on {several(self.recording.events, 'event')}, up to step "
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
    found = _first(report)
    if found is None:
        raise UsageError(
            error(
                "VERIFY-BISECT-NOTHING",
                "the runs do not differ in any spike or integer state: there is nothing to find",
                fix="leave --bisect out",
            )
        )
    final = rewritten(bundle)
    for part, given, wanted in _parts(bundle, final, recording, report, found):
        tried = verify(part, given).comparison
        told = next((x.first for x in tried.layers if x.layer == wanted.layer), None)
        if told is not None and _same(told, wanted):
            return Part(part, given, told, _chosen(report, told))
    whole = report.comparison.first_divergence or found
    why = "no part of it by itself differs at the same neuron with the same values"
    return Part(bundle, recording.until(whole.step + 1), whole, why)


def rewritten(bundle: Bundle) -> Network:
    """The network that was lowered."""
    network = bundle.network
    for step in bundle.steps:
        network, _ = parse(step.rewrite).apply(network)
    return network


def _first(report: Report) -> Divergence | None:
    """Where the layer that is most off alone first differs; else where the runs part."""
    layers = () if report.alone is None else report.alone.layers
    own = [x for x in layers if x.first is not None]
    if not own:
        return report.comparison.first_divergence
    return max(own, key=lambda x: x.mismatches / max(x.spikes_right, 1)).first


def _chosen(report: Report, taken: Divergence) -> str:
    """Readers look for the layer where the runs part; say why it may be another."""
    first = report.comparison.first_divergence
    if report.alone is None or all(x.first is None for x in report.alone.layers):
        return "the runs part first in this layer"
    why = f"fed with what {report.comparison.right} gave, this layer is the one that is most off"
    if first is None or first.layer == taken.layer:
        return why
    return f"{why}; the whole runs part first in layer {first.layer!r}, at step {first.step:,}"


def _same(told: Divergence, wanted: Divergence) -> bool:
    sides = [(d.neuron, d.step, d.value.left, d.value.right) for d in (told, wanted)]
    return sides[0] == sides[1]


def _parts(
    bundle: Bundle, final: Network, recording: Recording, report: Report, found: Divergence
) -> Iterator[tuple[Bundle, Recording, Divergence]]:
    own = _alone(bundle, final, recording, report, found)
    if own is not None:
        yield (*own, found)
    first = _of(report.comparison, found.layer)
    if first is not None:
        kept = _before(final, found.layer)
        names = {n for n in kept if n in {p.name for p in bundle.program.populations}}
        network = _network(final, kept, found.layer)
        inputs = [n.name for n in final.of(Input)]
        if all(name in kept for name in inputs):
            part = _bundle(bundle, network, _program(bundle.program, names, found.layer))
            yield part, recording.until(first.step + 1), first


def _of(comparison: Comparison, layer: str) -> Divergence | None:
    return next((x.first for x in comparison.layers if x.layer == layer), None)


def _alone(
    bundle: Bundle, final: Network, recording: Recording, report: Report, found: Divergence
) -> tuple[Bundle, Recording] | None:
    """The layer by itself; None where its inputs are no spikes, come back from itself, or
    arrive with different latencies."""
    view, name = layers(final), found.layer
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
    own = alone(bundle.program, name, recording, report.traces[1])
    if own is None or len(own.program.ports) != 1:
        return None
    (first,), (port,) = late, own.program.ports
    network = _fed(final, name, sources[0].name, port.name)
    origins = tuple(replace(o, latency=o.latency - first) for o in own.program.origins)
    program = replace(own.program, origins=origins)
    given = own.recording.shifted(first).until(found.step + 1)
    return _bundle(bundle, network, program), given


def _before(network: Network, name: str) -> set[str]:
    """This node and all that leads to it."""
    found, ahead = {name}, [name]
    while ahead:
        new = [s for s in network.sources(ahead.pop()) if s not in found]
        found |= set(new)
        ahead += new
    return found


def _fed(network: Network, name: str, source: str, port: str) -> Network:
    """The layer between an Input in the place of its source and an Output."""
    kept, ahead = {name}, [name]
    while ahead:
        new = [s for s in network.sources(ahead.pop()) if s not in kept and s != source]
        kept |= set(new)
        ahead += new
    given = Input(name=port, port_shape=network[source].shape)
    edges = [(port if s == source else s, t) for s, t in network.edges if t in kept]
    return _closed(network, [given, *(n for n in network.nodes if n.name in kept)], edges, name)


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
    """With these populations and those that the model has not on the way between them."""
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
    """Leave out what belongs to the whole alone (its file's hash, a vendor's files); keep the
    findings that say where its firing rule comes from."""
    held = {p.name for p in program.populations}
    pieces = tuple(p for p in bundle.placement.pieces if p.population in held)
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
