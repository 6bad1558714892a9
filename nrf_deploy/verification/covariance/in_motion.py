"""The Galilean test of one bundle: a scene that moves w pixels a step faster.

Channels that are alike but for their velocities, u and u + w: what the first answers at x at
step t, the second answers at x + w t, when each event has been moved by w times its step. The
frame bounds how long that goes on, so the recording is cut into windows, each run from rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...findings import info
from ...network import Array
from ...progress import Progress, part, quiet
from ...recording import Recording
from .affine import BITS
from .fields import Seen
from .judge import KERNEL, WITHIN, galilean
from .moved import Answers, Move, answers, moved, targets, together
from .nouns import CHIP, EULER, NEAREST, Part, Row, Trial
from .relations import Match, motions
from .stages import Stage, depths

KEY, TITLE = "galilean", "Galilean: the scene moving faster"
ABOUT = (
    "The part of the spikes that is not where the motion takes it (for values: their relative "
    "distance), between channels whose velocities differ by so many pixels a step."
)
NONE = info(
    "COVARIANCE-NO-VELOCITIES",
    "no Galilean test: no two channels are alike but for a velocity of whole pixels a step",
    why="fields that stand still answer otherwise to a scene that moves; a network of these is "
    "covariant in space and time at the most",
    fix="adapt fields to velocities, and say so in receptive_fields (docs/receptive-fields.md)",
)
SHARE = 0.5  # of the frame's shorter side that a window may travel
WINDOWS = 2


def in_motion(
    recording: Recording,
    described: Sequence[Seen],
    stages: Sequence[Stage],
    progress: Progress = quiet,
) -> Trial:
    found = [(one, w, matches) for one in described for w, matches in motions(one)]
    if not found or len(recording.shape) != 3:
        return Trial(KEY, TITLE, ABOUT, (), (NONE,))
    depth = depths(stages[0].network)
    rows = tuple(
        _row(one, w, matches, stages, recording, depth[one.layer], progress)
        for one, w, matches in found
    )
    return Trial(KEY, TITLE, ABOUT, rows, tuple(galilean(rows)))


def _row(
    one: Seen,
    w: tuple[int, int],
    matches: Sequence[Match],
    stages: Sequence[Stage],
    recording: Recording,
    depth: int,
    progress: Progress,
) -> Row:
    node: Any = stages[0].network[one.layer]
    parts: dict[Match, dict[str, float]] = {m: {} for m in matches}
    errors, lost, spikes = {}, {}, None
    for stage in stages:
        part(progress, f"covariance in motion: {one.layer}, {w}, {stage.name}")
        found = _windows(one, w, matches, stage, recording, node.shape, progress)
        for match, answer in found.items():
            parts[match][stage.name] = answer.deviation(spikes=node.spikes).error
        whole = together(list(found.values())).deviation(spikes=node.spikes)
        errors[stage.name] = whole.error
        if node.spikes:
            lost[stage.name] = whole.lost
            spikes = whole.spikes if spikes is None else spikes
    return Row(
        first=one.layer,
        second=one.layer,
        transform=f"motion ({w[0]}, {w[1]})",
        depth=depth,
        spikes=spikes,
        errors=errors,
        lost=lost,
        causes=shares(errors),
        parts=tuple(Part(m.first, m.second, e) for m, e in parts.items()),
    )


def shares(errors: Mapping[str, float]) -> dict[str, float]:
    """What is off in float is the kernels'; what goes away with equal weights rounded equally is
    the weights'; the rest is what the chip does within a step."""
    trained, chip = errors[EULER], errors[CHIP]
    nearest = errors.get(NEAREST, chip)
    return {
        KERNEL: trained,
        BITS: max(chip - nearest, 0.0),
        WITHIN: max(nearest - trained, 0.0),
    }


def _windows(
    one: Seen,
    w: tuple[int, int],
    matches: Sequence[Match],
    stage: Stage,
    recording: Recording,
    shape: tuple[int, ...],
    progress: Progress,
) -> dict[Match, Answers]:
    """The answers of all windows, one behind the other."""
    run = stage.runs([one.layer], progress)
    held: dict[Match, list[Answers]] = {m: [] for m in matches}
    for window in windows(recording, w):
        given = sheared(window, w)
        first, second = (run(x)[one.layer] for x in given)
        for match in matches:
            steps = [
                answers(first, second, match, _targets(one, shape, t * np.array(w)), np.array([t]))
                for t in range(window.steps)
                if not np.any(t * np.array(w) % one.stride)
            ]
            held[match].append(together(steps))
    return {m: together(parts) for m, parts in held.items()}


def windows(recording: Recording, w: tuple[int, int]) -> Iterator[Recording]:
    """Those with most events, in their order: short enough to stay in the frame."""
    side = min(recording.shape[1:])
    steps = max(int(SHARE * side / max(map(abs, w))), 1)
    firsts = np.arange(0, max(recording.steps - steps, 0) + 1, steps)
    events = recording.start[np.minimum(firsts + steps, recording.steps)] - recording.start[firsts]
    for k in sorted(np.argsort(-events, kind="stable")[:WINDOWS]):
        yield recording.shifted(int(firsts[k])).until(steps)


def sheared(recording: Recording, w: tuple[int, int]) -> tuple[Recording, Recording]:
    """The events that stay within the frame, as they were and each moved by w times its step."""
    made: list[tuple[Recording, Recording]] = []
    for t in range(recording.steps):
        one = recording.shifted(t).until(1)
        made.append(moved(one, Move(np.eye(2), np.zeros(2), t * np.array(w, float))))
    return _after_one_another([a for a, _ in made]), _after_one_another([b for _, b in made])


def _after_one_another(steps: Sequence[Recording]) -> Recording:
    start = np.concatenate([[0], np.cumsum([len(r.index) for r in steps])]).astype(np.int64)
    index, value = (np.concatenate([getattr(r, f) for r in steps]) for f in ("index", "value"))
    return Recording(steps[0].shape, start, index, value, steps[0].dt)


def _targets(one: Seen, shape: tuple[int, ...], shift: Array) -> Array:
    return targets(one, shape, Move(np.eye(2), np.zeros(2), np.asarray(shift, float)))
