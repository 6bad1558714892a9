"""Everything that another person needs to make this page again."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from nrf_deploy import __version__
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.tables import dims
from nrf_deploy.ir.recording import Recording

from ..report import SCHEMA_VERSION, Report
from .html import Markup, section, table, tag

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
