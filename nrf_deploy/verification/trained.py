"""Verification of a model against its framework: the first link of the chain, in detail.

A recording that the user made in the framework is replayed in the float model, layer by layer.
Where they differ, other readings are tried: of the layer that differs first, and of the whole file
by each producer's dialect.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack, cast, get_args

from nrf_deploy.diagnostics.argument_types import demand_path
from nrf_deploy.diagnostics.findings import Finding, InputError, NrfError, error, info, warning
from nrf_deploy.diagnostics.text import finding_text, printable, several, table, wrap
from nrf_deploy.io.file_types import demand_kind
from nrf_deploy.io.model import Model, rule_findings
from nrf_deploy.io.rule_options import Producer, RuleOptions
from nrf_deploy.ir.network import Network
from nrf_deploy.ir.recording import Recording
from nrf_deploy.ir.trained import Trained, trained_json
from nrf_deploy.neurons.spikes import Reset
from nrf_deploy.witness.cut import with_undecided
from nrf_deploy.witness.origin import UNSTATED, differs, hash_of, other_producer
from nrf_deploy.witness.reading import File, as_model
from nrf_deploy.witness.recorded import read_recorded
from nrf_deploy.witness.replay import WORK, Layer, replay

SCHEMA_VERSION = 1
SILENT = "WITNESS-SILENT"
TRIALS = 50
"""Other readings of a file are tried with this part of the cost of a replay."""
FIELDS = {"reset": get_args(Reset), "floor": ("none",), "per_step": ("one",)}
"""Fields that a producer's layers often have with another value than its default."""
LEGEND = (
    "events: spikes of the framework in the steps that were replayed, or values that are not 0; "
    "near: spikes that differ within 1e-5 of the threshold; differs at: step and neuron of the "
    "first difference, each layer in isolation"
)


@dataclass(frozen=True, eq=False)
class TrainedReport:
    """The result of a comparison of a model with its framework.

    Attributes:
        trained: The first link; unknown where the model differs.
        layers: Each recorded layer, fed with what the framework gave to it.
        findings: The first difference with its likely cause, and remarks.
        producers: Options with which the whole file would be equal: "--producer snntorch".
    """

    trained: Trained
    layers: tuple[Layer, ...]
    findings: tuple[Finding, ...]
    producers: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<TrainedReport: {self.verdict}>"

    @property
    def passed(self) -> bool:
        """True if no finding is an error."""
        return not any(f.severity == "error" for f in self.findings)

    @property
    def exit_code(self) -> int:
        """The exit code of `nrf-deploy verify`: 0 or 1."""
        return 0 if self.passed else 1

    @property
    def verdict(self) -> str:
        """The verdict in one line."""
        if self.passed:
            return f"passed: trained = read: {self.trained.text}"
        if any(f.code == SILENT for f in self.findings):
            return "nothing was compared: no layer gave a spike or a value"
        equal = sum(x.first is None for x in self.layers)
        return (
            f"differs: {equal} of {several(len(self.layers), 'layer')} "
            f"{'is' if equal == 1 else 'are'} what the framework ran"
        )

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "schema_version": SCHEMA_VERSION,
            "passed": self.passed,
            "verdict": self.verdict,
            "trained": trained_json(self.trained),
            "layers": [_layer_json(x) for x in self.layers],
            "producers": list(self.producers),
            "findings": [f.as_json() for f in self.findings],
        }

    def text(self) -> str:
        """Return the layers, the findings and the verdict as text of at most 80 columns."""
        rows = [
            (
                x.name,
                f"{x.neurons:,}",
                f"{x.events:,}",
                f"{x.near:,}",
                "no" if x.first is None else f"{x.first.step} {_neuron(x.first.neuron)}",
            )
            for x in self.layers
        ]
        head = ("layer", "neurons", "events", "near", "differs at")
        parts = [
            table(head, rows, "lrrrl", names=True),
            wrap(LEGEND),
            *(finding_text(f) for f in self.findings),
            wrap(f"verdict: {printable(self.verdict)}", then="         "),
        ]
        return "\n\n".join(parts)


def _neuron(index: tuple[int, ...]) -> str:
    return f"({','.join(map(str, index))})"


def _layer_json(layer: Layer) -> dict[str, Any]:
    first = layer.first
    return {
        "layer": layer.name,
        "neurons": layer.neurons,
        "events": layer.events,
        "near": layer.near,
        "first": None
        if first is None
        else {
            "step": first.step,
            "neuron": list(first.neuron),
            "variable": first.variable,
            "framework": _number(first.theirs),
            "model": _number(first.ours),
        },
    }


def _number(value: float) -> float | str:
    """Return a number, or text for one that JSON lacks."""
    return value if abs(value) < float("inf") else str(value)


def verify_trained(
    model: Model | Network | str | Path,
    against: File,
    input: Recording | None = None,
    *,
    dt: float | None = None,
    **options: Unpack[RuleOptions],
) -> TrainedReport:
    """Compare a model with a recording that was made in its training framework.

    Args:
        model: What `read` or `from_torch` returns, a Network, or the path of a .nir file.
        against: The path of the recording (.npz): the input and the output of each layer
            (docs/from-your-framework.md).
        input: The input, for a recording without one. Default: the recording's own.
        dt: Of a path: the time step, as in `read`. Default: the file's own.
        options: Of a path: producer, reset, fires and so on, as in `read`. Default: as the
            file states.

    Returns:
        The TrainedReport: each layer, the first difference and its likely cause.

    Raises:
        InputError: A model or a recording that cannot be read, or do not fit each other.
        UsageError: An argument of a wrong type (a TypeError) or value (a ValueError).
    """
    demand_path(against)
    demand_kind(against, "recording")
    try:
        read_model = as_model(model, dt, **options)
    except InputError as refusal:
        if not any(f.code == UNSTATED for f in refusal.findings):
            raise
        trials = _producers(model, dt, against, input)
        raise InputError(_proposed(f, trials) for f in refusal.findings) from None
    witnesses = read_recorded(against, read_model.network, input)
    result = replay(read_model.network, witnesses, hash_of(witnesses))
    trained = with_undecided(read_model.network, witnesses, result.trained)
    findings = [*rule_findings(read_model.findings), *_remarks(trained)]
    findings += other_producer(witnesses, options.get("producer"))
    producers: list[str] = []
    if result.first is not None:
        named = witnesses[0].producer
        producers = [words for words, _ in _producers(model, dt, against, input, named).equal]
        finding = differs(read_model.network, witnesses, result)
        findings.append(_with_producers(finding, producers))
    elif trained.state != "exact":
        findings.append(_silent())
    return TrainedReport(trained, result.layers, tuple(findings), tuple(producers))


def _silent() -> Finding:
    return error(
        SILENT,
        "no neurons gave a spike or a value in the recording: nothing was compared",
        why="the input is too weak or too short",
        fix="record a stronger or longer input, in which every layer spikes",
    )


@dataclass(frozen=True)
class _Trials:
    """Readings of a file by producers.

    `equal`: the options with which it is equal, and the steps that were replayed; `tried`: the
    producers whose readings were compared; `refused`: those that cannot read the file so.
    """

    equal: tuple[tuple[str, int], ...] = ()
    tried: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def _producers(
    model: object, dt: float | None, against: File, stimulus: Recording | None, named: str = ""
) -> _Trials:
    """Return which readings of a file are equal to a recording, which may name its producer.

    First each producer with its defaults; if none is equal, each with one other field of the
    rule, then with two.
    """
    if not isinstance(model, str | Path):
        return _Trials()
    misfits: list[NrfError] = []
    tried: dict[str, None] = {}
    refused: dict[str, None] = {}
    known: tuple[str, ...] = get_args(Producer)
    producers = (named,) if named in known else known
    for count in range(len(FIELDS) + 1):
        equal = []
        for producer, fields in itertools.product(producers, _overrides(count)):
            options = cast(RuleOptions, {"producer": producer, **fields})
            try:
                network = as_model(model, dt, **options).network
            except NrfError:
                refused[producer] = None
                continue
            try:
                witnesses = read_recorded(against, network, stimulus)
            except NrfError as misfit:
                misfits.append(misfit)
                continue
            tried[producer] = None
            result = replay(network, witnesses, work=WORK // TRIALS)
            if result.first is None and result.trained.state == "exact":
                equal.append((_words(options), result.trained.steps))
        if misfits and not tried:
            raise misfits[0]
        if equal:
            break
    others = (p for p in refused if p not in tried)
    return _Trials(tuple(equal), tuple(tried), tuple(others))


def _overrides(count: int) -> list[dict[str, str]]:
    """Return every choice of `count` fields of the rule, each with every value."""
    chosen = itertools.combinations(FIELDS, count)
    return [
        dict(zip(names, values, strict=True))
        for names in chosen
        for values in itertools.product(*(FIELDS[name] for name in names))
    ]


def _words(options: RuleOptions) -> str:
    return " ".join(f"--{key.replace('_', '-')} {value}" for key, value in options.items())


def _proposed(finding: Finding, trials: _Trials) -> Finding:
    """Return the refusal of a file that does not state its rule, with what the recording shows."""
    if finding.code != UNSTATED or finding.severity != "error" or not trials.tried:
        return finding
    if not trials.equal:
        why = f"read by --producer {' or '.join(trials.tried)} it is not what the recording holds"
        if trials.refused:
            why += f"; {', '.join(trials.refused)} were not tried: they need more options (--dt)"
        return error(finding.code, finding.what, why=why, fix=finding.fix, layer=finding.layer)
    steps = trials.equal[0][1]
    names = " or ".join(words for words, _ in trials.equal)
    fix = f"give {names}: the model is then equal to the recording on {several(steps, 'step')}"
    return error(finding.code, finding.what, why=finding.why, fix=fix, layer=finding.layer)


def _with_producers(finding: Finding, producers: list[str]) -> Finding:
    if not producers:
        return finding
    names = " or ".join(producers)
    return error(
        finding.code,
        finding.what,
        why=finding.why,
        fix=f"read it with {names}: the whole model is then equal; or {finding.fix}",
        layer=finding.layer,
        neuron=finding.neuron,
        step=finding.step,
    )


def _remarks(trained: Trained) -> Iterator[Finding]:
    """Yield what limits the statement."""
    if trained.steps < trained.offered:
        yield info(
            "WITNESS-STEPS",
            f"{trained.steps:,} of {trained.offered:,} steps were replayed",
            why="the network is large, and the cost of a replay is bounded",
        )
    if trained.missing:
        yield warning(
            "WITNESS-LAYERS",
            f"the recording has no output of {', '.join(map(repr, trained.missing)):.400}",
            why="such a layer is compared only by its effect on the layers behind it",
            fix="save the output of every layer",
        )
    for place in trained.places:
        yield info("WITNESS-NEAR", f"within rounding of the threshold: {place}")
    if trained.whole:
        yield info(
            "WITNESS-WHOLE",
            f"if the whole model runs, {several(trained.whole, 'output')} differ after them",
        )
    for text in trained.undecided:
        yield info("WITNESS-UNDECIDED", text)
