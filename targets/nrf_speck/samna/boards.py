"""Boards through samna: list them, load one and read it back.

Not tested with a board. The calls follow samna 0.7.1.0 (its node, its device controller and its
event classes were run) and, for the newer samna, sinabs 3.1.3; the tests run the worker with
stand-ins of both. Assumed: a board keeps its memories when the process ends; answers come in the
order of the requests; Speck 2e and 2f address neurons as Speck 2b.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nrf_deploy.compiler.abilities import Boards, Flashed
from nrf_deploy.diagnostics.findings import (
    Finding,
    MissingError,
    TargetError,
    error,
    refuse,
    warning,
)
from nrf_deploy.engines.sdk.environments import installed_python, status
from nrf_deploy.engines.sdk.reply import Expected, Numbers, Upto
from nrf_deploy.engines.sdk.worker import call
from nrf_deploy.ir.network import Array

from ..configuration import board_limits, tree
from ..configuration.configuration import Configuration
from ..configuration.word_stream import BIAS, NAMES, NEURON, WEIGHT, memories
from .client import FLASH_PATIENCE_S, PATIENCE_S, sdk_of

CLOCK_HZ = (10.0, 10_000.0)
"""Range of the leak clock [data sheet, 3.2.6.1]."""
SETTLE_S = 1.0
"""Time from loading to the first event [the same as in sinabs]."""
ANSWER_S = 10.0


@dataclass(frozen=True, eq=False)
class Contents:
    """Memory cells of the cores in use: `places`, rows of (kind, core, address), and values."""

    places: Array
    values: Array

    @staticmethod
    def of(configuration: Configuration) -> Contents:
        rows = [
            (kind, core.index, address, value)
            for core in configuration.cores
            for kind, cells in memories(core, configuration.chip).items()
            for address, value in cells.items()
        ]
        table = np.array(rows, np.int64).reshape(-1, 4)
        return Contents(table[:, :3], table[:, 3])

    def states(self) -> Array:
        """Return rows of (core, address, value) to write to a board."""
        rows = self.places[:, 0] == NEURON
        return np.column_stack([self.places[rows, 1:], self.values[rows]])

    def counts(self, first: int | None = None) -> dict[str, int]:
        kinds = self.places[:first, 0]
        return {NAMES[kind]: int((kinds == kind).sum()) for kind in (WEIGHT, BIAS, NEURON)}


def boards(chip: str) -> Boards:
    """List the boards that samna finds; boards of this chip have a type that begins with it."""
    _demand_samna(chip)
    expected = Expected({"boards": [str]})
    reply, _ = call(sdk_of(chip), {"action": "boards"}, expected, timeout_s=PATIENCE_S)
    names = reply["boards"]
    matching = tuple(name for name in names if name.lower().startswith(chip))
    others = tuple(name for name in names if name not in matching)
    return Boards(matching, others, f"USB boards of the type {chip}*, by {sdk_of(chip).name}")


def flash(configuration: Configuration, board: str, tick: float) -> Flashed:
    """Load the board, write the state of each neuron (random on a board), and read it back."""
    refuse(board_limits.faults(configuration), TargetError)
    clock = _clock(configuration, tick)
    contents = Contents.of(configuration)
    request = {
        "action": "flash",
        "chip": configuration.chip,
        "configuration": tree.text(configuration),
        "board": board,
        "clock_hz": clock,
        "settle_s": SETTLE_S,
        "answer_s": ANSWER_S,
    }
    arrays = {"states": contents.states(), "memories": contents.places}
    expected = Expected(arrays={"read": Numbers((Upto("read", len(contents.values)),))})
    sdk = sdk_of(configuration.chip)
    _, answer = call(sdk, request, expected, arrays, FLASH_PATIENCE_S)
    read = answer["read"]
    same = read == contents.values[: len(read)]
    equal = Contents(contents.places[: len(read)][same], read[same])
    findings = tuple(_findings(contents, read, board))
    return Flashed(board, contents.counts(), equal.counts(), findings)


def _clock(configuration: Configuration, tick: float) -> float:
    """Return the frequency of the leak clock in Hz; 0 if no core leaks."""
    if not any(core.leaks for core in configuration.cores):
        return 0.0
    hertz = 1 / tick
    low, high = CLOCK_HZ
    if not low <= hertz <= high:
        raise TargetError(
            error(
                "SPECK-CLOCK",
                f"a step of {tick:g} s needs a leak clock of {hertz:g} Hz; the board supports "
                f"{low:g} to {high:g} Hz",
                fix="set the length of a step in seconds, such as --tick 1e-3",
            )
        )
    return hertz


def _findings(contents: Contents, read: Array, board: str) -> Iterator[Finding]:
    differ = np.flatnonzero(read != contents.values[: len(read)])
    if len(differ):
        kind, core, address = contents.places[differ[0]].tolist()
        yield error(
            "FLASH-DIFFERS",
            f"{len(differ):,} of {len(read):,} values of {board} differ from the written values",
            why=f"the first: {NAMES[kind]} of core {core} at {address} read {read[differ[0]]}, "
            f"not {contents.values[differ[0]]}",
            fix="load it again; if they still differ, the board or its link is faulty",
        )
    if len(read) < len(contents.values):
        yield warning(
            "FLASH-UNREAD",
            f"{board} returned {len(read):,} of {len(contents.values):,} values",
            why="it stopped answering; the other values are not verified",
            fix="load it again",
        )


def _demand_samna(chip: str) -> None:
    sdk = sdk_of(chip)
    if installed_python(sdk) is None:
        raise MissingError(
            error(
                "SDK-MISSING",
                f"boards of {chip} are found by {sdk.name}, which is not installed",
                fix=status(sdk).todo,
            )
        )
