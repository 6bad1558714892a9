"""Limits and labels as the options of a front end choose them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..files import content
from ..findings import UsageError, error, naming
from ..toml_json import TOML_LIMIT
from .labels import LABELS_LIMIT, Labels, parse_labels
from .limits import Limits, parse_limits
from .verify import default_limits


def chosen_limits(
    engine: str,
    against: str,
    *,
    exact: bool = False,
    limit: float | None = None,
    file: Any = None,
) -> Limits:
    """Return the limits of --exact, --limit or --limits FILE; else the defaults of this pair."""
    if file and (exact or limit is not None):
        raise UsageError(
            error(
                "LIMITS-TWICE",
                "--limits is given beside --exact or --limit",
                fix="say it in the file: exact = true, or spike_count_error = X",
            )
        )
    if exact and limit is not None:
        what = "--exact is given beside --limit"
        fix = "give --exact, or a --limit for spike counts"
        raise UsageError(error("LIMITS-TWICE", what, fix=fix))
    usual = default_limits(engine, against)
    if exact:
        return replace(usual, exact=True, defaults=usual.defaults - {"exact"})
    if limit is not None:
        chosen = usual.defaults - {"exact", "spike_count_error"}
        return replace(usual, exact=False, spike_count_error=limit, defaults=chosen)
    if not file:
        return usual
    with naming(file):
        limits = parse_limits(content(file, TOML_LIMIT), usual)
    return replace(limits, file=str(file))


def labels_from(file: Any) -> Labels | None:
    if not file:
        return None
    with naming(file):
        return parse_labels(content(file, LABELS_LIMIT))
