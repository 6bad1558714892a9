"""Limits and labels from the options of a verification."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from nrf_deploy.diagnostics.argument_types import demand_number, wrong
from nrf_deploy.diagnostics.findings import UsageError, error, naming
from nrf_deploy.io.files import content
from nrf_deploy.io.labels import LABELS_LIMIT, ClassLabel, Labels, PlaceLabels, parse_labels
from nrf_deploy.io.toml_json import TOML_LIMIT

from .limits import Limits, default_limits, demand_sound, parse_limits


def chosen_limits(
    engine: str,
    against: str,
    *,
    exact: bool = False,
    limit: float | None = None,
    limits: Limits | str | Path | None = None,
) -> Limits:
    """Return the limits of `exact`, `limit` or `limits`; else the defaults of this pair."""
    if limits is not None and (exact or limit is not None):
        raise UsageError(
            error(
                "LIMITS-TWICE",
                "--limits is combined with --exact or --limit",
                fix="write it in the file: exact = true, or spike_count_error = X",
            )
        )
    if exact and limit is not None:
        what = "--exact is combined with --limit"
        fix = "give --exact, or a --limit for spike counts"
        raise UsageError(error("LIMITS-TWICE", what, fix=fix))
    usual = default_limits(engine, against)
    if exact:
        return replace(usual, exact=True, defaults=usual.defaults - {"exact"})
    if limit is not None:
        demand_number("limit", limit, "a number")
        if not (math.isfinite(limit) and limit >= 0):
            what = f"limit is {limit}; expected a number of at least 0"
            raise UsageError(error("LIMITS-VALUE", what, fix="give 0.1 for 10 %"))
        chosen = usual.defaults - {"exact", "spike_count_error"}
        return replace(usual, exact=False, spike_count_error=float(limit), defaults=chosen)
    if limits is None:
        return usual
    if isinstance(limits, Limits):
        return demand_sound(limits)
    if not isinstance(limits, str | Path):
        fix = "pass nrf_deploy.Limits(exact=...), the path of a .toml file, or None"
        raise wrong(limits, "limits", fix)
    with naming(limits):
        parsed = parse_limits(content(limits, TOML_LIMIT), usual)
    return replace(parsed, file=str(limits))


def as_labels(labels_input: object) -> Labels | None:
    """Return labels, or those in a .csv file; None without either."""
    if labels_input is None or isinstance(labels_input, ClassLabel | PlaceLabels):
        return labels_input
    if not isinstance(labels_input, str | Path):
        fix = "pass the path of a .csv file, what nrf_deploy.parse_labels(text) gives, or None"
        raise wrong(labels_input, "labels", fix)
    with naming(labels_input):
        return parse_labels(content(labels_input, LABELS_LIMIT))
