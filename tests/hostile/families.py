"""Every family of mutations, in the order of the table."""

from __future__ import annotations

from . import (
    bundle_bounds,
    bundle_values,
    bundles,
    cameras,
    graphs,
    kits,
    recordings,
    replies,
    texts,
    witnesses,
)

FAMILIES = (
    *graphs.FAMILIES,
    *witnesses.FAMILIES,
    *bundles.FAMILIES,
    *bundle_values.FAMILIES,
    *bundle_bounds.FAMILIES,
    *recordings.FAMILIES,
    *cameras.FAMILIES,
    *texts.FAMILIES,
    *kits.FAMILIES,
    *replies.FAMILIES,
)
BY_NAME = {family.name: family for family in FAMILIES}
