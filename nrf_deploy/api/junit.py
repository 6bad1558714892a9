"""Results as JUnit XML, for continuous integration."""

from __future__ import annotations

from nrf_deploy.diagnostics.argument_types import wrong
from nrf_deploy.testing.conformance import Conformance, show
from nrf_deploy.verification import Report
from nrf_deploy.verification import junit as report_junit
from nrf_deploy.verification.report.junit import junit_trained
from nrf_deploy.verification.trained import TrainedReport


def junit(result: Report | TrainedReport | Conformance) -> str:
    """Return a result as JUnit XML: the same text for the same result, without times.

    Args:
        result: What `verify` or `verify_trained` returns (one test a layer), or
            `run_conformance` (one test a case).

    Returns:
        The XML.

    Raises:
        ArgumentTypeError: Another kind of result (a TypeError).
    """
    if isinstance(result, Conformance):
        return show.junit(result)
    if isinstance(result, TrainedReport):
        return junit_trained(result)
    if isinstance(result, Report):
        return report_junit(result)
    fix = "pass what nrf_deploy.verify or nrf_deploy.run_conformance returns"
    raise wrong(result, "a report", fix)
