"""Description of a tracker, by which all trackers of the paper can be configured."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from nrf_deploy.diagnostics.findings import Finding, UsageError, error
from nrf_deploy.io.toml_json import parse_toml

from .receptive_fields import Field, family, truncated

Neuron = Literal["li", "lif", "relu", "relu-frames"]
Start = Literal["theory", "uniform"]
Norm = Literal["scale", "batch"]
NEURONS: tuple[Neuron, ...] = get_args(Neuron)
MOTIONS = ("straight", "rotation", "scaling", "shear")


@dataclass(frozen=True)
class Block:
    """A block: average pooling, a convolution to `features` maps (odd width, size reduced only
    by the stride), normalisation, and neurons."""

    features: int
    kernel: int
    pool: int = 1
    stride: int = 1


@dataclass(frozen=True)
class Tracker:
    """A network that follows shapes: blocks, the mean over the temporal channels, a last
    convolution with a leaky integrator, and the coordinates of its soft maximum.

    The temporal channels are parallel copies of the blocks, which differ only in the time
    constants (in steps) of their neurons; `share` gives them the same kernels, so that a
    change of speed moves a response from one channel to the next. "relu" has no memory,
    "relu-frames" sees the last `frames` frames at once.
    """

    neuron: Neuron = "lif"
    size: int = 64
    shapes: int = 1
    blocks: tuple[Block, ...] = (Block(12, 11, pool=2, stride=2), Block(12, 7), Block(4, 7))
    head: int = 5
    time_constants: tuple[float, ...] = (2.0, 4.0, 8.0, 16.0)
    head_time: float = 4.0
    threshold: float = 3.0  # of a spike, in units of what one unit of input adds
    share: bool = True
    norm: Norm = "scale"
    learn_time: bool = False  # learned time constants are no longer a ladder
    space: Start = "theory"
    time: Start = "theory"
    scales: tuple[float, ...] = (0.5, 1.0, 2.0)  # variances, on the first block's grid
    ratios: tuple[float, ...] = (1.0,)
    directions: int = 4
    frames: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        faults = list(self.faults())
        if faults:
            raise ValueError("; ".join(faults))

    def faults(self) -> list[str]:
        side = self.size
        counts = (("shapes", self.shapes), ("frames", self.frames), ("directions", self.directions))
        faults = [f"{count} {what}" for what, count in counts if count < 1]
        faults += [] if self.blocks else ["no block"]
        for k, block in enumerate(self.blocks):
            if min(block.features, block.kernel, block.pool, block.stride) < 1:
                faults.append(f"block {k}: {block} has a number below 1")
                break
            if block.kernel % 2 == 0:
                faults.append(f"block {k}: a kernel of {block.kernel} pixels has no middle")
            side //= block.pool * block.stride
            if side < 1:
                faults.append(f"block {k}: nothing is left of {self.size} pixels")
        if self.neuron not in NEURONS:
            faults.append(f"{self.neuron!r} is none of {', '.join(NEURONS)}")
        if min((*self.time_constants, self.head_time), default=0) < 1:
            faults.append("a time constant is shorter than a step")
        if self.head % 2 == 0:
            faults.append(f"a head of {self.head} pixels has no middle")
        return faults

    @property
    def channels(self) -> int:
        """Number of parallel temporal channels: 1 if the neurons have no memory."""
        return len(self.time_constants) if self.remembers else 1

    @property
    def remembers(self) -> bool:
        return self.neuron in ("li", "lif")

    @property
    def inputs(self) -> int:
        return 2 * (self.frames if self.neuron == "relu-frames" else 1)

    @property
    def stride(self) -> int:
        """Pixels of the sensor in a pixel of the last map."""
        return math.prod(b.pool * b.stride for b in self.blocks)

    @property
    def offset(self) -> float:
        """Position on the sensor of the middle of the last map's first pixel."""
        offset, step = 0.0, 1
        for block in self.blocks:
            offset += step * (block.pool - 1) / 2
            step *= block.pool * block.stride
        return offset

    def fields(self) -> tuple[Field, ...]:
        """Return the fields from which the first block's kernels start by theory."""
        return family(self.scales, self.ratios, self.directions)

    def first_fields(self) -> list[Field]:
        """Return a field for each map, evenly, so that few maps also have all orders."""
        fields, count = self.fields(), self.blocks[0].features
        return [fields[k * len(fields) // count] for k in range(count)]

    def lint(self) -> list[Finding]:
        """Return a warning for fields that the first block's kernel truncates."""
        if self.space == "uniform":
            return []
        return truncated(self.first_fields(), self.blocks[0].kernel)


@dataclass(frozen=True)
class Training:
    """Training of a tracker, on new scenes for each batch."""

    batches: int = 240
    batch: int = 8
    warm_up: int = 40  # steps without gradient, so that slow neurons have filled
    steps: int = 40
    rate: float = 5e-3
    map_weight: float = 0.1  # of the heat map's cross entropy
    activity_weight: float = 0.03
    velocities: tuple[float, float] = (0.16, 1.28)  # pixels a step, drawn log-uniformly
    radii: tuple[float, float] = (4.0, 9.0)
    threshold: float = 0.9  # of a pixel: 0.9 gives one event for each edge that crosses it
    noise: float = 1.5e-3
    motions: tuple[str, ...] = ("straight",)
    seed: int = 0

    def __post_init__(self) -> None:
        faults = list(self.faults())
        if faults:
            raise ValueError("; ".join(faults))

    def faults(self) -> Iterator[str]:
        counts = (("batches", self.batches), ("scenes a batch", self.batch), ("steps", self.steps))
        yield from (f"{count} {what}" for what, count in counts if count < 1)
        if self.warm_up < 0:
            yield f"{self.warm_up} steps of warming up"
        if not 0 < self.rate < math.inf:
            yield f"a rate of {self.rate:g}"
        for what, (low, high) in (("velocities", self.velocities), ("radii", self.radii)):
            if not 0 < low <= high < math.inf:
                yield f"{what} from {low:g} to {high:g}"
        if not 0 < self.threshold <= 1:
            yield f"a pixel's threshold of {self.threshold:g}, which no edge reaches"
        if not 0 <= self.noise <= 1:
            yield f"a chance of noise of {self.noise:g}"
        if not self.motions:
            yield "no motion"
        for unknown in (m for m in self.motions if m not in MOTIONS):
            yield f"{unknown!r} is none of {', '.join(MOTIONS)}"


@dataclass(frozen=True)
class Config:
    """Configuration of a tracker and its training, as files and checkpoints contain it."""

    tracker: Tracker = field(default_factory=Tracker)
    training: Training = field(default_factory=Training)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class UnknownKeysError(ValueError):
    """Unknown keys, with the nearest known ones."""

    def __init__(self, where: str, unknown: Collection[str], known: Collection[str]):
        super().__init__(f"{where} has no {', '.join(map(repr, sorted(unknown)))}")
        near = [difflib.get_close_matches(name, known, 1) for name in sorted(unknown)]
        meant = " and ".join(name for names in near for name in names)
        hint = f"did you mean {meant}? " if meant else ""
        self.fix = f"{hint}its keys are {', '.join(known)} (docs/training.md)"


def config_from(data: Mapping[str, Any]) -> Config:
    """Create a configuration from a dictionary; refuse unknown keys."""
    tables = ("tracker", "training")
    if unknown := set(data) - set(tables):
        raise UnknownKeysError("a configuration", unknown, tables)
    tracker = dict(data.get("tracker", {}))
    if "blocks" in tracker:
        blocks = tracker["blocks"]
        tracker["blocks"] = tuple(_made(Block, b, "a block of [tracker]") for b in blocks)
    return Config(
        _made(Tracker, tracker, "[tracker]"),
        _made(Training, data.get("training", {}), "[training]"),
    )


def config_of(path: str | Path) -> Config:
    try:
        return config_from(parse_toml(Path(path).read_bytes()))
    except UnknownKeysError as unknown:
        finding = error("TRAINING-KEY-UNKNOWN", f"{path}: {unknown}", fix=unknown.fix)
        raise UsageError(finding) from unknown
    except (ValueError, OSError) as problem:
        what = f"{path}: {getattr(problem, 'strerror', None) or problem}"
        fix = "give a .toml with the keys of docs/training.md"
        raise UsageError(error("TRAINING-CONFIG", what, fix=fix)) from problem


def _made(kind: Any, data: Mapping[str, Any], where: str) -> Any:
    known = [f.name for f in fields(kind)]
    if unknown := set(data) - set(known):
        raise UnknownKeysError(where, unknown, known)
    lists = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    wrong = (_wrong(f.name, str(f.type), lists[f.name]) for f in fields(kind) if f.name in lists)
    problems = [w for w in wrong if w]
    if problems:
        raise ValueError("; ".join(problems))
    return kind(**lists)


def _wrong(name: str, annotated: str, value: Any) -> str | None:
    """Return what is wrong with the value of a field, or None."""
    numbers = isinstance(value, tuple) and all(type(v) in (int, float) for v in value)
    wanted = {
        "int": ("a whole number", type(value) is int),
        "float": ("a number", type(value) in (int, float)),
        "bool": ("true or false", type(value) is bool),
        "tuple[float, float]": ("two numbers", numbers and len(value) == 2),
        "tuple[float, ...]": ("numbers", numbers and len(value) > 0),
        "tuple[str, ...]": (
            "words",
            isinstance(value, tuple) and all(isinstance(v, str) for v in value),
        ),
        "Start": (" or ".join(get_args(Start)), value in get_args(Start)),
        "Norm": (" or ".join(get_args(Norm)), value in get_args(Norm)),
    }
    what, right = wanted.get(annotated, ("", True))
    return None if right else f"{name} is {value!r}, not {what}"
