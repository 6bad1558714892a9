"""What a user says about the machine: one record, from a preset, a file, or a line of options.

A machine is named by text alone, so that a bundle needs no file beside it:

    emulator                                    a preset (chips.toml)
    emulator:weight_bits=4,reset=subtract       a preset with options
    path/to/mychip.toml                         a file with the same keys (and `base`, a preset)

`full_name` turns the last two into the second form with its options in order.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from nrf_deploy.diagnostics.findings import Finding, InputError, UsageError, error, refuse
from nrf_deploy.io.files import content
from nrf_deploy.io.toml_json import TOML_LIMIT, parse_toml, toml_table

DEFAULT = "emulator"
DECIDING = ("weight_bits", "state_bits", "threshold_bits")
"""Bits that call for other fraction_bits than the preset's."""
CHOICES = {
    "rounding": ("zero", "floor", "nearest"),
    "message_rounding": ("zero", "floor", "nearest"),
    "overflow": ("saturate", "wrap"),
    "reset": ("both", "value", "subtract"),
    "leak": ("exponential", "subtractive"),
    "fires": ("both", "above", "at"),
}
RANGES = {
    "weight_bits": (2, 24),
    "decay_bits": (1, 24),
    "state_bits": (4, 32),
    "threshold_bits": (2, 32),
    "sum_bits": (4, 32),
    "message_bits": (2, 24),
    "fraction_bits": (0, 16),
    "latency": (0, 1),
}
WAY = "docs/emulator-target.md shows what such a file holds (weight_bits = 4 on a line of its own)"
BUDGETS = ("neurons", "weights", "memory_bytes", "longest_delay")
LARGEST = 2**48


@dataclass(frozen=True)
class Settings:
    """Bits count the sign. A budget of None is no limit."""

    weight_bits: int = 8
    decay_bits: int = 12  # a decay counts 1 / 2^decay_bits a step
    state_bits: int = 24  # potentials and currents
    threshold_bits: int | None = None  # thresholds; None: as many as the potential
    sum_bits: int = 24  # what arrives at a neuron in a step, in units of a weight
    message_bits: int = 16  # the payload that a neuron without threshold sends
    fraction_bits: int = 6  # a potential counts 1 / 2^fraction_bits of a weight
    rounding: str = "zero"  # of decays
    message_rounding: str = "nearest"  # of payloads
    overflow: str = "saturate"  # of sums, currents, potentials and payloads
    reset: str = "both"  # what a spike can do to the potential
    leak: str = "exponential"  # of the potential
    fires: str = "both"  # above the threshold, or at it: what neurons can do
    latency: int = 0  # steps that a layer takes
    neurons: int | None = None
    weights: int | None = None
    memory_bytes: int | None = None
    longest_delay: int | None = None

    @property
    def largest_weight(self) -> int:
        """The grid of weights is symmetric."""
        return (1 << self.weight_bits - 1) - 1

    @property
    def largest_payload(self) -> int:
        return (1 << self.message_bits - 1) - 1

    @property
    def largest_state(self) -> int:
        return (1 << self.state_bits - 1) - 1

    @property
    def largest_threshold(self) -> int:
        return (1 << (self.threshold_bits or self.state_bits) - 1) - 1

    @property
    def largest_sum(self) -> int:
        return (1 << self.sum_bits - 1) - 1

    @property
    def lacking(self) -> dict[str, str]:
        """What a scheme may ask for and this machine does not have: its key, and why."""
        found = {"exponent": "a weight of this machine counts single units"}
        if self.leak == "subtractive":
            found["decay"] = "a leak that subtracts an amount has no ratio to keep"
        return found


KEYS = tuple(f.name for f in dataclasses.fields(Settings))


@cache
def presets() -> Mapping[str, Mapping[str, Any]]:
    return parse_toml(files("nrf_emulator").joinpath("chips.toml").read_bytes())


def settings(name: str) -> Settings:
    """The settings of a preset, or of a preset with options."""
    base, _, options = name.partition(":")
    values = {k: v for k, v in presets()[base].items() if k != "about"}
    return _completed(values, _options(options))


def _completed(preset: Mapping[str, Any], options: Mapping[str, Any]) -> Settings:
    """With the preset's fraction_bits if the options give none, or as many as the potential has."""
    found = Settings(**{**preset, **options})
    if "fraction_bits" in options:
        return found
    return dataclasses.replace(found, fraction_bits=min(found.fraction_bits, found.state_bits - 2))


def without_fraction(name: str) -> bool:
    """Does this full name leave fraction_bits to the model?"""
    values = _options(name.partition(":")[2])
    return "fraction_bits" not in values and any(key in values for key in DECIDING)


def has_own_bits(name: str) -> bool:
    """Did the user choose bits that can keep weights from using theirs?"""
    deciding = {*DECIDING, "sum_bits", "fraction_bits"}
    return not deciding.isdisjoint(_options(name.partition(":")[2]))


def with_fraction(name: str, bits: int) -> str:
    base, _, options = name.partition(":")
    return _named(base, {**_options(options), "fraction_bits": bits})


def full_name(given: str) -> str | None:
    """The name that says everything, of a file or of a preset with options; None of others."""
    base, colon, options = given.partition(":")
    if base in presets():
        values = _options(options)
        found = list(_faults(values, base, f"--target {given}"))
        if colon and not options:
            found.append(_no_option(given))
        refuse(found, UsageError)
        return _named(base, values)
    return _of_file(given) if Path(given).suffix == ".toml" else None


def _of_file(path: str) -> str:
    table = toml_table(content(path, TOML_LIMIT), path, "EMULATOR-FILE-MALFORMED", WAY)
    base = table.pop("base", DEFAULT)
    table.pop("about", None)
    known = isinstance(base, str) and base in presets()
    found = [] if known else [_unknown("base", f"{base!s:.80}", presets(), path)]
    found += _faults(table, DEFAULT if found else base, path)
    refuse(found, InputError)
    return _named(base, table)


def _named(base: str, values: Mapping[str, Any]) -> str:
    """Only what differs from the preset, in the order of the settings; beside other bits also
    fraction_bits that are the preset's, since without them others may be chosen."""
    usual = settings(base)
    own = {k: v for k, v in values.items() if v != getattr(usual, k)}
    if any(key in own for key in DECIDING) and "fraction_bits" in values:
        own["fraction_bits"] = values["fraction_bits"]
    differ = [f"{k}={own[k]}" for k in KEYS if k in own]
    return f"{base}:{','.join(differ)}" if differ else base


def _options(text: str) -> dict[str, Any]:
    """key=value,... as values: whole numbers where they are some."""
    values: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        key, equals, value = (word.strip() for word in part.partition("="))
        if not equals:
            raise UsageError(_no_option(part))
        if key in values:
            what = f"the option {key} of a machine is given twice: {values[key]}, then {value}"
            raise UsageError(error("EMULATOR-OPTION", what, fix=f"give {key} once"))
        digits = value.removeprefix("-")
        number = digits.isascii() and digits.isdigit() and len(digits) < 20
        values[key] = int(value) if number else value
    return values


def _no_option(text: str) -> Finding:
    what = f"{text!r} is no option of a machine"
    return error("EMULATOR-OPTION", what, fix=f"write {DEFAULT}:weight_bits=4,state_bits=16")


def _faults(values: Mapping[str, Any], base: str, where: str) -> Iterator[Finding]:
    sound = {}
    for key, value in values.items():
        if key not in KEYS:
            yield _unknown("key", key, KEYS, where)
        elif (fault := _fault(key, value)) is not None:
            yield error("EMULATOR-VALUE", f"{where}: {key} = {value!r}", fix=fault)
        else:
            sound[key] = value
    preset = {k: v for k, v in presets()[base].items() if k != "about"}
    yield from _contradictions(_completed(preset, sound), where)


def _fault(key: str, value: Any) -> str | None:
    """What to write instead."""
    if key in CHOICES:
        return None if value in CHOICES[key] else f"choose one of: {', '.join(CHOICES[key])}"
    low, high = RANGES.get(key, (0, LARGEST))
    if type(value) is int and low <= value <= high:
        return None
    return f"use a whole number from {low} to {high}"


def _contradictions(s: Settings, where: str) -> Iterator[Finding]:
    if s.threshold_bits is not None and s.threshold_bits > s.state_bits:
        yield error(
            "EMULATOR-VALUE",
            f"{where}: thresholds of {s.threshold_bits} bits and potentials of {s.state_bits}",
            why="no potential could pass such a threshold",
            fix=f"set threshold_bits to at most {s.state_bits}, or state_bits to more",
        )
    if s.fraction_bits + 2 > s.state_bits:
        yield error(
            "EMULATOR-VALUE",
            f"{where}: {s.fraction_bits} of the {s.state_bits} bits of a potential are fraction",
            why="a weight of 1 would be beyond its range",
            fix=f"set fraction_bits to at most {s.state_bits - 2}, or state_bits to more",
        )


def _unknown(what: str, given: str, known: Any, where: str) -> Finding:
    close = difflib.get_close_matches(given, known, 1)
    return error(
        "EMULATOR-KEY",
        f"{where}: there is no {what} {given!r}",
        fix=f"did you mean {close[0]}?" if close else f"known are: {', '.join(known)}",
    )
