"""Spatial test of a bundle: kernels against transformed kernels, and a transformed input.

For each population with described receptive fields it compares channels that an affine map A
relates: their kernels, computed from the weights in float and on the chip; and, if A maps pixels
to pixels, their responses to the input and to the input after A.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.diagnostics.findings import Finding, info
from nrf_deploy.diagnostics.progress import Progress, part, quiet
from nrf_deploy.ir.recording import Recording

from .affine import compared
from .fields import Seen
from .judge import spatial
from .kernels import Kernels, kernels
from .layer import Lowered
from .moved import answers, around_the_middle, moved, on_pixels, targets, together
from .relations import Match, Relation, affine
from .types import CHIP_KERNELS, KERNELS, Part, Row, Trial
from .variants import Stage, busiest, depths

KEY, TITLE = "affine", "Affine: the image turned, scaled or sheared"
ABOUT = (
    "Kernels: the distance of a channel's kernel from the transformed one (root mean square over "
    "the pixels). Runs: the share of the spikes that is not where the map moves it (for values: "
    "their relative distance); - if the map leads between pixels, or the chip takes no events of "
    "such a value."
)
STEPS = 100
"""Number of steps of the input that are run: those with most events."""
NO_FIELDS = info(
    "COVARIANCE-NO-FIELDS",
    "no spatial test: the model does not describe the receptive fields of its channels",
    why="related kernels are found by their fields: scale, angle, ratio, orders",
    fix="give the module receptive_fields before export (docs/receptive-fields.md)",
)
NO_PAIRS = info(
    "COVARIANCE-NO-PAIRS",
    "no spatial test: no channel's field is another one's, turned, scaled or sheared",
    why="covariance needs both: the family of kernels has to be closed under the map",
    fix="add scales, angles or ratios",
)


NO_GRID = info(
    "COVARIANCE-NO-GRID",
    "no spatial test: the elements of the map are not pixels of one image",
    why="the input is not (channels, y, x), or the offset of the map is not a whole pixel",
    fix="describe fields on the grid of the input, with an integer offset",
)


def in_space(
    bundle: Bundle,
    recording: Recording,
    described: Sequence[Seen],
    stages: Sequence[Stage],
    progress: Progress = quiet,
) -> Trial:
    if not described:
        return Trial(KEY, TITLE, ABOUT, (), (NO_FIELDS,))
    lowered = Lowered.of(bundle)
    depth = depths(bundle.network)
    rows: list[Row] = []
    notes_found: list[Finding] = []
    for one in described:
        part(progress, f"covariance in space: kernels of {one.layer}")
        kernel_sets = kernels(lowered, one, progress) if lowered is not None else None
        for relation in affine(one):
            part(progress, f"covariance in space: {one.layer}, {relation.name}")
            row, notes = _row(
                one, relation, kernel_sets, stages, recording, bundle, depth[one.layer], progress
            )
            rows += [row] if row.errors else []
            notes_found += notes
    related = any(affine(one) for one in described)
    notes_found += spatial(rows) if rows else [NO_GRID if related else NO_PAIRS]
    return Trial(KEY, TITLE, ABOUT, tuple(rows), tuple(dict.fromkeys(notes_found)))


def _row(
    one: Seen,
    relation: Relation,
    kernel_sets: Kernels | None,
    stages: Sequence[Stage],
    recording: Recording,
    bundle: Bundle,
    depth: int,
    progress: Progress,
) -> tuple[Row, list[Finding]]:
    errors: dict[Match, dict[str, float]] = {m: {} for m in relation.matches}
    causes: list[Mapping[str, float]] = []
    for pair in compared(kernel_sets, one, relation) if kernel_sets is not None else ():
        errors[pair.match] |= {KERNELS: pair.model, CHIP_KERNELS: pair.chip}
        causes.append(pair.causes)
    spikes, lost, notes = _runs(one, relation, stages, recording, bundle, errors, progress)
    parts = tuple(Part(m.first, m.second, e) for m, e in errors.items() if e)
    names = dict.fromkeys(s for p in parts for s in p.errors)
    return Row(
        first=one.layer,
        second=one.layer,
        transform=relation.name,
        depth=depth,
        spikes=spikes,
        errors={s: _mean([p.errors[s] for p in parts if s in p.errors]) for s in names},
        lost=lost,
        causes={c: _mean([x[c] for x in causes]) for c in (causes[0] if causes else ())},
        parts=parts,
    ), notes


def _runs(
    one: Seen,
    relation: Relation,
    stages: Sequence[Stage],
    recording: Recording,
    bundle: Bundle,
    errors: dict[Match, dict[str, float]],
    progress: Progress,
) -> tuple[int | None, dict[str, float], list[Finding]]:
    """Compare the responses to the input and to the moved one; add the errors to `errors`."""
    node: Any = bundle.network[one.layer]
    move = around_the_middle(one, node.shape, relation.matrix)
    matches = [m for m in relation.matches if m.gain > 0 or not node.spikes]
    if not on_pixels(move) or len(recording.shape) != 3 or not matches:
        return None, {}, []
    pair = moved(busiest(recording, STEPS), move)
    to = targets(one, node.shape, move)
    spikes, lost, notes = None, {}, []
    for stage in stages:
        if stage.bundle is not None and (note := _too_large(stage.bundle, pair[1], relation)):
            notes.append(note)
            continue
        run = stage.runs([one.layer], progress)
        first, second = (run(x)[one.layer] for x in pair)
        answers_by_match = {m: answers(first, second, m, to) for m in matches}
        for match, answer in answers_by_match.items():
            errors[match][stage.name] = answer.deviation(spikes=node.spikes).error
        if node.spikes:
            whole = together(list(answers_by_match.values())).deviation(spikes=True)
            lost[stage.name] = whole.lost
            spikes = whole.spikes if spikes is None else spikes
    return spikes, lost, notes


def _too_large(bundle: Bundle, moved_input: Recording, relation: Relation) -> Finding | None:
    limit = min(port.range[1] for port in bundle.program.ports)
    largest = moved_input.value.max(initial=0)
    if largest <= limit:
        return None
    return info(
        "COVARIANCE-INPUT-RANGE",
        f"{relation.name} was not run on the chip: it takes input values up to {limit}, and an "
        f"event after the map counts {largest:g}",
        why=f"the map spreads the image over {relation.det:.0f} times the area, so each event "
        "counts this many times",
        fix="compile with --calibrate and a recording with such values, if the chip takes them",
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
