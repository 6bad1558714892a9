"""The spatial test of one bundle: kernels against transformed kernels, and a moved input.

For each population whose receptive fields are described: its channels that an affine map A
relates, by the kernels that their weights make, in float and on the chip; and, where A takes
pixels to pixels, by what they answer to the input and to the input after A.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...bundle import Bundle
from ...findings import Finding, info
from ...progress import Progress, part, quiet
from ...recording import Recording
from .affine import compared
from .fields import Seen
from .judge import spatial
from .kernels import Kernels, kernels
from .layer import Lowered
from .moved import answers, around_the_middle, moved, on_pixels, targets, together
from .nouns import CHIP_KERNELS, KERNELS, Part, Row, Trial
from .relations import Match, Relation, affine
from .stages import Stage, busiest, depths

KEY, TITLE = "affine", "Affine: the image turned, scaled or sheared"
ABOUT = (
    "Kernels: how far a channel's kernel is from the one that the map makes of it (root mean "
    "square over the pixels). Runs: the part of the spikes that is not where the map takes it "
    "(for values: their relative distance); - where the map leads between pixels, or the chip "
    "takes no events of such a value."
)
STEPS = 100
"""Steps of the input, the busiest, that are run."""
NO_FIELDS = info(
    "COVARIANCE-NO-FIELDS",
    "no spatial test: the model does not say which receptive fields its channels have",
    why="kernels that a map relates are found by their fields: scale, angle, ratio, orders",
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
    "no spatial test: the places of the map are not pixels of one image",
    why="the input is no (channels, y, x), or the offset of the map on it is no whole pixel",
    fix="describe fields on the grid of the input, with a whole offset",
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
    said: list[Finding] = []
    for one in described:
        part(progress, f"covariance in space: kernels of {one.layer}")
        held = kernels(lowered, one, progress) if lowered is not None else None
        for relation in affine(one):
            part(progress, f"covariance in space: {one.layer}, {relation.name}")
            row, notes = _row(
                one, relation, held, stages, recording, bundle, depth[one.layer], progress
            )
            rows += [row] if row.errors else []
            said += notes
    related = any(affine(one) for one in described)
    said += spatial(rows) if rows else [NO_GRID if related else NO_PAIRS]
    return Trial(KEY, TITLE, ABOUT, tuple(rows), tuple(dict.fromkeys(said)))


def _row(
    one: Seen,
    relation: Relation,
    held: Kernels | None,
    stages: Sequence[Stage],
    recording: Recording,
    bundle: Bundle,
    depth: int,
    progress: Progress,
) -> tuple[Row, list[Finding]]:
    errors: dict[Match, dict[str, float]] = {m: {} for m in relation.matches}
    causes: list[Mapping[str, float]] = []
    for pair in compared(held, one, relation) if held is not None else ():
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
    """The answers to the input and to the moved one; adds to `errors`."""
    node: Any = bundle.network[one.layer]
    move = around_the_middle(one, node.shape, relation.matrix)
    matches = [m for m in relation.matches if m.gain > 0 or not node.spikes]
    if not on_pixels(move) or len(recording.shape) != 3 or not matches:
        return None, {}, []
    given = moved(busiest(recording, STEPS), move)
    to = targets(one, node.shape, move)
    spikes, lost, notes = None, {}, []
    for stage in stages:
        if stage.bundle is not None and (note := _too_large(stage.bundle, given[1], relation)):
            notes.append(note)
            continue
        run = stage.runs([one.layer], progress)
        first, second = (run(x)[one.layer] for x in given)
        found = {m: answers(first, second, m, to) for m in matches}
        for match, answer in found.items():
            errors[match][stage.name] = answer.deviation(spikes=node.spikes).error
        if node.spikes:
            whole = together(list(found.values())).deviation(spikes=True)
            lost[stage.name] = whole.lost
            spikes = whole.spikes if spikes is None else spikes
    return spikes, lost, notes


def _too_large(bundle: Bundle, given: Recording, relation: Relation) -> Finding | None:
    most = min(port.range[1] for port in bundle.program.ports)
    largest = given.value.max(initial=0)
    if largest <= most:
        return None
    return info(
        "COVARIANCE-INPUT-RANGE",
        f"{relation.name} was not run on the chip: it takes input values up to {most}, and an "
        f"event after the map counts {largest:g}",
        why=f"the map spreads the image over {relation.det:.0f} times the area, so each event "
        "counts as often",
        fix="compile with --calibrate and a recording that has such values, if the chip takes them",
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
