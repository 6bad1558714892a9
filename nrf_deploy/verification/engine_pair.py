"""Refusal of engines that cannot be compared, or not with these options."""

from __future__ import annotations

from collections.abc import Iterator

from nrf_deploy.diagnostics.findings import Finding, error

OWN = ("emulator", "reference")
"""The runs whose difference --attribute divides among causes."""


def pair_faults(engine: str, against: str, causes: bool = False) -> Iterator[Finding]:
    """Refuse an engine against itself, and causes of any other difference than `OWN`."""
    if engine == against:
        yield error(
            "VERIFY-SAME-ENGINE",
            f"--engine and --against are both {engine!r}; expected two engines",
            why="a run is always equal to itself: that shows nothing",
            fix="give --against another engine, or a recording",
        )
    elif causes and (engine, against) != OWN:
        yield error(
            "VERIFY-ATTRIBUTE-PAIR",
            f"--attribute is used for {engine} against {against}; expected emulator against "
            "reference",
            why="it divides the error of the chip's integers against the float model, and says "
            "nothing about the difference of other runs",
            fix="leave --attribute out, or leave out --engine and --against",
        )
