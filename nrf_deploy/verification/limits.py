"""Limits of a verification, and their file.

exact = false             # true: equal in every output, and in every state of one kind
spike_count_error = 0.1   # at most; of the other run's spikes
value_error = 0.1         # at most; where one side gives integers, the other fractions
mismatches = 0.05         # at most; per spike
victor_purpura = 0.05     # at most; cost of the moves, per spike
van_rossum = 0.2          # at most
cosine = 0.99             # at least; of the neurons' mean activities
task_error = 0            # at most; against the labels: 1 for a wrong class, or pixels
task_change = 1.5         # at most; between both answers, in the same unit

[layers.conv1]            # limits of a layer, any of the same names
cosine = 0.999
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from nrf_deploy.compiler.quantize.rules import nearest
from nrf_deploy.diagnostics.argument_types import demand_text
from nrf_deploy.diagnostics.findings import Finding, InputError, UsageError, error, refuse
from nrf_deploy.io.toml_json import toml_table


@dataclass(frozen=True)
class Limits:
    """Limits that a verification is judged by; a metric with None has no limit.

    Attributes:
        exact: True: every output must be equal, and every state of one kind. False: the
            metrics below hold, as far as they have a limit.
        spike_count_error: Largest relative error of a layer's spike count, 0.1 for 10 %.
        value_error: Largest relative error of a layer whose outputs are integers on one side
            and fractions on the other, exact or not.
        mismatches: Most neurons and steps whose outputs differ, per spike.
        victor_purpura: Largest spike-time distance of Victor and Purpura, per spike.
        van_rossum: Largest spike-time distance of van Rossum.
        cosine: Smallest cosine of the neurons' mean activities.
        task_error: Largest error against the labels: 1 for a wrong class, or pixels.
        task_change: Largest change of the answer between both runs, counted likewise.
        layers: Limits of single layers by name, {"conv1": {"cosine": 0.999}}.
        file: The file that states them, named in advice; not a limit.
        defaults: The limits that nobody chose: a run beyond them differs, a run beyond a
            chosen one fails.
    """

    exact: bool = False
    spike_count_error: float = 0.1
    value_error: float = 0.1
    mismatches: float | None = None
    victor_purpura: float | None = None
    van_rossum: float | None = None
    cosine: float | None = None
    task_error: float | None = None
    task_change: float | None = None
    layers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    file: str | None = field(default=None, compare=False)
    defaults: frozenset[str] = field(default=frozenset(), compare=False)

    def of(self, layer: str) -> Limits:
        limits_of_layer = self.layers.get(layer, {})
        return replace(self, **limits_of_layer, defaults=self.defaults - limits_of_layer.keys())

    def as_json(self) -> dict[str, Any]:
        return {k: v for k, v in asdict(self).items() if k not in ("file", "defaults")}

    def wider(self, name: str, option: str) -> str:
        """Return how to widen a limit: in the file, if there is one."""
        return option if self.file is None else f"with a wider {name} in {self.file}"


ASIDE = ("layers", "file", "defaults")
METRICS = tuple(f.name for f in fields(Limits) if f.name not in ("exact", *ASIDE))
DEFAULTS = frozenset({"exact", "spike_count_error", "value_error"})
"""Default limits."""
WHOLE = ("task_error", "task_change")
"""Limits of the whole run, which layers do not have."""


def default_limits(engine: str, against: str) -> Limits:
    """Return the limits where nobody chose any.

    Integers against integers must be equal; against floats they cannot be.
    """
    return Limits(exact="reference" not in (engine, against), defaults=DEFAULTS)


def demand_sound(limits: Limits) -> Limits:
    """Refuse limits made in Python that no file could hold: a NaN would pass every run."""
    unset = {"file", "defaults", "layers"}
    table = {k: v for k, v in vars(limits).items() if k not in unset and v is not None}
    findings = list(_faults(table, None))
    for name, limits_of_layer in limits.layers.items():
        findings += _faults(limits_of_layer, name)
    refuse(findings, UsageError)
    return limits


def parse_limits(text: bytes | str, default: Limits | None = None) -> Limits:
    """Return the limits in the text of a .toml file.

    Args:
        text: The text (docs/report-schema.md).
        default: The limits that hold where the text states none. Default: those of an engine
            against the reference.

    Returns:
        The Limits.

    Raises:
        InputError: A text without limits; `findings` names every mistake.
    """
    demand_text(text, "limits")
    default = default_limits("emulator", "reference") if default is None else default
    fix = "docs/report-schema.md shows its form"
    table = toml_table(text, "the file of limits", "LIMITS-MALFORMED", fix=fix)
    layers = table.pop("layers", {})
    findings = list(_faults(table, None))
    if not isinstance(layers, dict) or not all(
        isinstance(limits_of_layer, dict) for limits_of_layer in layers.values()
    ):
        findings.append(
            error("LIMITS-MALFORMED", "layers is not a table of tables", fix="write [layers.NAME]")
        )
        layers = {}
    findings += [
        f for name, limits_of_layer in layers.items() for f in _faults(limits_of_layer, name)
    ]
    refuse(findings, InputError)
    return replace(default, **table, layers=layers, defaults=default.defaults - table.keys())


def unknown_layers(limits: Limits, names: Collection[str]) -> Iterator[Finding]:
    for name in limits.layers:
        if name not in names:
            yield error(
                "LIMITS-LAYER-UNKNOWN",
                f"the limits name the layer {name!r}, which is not compared",
                fix=nearest(name, names),
            )


def _faults(table: Mapping[str, Any], layer: str | None) -> Iterator[Finding]:
    for name, value in table.items():
        if name not in (*METRICS, "exact") or (layer is not None and name in WHOLE):
            fix = nearest(name, (*METRICS, "exact"))
            yield error("LIMITS-UNKNOWN", f"there is no limit named {name!r}", fix=fix, layer=layer)
        elif name == "exact" and not isinstance(value, bool):
            yield error("LIMITS-VALUE", f"exact is {value!r}, not true or false", layer=layer)
        elif name != "exact" and not _number(value, -1 if name == "cosine" else 0):
            yield error("LIMITS-VALUE", f"{name} is {value!r}, not a number it can be", layer=layer)


def _number(value: object, least: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and value >= least
