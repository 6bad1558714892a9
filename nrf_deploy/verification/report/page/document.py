"""The whole page: one file without scripts, which loads nothing."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nrf_deploy import __version__
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.inputs import as_bundle, as_recording
from nrf_deploy.diagnostics.argument_types import demand
from nrf_deploy.diagnostics.text import dims
from nrf_deploy.ir.recording import Recording

from ..report import SCHEMA_VERSION, Report
from .chip import chip
from .covariance import covariance as covariance_section
from .errors import errors, metrics
from .graph import graph
from .html import Markup, name, section, table, tag
from .layer_labels import Layers
from .raster import rasters, sides
from .style import sheet
from .verdict import findings, verdict

LIBRARIES = ("numpy", "numba", "h5py")


def reproduce(report: Report, bundle: Bundle, recording: Recording) -> Markup:
    context = dict(report.context)
    commands = [str(c) for c in context.pop("commands", ())]
    rows = [*_bundle(bundle), *_recording(recording), *_plain("", context)]
    rows += [*_plain("limit: ", report.limits.as_json()), *_versions()]
    return section(
        "reproduce",
        "To reproduce",
        tag("pre", tag("code", "\n".join(commands)), tabindex=0) if commands else None,
        table("Inputs and versions of the runs", ("what", "value"), rows, "ll"),
    )


def _bundle(bundle: Bundle) -> Iterator[tuple[str, object]]:
    rewrites = [s.rewrite for s in bundle.steps if s.findings]
    yield "target", bundle.target
    yield "arithmetic", bundle.program.arithmetic
    yield "bundle made by", f"nrf-deploy {bundle.tool_version}"
    yield "rewrites", ", ".join(rewrites) or "none"
    yield "length of a step", f"{bundle.network.dt:g}"


def _recording(recording: Recording) -> Iterator[tuple[str, object]]:
    yield "input's shape", dims(recording.shape)


def _plain(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for key, value in values.items():
        if value is None:
            continue
        if isinstance(value, Mapping):
            yield from _plain(f"{prefix}{key} ", value)
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
            yield f"{prefix}{key.replace('_', ' ')}", str(text)


def _versions() -> Iterator[tuple[str, object]]:
    yield "page made by", f"nrf-deploy {__version__}, report schema {SCHEMA_VERSION}"
    yield "Python", platform.python_version()
    for library in LIBRARIES:
        try:
            yield library, version(library)
        except PackageNotFoundError:
            yield library, "not installed"


POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Policy by which a browser only shows this page and loads nothing, even after our mistakes."""

PARTS = {
    "findings": "Findings",
    "error": "Error by layer",
    "metrics": "Metrics",
    "runs": "Both runs",
    "model": "The model",
    "chip": "The chip",
    "covariance": "Covariance",
    "reproduce": "To reproduce",
}


def report_html(
    report: Report,
    bundle: Bundle | str | Path,
    input: Recording,
    *,
    covariance: Mapping[str, Any] | None = None,
) -> str:
    """Return a report as one HTML page that loads nothing: the same bytes for the same report.

    Args:
        report: What `verify` returns.
        bundle: The bundle that was verified, or the path of its .nrfb file.
        input: The recording that it was verified on.
        covariance: What `Covariance.as_json()` returns. Default: no section on it.

    Returns:
        The page, to be written as UTF-8.

    Raises:
        ArgumentTypeError: An argument of a wrong type (a TypeError).
    """
    fix = "pass what nrf_deploy.verify returns"
    report, bundle = demand(report, Report, "a report", fix), as_bundle(bundle)
    input = as_recording(input)
    layers = Layers(bundle)
    left, right = sides(report.comparison)
    model = report.context.get("bundle")
    title = f"{name(str(model))}: " if model else ""
    title += f"{left} against {right} on {name(bundle.chip)}"
    parts: dict[str, Markup] = {
        "findings": findings(report),
        "error": errors(report, layers),
    }
    if times := metrics(report.comparison):
        parts["metrics"] = times
    parts["runs"] = _runs(report, layers)
    parts["model"] = graph(bundle.network, layers)
    parts["chip"] = chip(layers)
    if covariance:
        parts["covariance"] = covariance_section(covariance)
    parts["reproduce"] = reproduce(report, bundle, input)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width,initial-scale=1"),
        tag("title", f"{report.verdict}: {title}"),
        tag("style", Markup(sheet())),
    )
    body = tag(
        "body",
        tag("header", tag("h1", title), _links(parts)),
        tag("main", verdict(report), parts.values()),
        tag("footer", f"made by nrf-deploy {__version__}"),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _links(parts: Mapping[str, Markup]) -> Markup:
    links = (tag("li", tag("a", PARTS[key], href=f"#{key}")) for key in parts)
    return tag("nav", tag("ul", links), aria_label="Parts of this page")


def _runs(report: Report, layers: Layers) -> Markup:
    if report.traces is None:
        return section("runs", "Both runs", tag("p", "The runs were not kept."))
    return rasters(report.comparison, report.traces, layers)
