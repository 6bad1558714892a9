"""Galilean test of a bundle, for a scene that moves w pixels a step faster.

It compares channels that differ only in their velocities, u and u + w: the response of the first
at x at step t is that of the second at x + w t, if each event is moved by w times its step. The
frame limits the time of this, so the recording is cut into windows, each run from the initial
state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import info
from nrf_deploy.diagnostics.progress import Progress, part, quiet
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.recording import Recording

from .affine import BITS
from .fields import Seen
from .judge import KERNEL, WITHIN, galilean
from .moved import Answers, Move, answers, moved, targets, together
from .relations import Match, motions
from .types import CHIP, EULER, NEAREST, Part, Row, Trial
from .variants import Stage, depths

KEY, TITLE = "galilean", "Galilean: the scene moving faster"
ABOUT = (
    "The share of the spikes that is not where the motion moves it (for values: their relative "
    "distance), between channels whose velocities differ by this many pixels a step."
)
NONE = info(
    "COVARIANCE-NO-VELOCITIES",
    "no Galilean test: no two channels differ only by a velocity of whole pixels a step",
    why="fields without a velocity respond differently to a scene that moves; a network of these "
    "is covariant in space and time at most",
    fix="adapt fields to velocities, and describe them in receptive_fields "
    "(docs/receptive-fields.md)",
)
SHARE = 0.5  # of the frame's shorter side that a window may move
WINDOWS = 2


def in_motion(
    recording: Recording,
    described: Sequence[Seen],
    stages: Sequence[Stage],
    progress: Progress = quiet,
) -> Trial:
    relations = [(one, w, matches) for one in described for w, matches in motions(one)]
    if not relations or len(recording.shape) != 3:
        return Trial(KEY, TITLE, ABOUT, (), (NONE,))
    depth = depths(stages[0].network)
    rows = tuple(
        _row(one, w, matches, stages, recording, depth[one.layer], progress)
        for one, w, matches in relations
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
        answers_by_match = _windows(one, w, matches, stage, recording, node.shape, progress)
        for match, answer in answers_by_match.items():
            parts[match][stage.name] = answer.deviation(spikes=node.spikes).error
        whole = together(list(answers_by_match.values())).deviation(spikes=node.spikes)
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
    """Divide an error: the error in float is due to kernels, the part that vanishes with equal
    weights rounded equally to weights, and the rest to the chip's steps."""
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
    """Return the responses of all windows, joined."""
    run = stage.runs([one.layer], progress)
    parts_by_match: dict[Match, list[Answers]] = {m: [] for m in matches}
    for window in windows(recording, w):
        both_inputs = sheared(window, w)
        first, second = (run(x)[one.layer] for x in both_inputs)
        for match in matches:
            steps = [
                answers(first, second, match, _targets(one, shape, t * np.array(w)), np.array([t]))
                for t in range(window.steps)
                if not np.any(t * np.array(w) % one.stride)
            ]
            parts_by_match[match].append(together(steps))
    return {m: together(parts) for m, parts in parts_by_match.items()}


def windows(recording: Recording, w: tuple[int, int]) -> Iterator[Recording]:
    """Yield the windows with most events, in order, short enough to stay in the frame."""
    side = min(recording.shape[1:])
    steps = max(int(SHARE * side / max(map(abs, w))), 1)
    firsts = np.arange(0, max(recording.steps - steps, 0) + 1, steps)
    events = recording.start[np.minimum(firsts + steps, recording.steps)] - recording.start[firsts]
    for k in sorted(np.argsort(-events, kind="stable")[:WINDOWS]):
        yield recording.shifted(int(firsts[k])).until(steps)


def sheared(recording: Recording, w: tuple[int, int]) -> tuple[Recording, Recording]:
    """Return the events that stay within the frame, unmoved and moved by w times their step."""
    pairs: list[tuple[Recording, Recording]] = []
    for t in range(recording.steps):
        one = recording.shifted(t).until(1)
        pairs.append(moved(one, Move(np.eye(2), np.zeros(2), t * np.array(w, float))))
    return _after_one_another([a for a, _ in pairs]), _after_one_another([b for _, b in pairs])


def _after_one_another(steps: Sequence[Recording]) -> Recording:
    start = np.concatenate([[0], np.cumsum([len(r.index) for r in steps])]).astype(np.int64)
    index, value = (np.concatenate([getattr(r, f) for r in steps]) for f in ("index", "value"))
    return Recording(steps[0].shape, start, index, value, steps[0].dt)


def _targets(one: Seen, shape: tuple[int, ...], shift: Array) -> Array:
    return targets(one, shape, Move(np.eye(2), np.zeros(2), np.asarray(shift, float)))
