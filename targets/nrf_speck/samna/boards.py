"""Boards, by way of samna: which are there, loading one, and reading it back.

Nobody here had a board. What is called follows samna 0.7.1.0 itself (its node, its device
controller and its event classes were run) and, for the newer samna, sinabs 3.1.3; the tests
run the worker against stand-ins of both. Assumed: a board holds its memories when the process
ends; answers come in the order of the questions; Speck 2e and 2f place neurons as Speck 2b.
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
"""Of the leak clock [data sheet, 3.2.6.1]."""
SETTLE_S = 1.0
"""From loading to the first event [sinabs waits as long]."""
ANSWER_S = 10.0


@dataclass(frozen=True, eq=False)
class Contents:
    """Every cell of every core in use: `places` rows of (kind, core, address), and values."""

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
        """Rows of (core, address, value), as they are written to a board."""
        mine = self.places[:, 0] == NEURON
        return np.column_stack([self.places[mine, 1:], self.values[mine]])

    def counts(self, first: int | None = None) -> dict[str, int]:
        kinds = self.places[:first, 0]
        return {NAMES[kind]: int((kinds == kind).sum()) for kind in (WEIGHT, BIAS, NEURON)}


def boards(chip: str) -> Boards:
    """Everything that samna finds; boards of this chip are those whose type begins with it."""
    _demand_samna(chip)
    expected = Expected({"boards": [str]})
    reply, _ = call(sdk_of(chip), {"action": "boards"}, expected, timeout_s=PATIENCE_S)
    found = reply["boards"]
    suiting = tuple(name for name in found if name.lower().startswith(chip))
    others = tuple(name for name in found if name not in suiting)
    return Boards(suiting, others, f"USB boards of the type {chip}*, by {sdk_of(chip).name}")


def flash(configuration: Configuration, board: str, tick: float) -> Flashed:
    """Loads the board, writes every neuron's state (a board keeps random ones), reads back."""
    refuse(board_limits.faults(configuration), TargetError)
    clock = _clock(configuration, tick)
    held = Contents.of(configuration)
    request = {
        "action": "flash",
        "chip": configuration.chip,
        "configuration": tree.text(configuration),
        "board": board,
        "clock_hz": clock,
        "settle_s": SETTLE_S,
        "answer_s": ANSWER_S,
    }
    arrays = {"states": held.states(), "memories": held.places}
    expected = Expected(arrays={"read": Numbers((Upto("read", len(held.values)),))})
    sdk = sdk_of(configuration.chip)
    _, answer = call(sdk, request, expected, arrays, FLASH_PATIENCE_S)
    read = answer["read"]
    same = read == held.values[: len(read)]
    equal = Contents(held.places[: len(read)][same], read[same])
    found = tuple(_findings(held, read, board))
    return Flashed(board, held.counts(), equal.counts(), found)


def _clock(configuration: Configuration, tick: float) -> float:
    """Hertz of the leak clock; 0 where no core leaks."""
    if not any(core.leaks for core in configuration.cores):
        return 0.0
    hertz = 1 / tick
    low, high = CLOCK_HZ
    if not low <= hertz <= high:
        raise TargetError(
            error(
                "SPECK-CLOCK",
                f"a step of {tick:g} s asks for a leak clock of {hertz:g} Hz; the board's runs "
                f"from {low:g} to {high:g} Hz",
                fix="give the length of a step in seconds by --tick, such as --tick 1e-3",
            )
        )
    return hertz


def _findings(held: Contents, read: Array, board: str) -> Iterator[Finding]:
    differ = np.flatnonzero(read != held.values[: len(read)])
    if len(differ):
        kind, core, address = held.places[differ[0]].tolist()
        yield error(
            "FLASH-DIFFERS",
            f"{len(differ):,} of {len(read):,} values of {board} are not what was written",
            why=f"the first: {NAMES[kind]} of core {core} at {address} read {read[differ[0]]}, "
            f"not {held.values[differ[0]]}",
            fix="load it again; if it stays so, the board or its link is not sound",
        )
    if len(read) < len(held.values):
        yield warning(
            "FLASH-UNREAD",
            f"{board} gave back {len(read):,} of {len(held.values):,} values",
            why="it stopped answering; what was not read may be as written, or not",
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
