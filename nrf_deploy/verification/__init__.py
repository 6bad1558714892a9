"""Comparison of two runs, their first mismatch, the judgement and the report."""

from nrf_deploy.compare.compare import compare
from nrf_deploy.compare.comparison import (
    Arrival,
    Comparison,
    Divergence,
    Inputs,
    LayerComparison,
    Value,
)
from nrf_deploy.io.labels import Labels, parse_labels
from nrf_deploy.ir.program import OUTPUT

from .activity import activity
from .attribution.incoming_events import arrivals
from .judge import judge
from .limits import Limits, parse_limits
from .report.junit import junit
from .report.report import Report

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
