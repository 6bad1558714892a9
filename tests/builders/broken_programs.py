"""Copies of a program with one thing broken, by the names of its parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from nrf_deploy.ir.program import Program


def with_params(program: Program, name: str, **changed: Any) -> Program:
    populations = tuple(
        replace(p, params={**p.params, **changed}) if p.name == name else p
        for p in program.populations
    )
    return replace(program, populations=populations)


def with_synapses(program: Program, name: str, change: Callable[[Any], Any]) -> Program:
    assert any(s.name == name for s in program.synapses)
    synapses = tuple(change(s) if s.name == name else s for s in program.synapses)
    return replace(program, synapses=synapses)


def transposed(program: Program) -> Program:
    return with_synapses(program, "conv", lambda s: replace(s, weight=s.weight.swapaxes(2, 3)))


def flipped_linear(program: Program) -> Program:
    return with_synapses(program, "linear", lambda s: replace(s, weight=s.weight[:, ::-1]))
