"""The cases: networks with their inputs."""

from __future__ import annotations

from functools import partial

from nrf_deploy.diagnostics.findings import MissingError, error
from nrf_deploy.testing.bench.case import Case, Problem

from . import build, covariant, yardstick
from .nmnist import problem as nmnist
from .sdks import SANAFE


def dense() -> Problem:
    program = build.dense(1024, 1024)
    return build.to_problem(program, build.events((1024,), 1000, 0.1, seed=1))


def two_layers() -> Problem:
    program = build.convolutions((2, 8, 16), 128, (200, 300), (1, 2))
    return build.to_problem(program, build.events((2, 128, 128), 300, 0.01, seed=1))


def four_layers() -> Problem:
    channels, strides = (2, 8, 16, 16, 32), (1, 2, 1, 2)
    program = build.convolutions(channels, 128, (200, 300, 300, 300), strides)
    return build.to_problem(program, build.events((2, 128, 128), 300, 0.01, seed=1))


def full_size(density: float) -> Problem:
    try:
        return covariant.problem(density)
    except MemoryError:
        raise MissingError(
            error("BENCH-MEMORY", "not enough memory", fix="run it where 4 GB are free")
        ) from None


def cases() -> list[Case]:
    return [
        Case("yardstick", "SANA-FE's DVS-gesture network, 1000 steps", yardstick.problem, SANAFE),
        Case("dense", "1024 to 1024, 10 % input, 1000 steps", dense),
        Case("nmnist", "the N-MNIST network on a camera's recording", nmnist),
        Case("conv128x2", "2 x 128 x 128, two convolutions, 1 % input, 300 steps", two_layers),
        Case("conv128x4", "2 x 128 x 128, four convolutions, 1 % input, 300 steps", four_layers),
        Case(
            "covariant-1",
            "the covariant network, 2 x 300 x 300, 1 per mille input",
            partial(full_size, 0.001),
        ),
        Case(
            "covariant-10",
            "the covariant network, 2 x 300 x 300, 10 per mille input",
            partial(full_size, 0.01),
        ),
    ]
