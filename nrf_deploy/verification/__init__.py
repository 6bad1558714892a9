"""Comparison of two runs, their first mismatch, the judgement and the report."""

from ..program import OUTPUT
from .activity import activity
from .arrivals import arrivals
from .compare import compare
from .comparison import (
    Arrival,
    Comparison,
    Divergence,
    Inputs,
    LayerComparison,
    Value,
)
from .judge import judge
from .junit import junit
from .labels import Labels, parse_labels
from .limits import Limits, parse_limits
from .report import Report

__all__ = [
    "OUTPUT",
    "Arrival",
    "Comparison",
    "Divergence",
    "Inputs",
    "Labels",
    "LayerComparison",
    "Limits",
    "Report",
    "Value",
    "activity",
    "arrivals",
    "compare",
    "judge",
    "junit",
    "parse_labels",
    "parse_limits",
]
