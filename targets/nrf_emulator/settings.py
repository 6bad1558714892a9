"""Settings of a machine: one record from a preset, a file, or a line of options.

The name of a machine contains all of its settings, so that a bundle needs no other file:

    emulator                                    a preset (chips.toml)
    emulator:weight_bits=4,reset=subtract       a preset with options
    path/to/mychip.toml                         a file with the same keys (and `base`, a preset)

`full_name` converts the last two to the second form, with its options in a fixed order.
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
PREFIX = "EMULATOR"
"""Of the codes of the compiler's findings."""
DECIDING = ("weight_bits", "state_bits", "threshold_bits")
"""Settings that need other fraction_bits than the preset has."""
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
WAY = "docs/emulator-target.md shows such a file (one setting per line: weight_bits = 4)"
BUDGETS = ("neurons", "weights", "memory_bytes", "longest_delay")
LARGEST = 2**48


@dataclass(frozen=True)
class Settings:
    """Settings of a machine. Bits include the sign; a budget of None means unlimited."""

    weight_bits: int = 8
    decay_bits: int = 12  # a decay is in units of 1 / 2^decay_bits per step
    state_bits: int = 24  # potentials and currents
    threshold_bits: int | None = None  # thresholds; None: as the potential
    sum_bits: int = 24  # input of a neuron in a step, in units of a weight
    message_bits: int = 16  # payload of a neuron without threshold
    fraction_bits: int = 6  # a potential is in units of 1 / 2^fraction_bits of a weight
    rounding: str = "zero"  # of decays
    message_rounding: str = "nearest"  # of payloads
    overflow: str = "saturate"  # of sums, currents, potentials and payloads
    reset: str = "both"  # effects of a spike on the potential
    leak: str = "exponential"  # of the potential
    fires: str = "both"  # above the threshold, or at it: the tests that neurons have
    latency: int = 0  # steps that a layer needs
    neurons: int | None = None
    weights: int | None = None
    memory_bytes: int | None = None
    longest_delay: int | None = None

    @property
    def largest_weight(self) -> int:
        """The largest weight; the range is symmetric."""
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
        """Features of a scheme that this machine does not have: key and reason."""
        reasons = {"exponent": "a weight of this machine has the unit 1"}
        if self.leak == "subtractive":
            reasons["decay"] = "a leak that subtracts an amount has no ratio to keep"
        return reasons


KEYS = tuple(f.name for f in dataclasses.fields(Settings))


@cache
def presets() -> Mapping[str, Mapping[str, Any]]:
    return parse_toml(files("nrf_emulator").joinpath("chips.toml").read_bytes())


def settings(name: str) -> Settings:
    """Return the settings of a preset, or of a preset with options."""
    base, _, options = name.partition(":")
    values = {k: v for k, v in presets()[base].items() if k != "about"}
    return _completed(values, _options(options))


def _completed(preset: Mapping[str, Any], options: Mapping[str, Any]) -> Settings:
    """Merge options into a preset; without fraction_bits, limit the preset's to the potential."""
    s = Settings(**{**preset, **options})
    if "fraction_bits" in options:
        return s
    return dataclasses.replace(s, fraction_bits=min(s.fraction_bits, s.state_bits - 2))


def without_fraction(name: str) -> bool:
    """Return whether this full name leaves fraction_bits to the model."""
    values = _options(name.partition(":")[2])
    return "fraction_bits" not in values and any(key in values for key in DECIDING)


def has_own_bits(name: str) -> bool:
    """Return whether the user set bits that can leave bits of weights unused."""
    deciding = {*DECIDING, "sum_bits", "fraction_bits"}
    return not deciding.isdisjoint(_options(name.partition(":")[2]))


def with_fraction(name: str, bits: int) -> str:
    base, _, options = name.partition(":")
    return _named(base, {**_options(options), "fraction_bits": bits})


def full_name(name: str) -> str | None:
    """Return the name with all settings of a file or of a preset with options; None of others."""
    base, colon, options = name.partition(":")
    if base in presets():
        values = _options(options)
        findings = list(_faults(values, base, f"--target {name}"))
        if colon and not options:
            findings.append(_no_option(name))
        refuse(findings, UsageError)
        return _named(base, values)
    return _of_file(name) if Path(name).suffix == ".toml" else None


def _of_file(path: str) -> str:
    table = toml_table(content(path, TOML_LIMIT), path, "EMULATOR-FILE-MALFORMED", WAY)
    base = table.pop("base", DEFAULT)
    table.pop("about", None)
    known = isinstance(base, str) and base in presets()
    findings = [] if known else [_unknown("base", f"{base!s:.80}", presets(), path)]
    findings += _faults(table, DEFAULT if findings else base, path)
    refuse(findings, InputError)
    return _named(base, table)


def _named(base: str, values: Mapping[str, Any]) -> str:
    """Return a full name: the preset and the settings that differ from it, in a fixed order.

    fraction_bits equal to the preset's are named if other bits differ: otherwise the compiler
    would choose them.
    """
    preset = settings(base)
    different = {k: v for k, v in values.items() if v != getattr(preset, k)}
    if any(key in different for key in DECIDING) and "fraction_bits" in values:
        different["fraction_bits"] = values["fraction_bits"]
    options = [f"{k}={different[k]}" for k in KEYS if k in different]
    return f"{base}:{','.join(options)}" if options else base


def _options(text: str) -> dict[str, Any]:
    """Parse `key=value,...`; values that are integers become int."""
    values: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        key, equals, value = (word.strip() for word in part.partition("="))
        if not equals:
            raise UsageError(_no_option(part))
        if key in values:
            what = f"the option {key} of a machine is given twice: {values[key]} and {value}"
            raise UsageError(error("EMULATOR-OPTION", what, fix=f"set {key} once"))
        digits = value.removeprefix("-")
        number = digits.isascii() and digits.isdigit() and len(digits) < 20
        values[key] = int(value) if number else value
    return values


def _no_option(text: str) -> Finding:
    what = f"{text!r} is not an option of a machine; expected key=value"
    return error("EMULATOR-OPTION", what, fix=f"write {DEFAULT}:weight_bits=4,state_bits=16")


def _faults(values: Mapping[str, Any], base: str, where: str) -> Iterator[Finding]:
    valid = {}
    for key, value in values.items():
        if key not in KEYS:
            yield _unknown("key", key, KEYS, where)
        elif (fault := _fault(key, value)) is not None:
            yield error("EMULATOR-VALUE", f"{where}: {key} = {value!r}", fix=fault)
        else:
            valid[key] = value
    preset = {k: v for k, v in presets()[base].items() if k != "about"}
    yield from _contradictions(_completed(preset, valid), where)


def _fault(key: str, value: Any) -> str | None:
    """Return the fix for a value outside its range; None if it is valid."""
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
            why="no potential can exceed such a threshold",
            fix=f"set threshold_bits to at most {s.state_bits}, or state_bits to more",
        )
    if s.fraction_bits + 2 > s.state_bits:
        yield error(
            "EMULATOR-VALUE",
            f"{where}: {s.fraction_bits} of the {s.state_bits} bits of a potential are fraction",
            why="a weight of 1 is outside its range",
            fix=f"set fraction_bits to at most {s.state_bits - 2}, or state_bits to more",
        )


def _unknown(what: str, name: str, names: Any, where: str) -> Finding:
    close = difflib.get_close_matches(name, names, 1)
    return error(
        "EMULATOR-KEY",
        f"{where}: the {what} {name!r} does not exist",
        fix=f"did you mean {close[0]}?" if close else f"choose one of: {', '.join(names)}",
    )
