"""A small model, calls of the command line, and what they answer."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from nrf_deploy.ir.network import IF, LIF, Edge, Input, Linear, Network, Node, Output

USAGE, INPUT, TARGET, MISSING = 2, 3, 4, 5


def small(**lif: Any) -> Network:
    """Return a network of three inputs, three LIF neurons and two IF neurons."""
    three, two = np.ones(3), np.ones(2)
    rng = np.random.default_rng(0)
    parameters = {
        "tau": three / 100, "r": three * 10, "v_leak": three * 0,
        "v_threshold": three, "v_reset": three * 0,
    } | lif  # fmt: skip
    nodes: tuple[Node, ...] = (
        Input(name="in", port_shape=(3,)),
        Linear(name="w", weight=rng.normal(size=(3, 3)) + 0.5),
        LIF(name="hidden", **parameters),
        Linear(name="v", weight=rng.normal(size=(2, 3)) + 0.5),
        IF(name="last", r=two * 1000, v_threshold=two, v_reset=two * 0),
        Output(name="out", port_shape=(2,)),
    )
    names = [n.name for n in nodes]
    edges: tuple[Edge, ...] = tuple(itertools.pairwise(names))
    return Network(nodes, edges, dt=1e-3)


def call(*words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the installed program in another process."""
    command = [sys.executable, "-m", "nrf_deploy", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


def answer(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    text = capsys.readouterr().err
    assert "Traceback" not in text
    return text


def unwrapped(text: str) -> str:
    """Join the lines of a text: their breaks depend on the length of the paths."""
    return " ".join(text.split())


def python(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own."""
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
