"""nrf-deploy: from a trained spiking model to a verified chip image.

import nrf_deploy as nd
    model = nd.read("model.nir", dt=1e-3)
    bundle = nd.compile(model, "loihi2")
    nd.save(bundle, "model.nrfb")
    recording = nd.read_recording("events.npz", bundle, bin=1e-3)
    trace = nd.run(bundle, recording)
    report = nd.verify(bundle, recording)

docs/api.md lists every name with its arguments.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing takes longer to import than a Ctrl-C to press
    from .api.covariance import covariance as covariance
    from .api.demo import demo as demo
    from .api.export import export as export
    from .api.export import from_torch as from_torch
    from .api.export import sample as sample
    from .api.inspection import Inspection as Inspection
    from .api.inspection import inspect as inspect
    from .api.installed import bench as bench
    from .api.installed import sdk as sdk
    from .api.installed import targets as targets
    from .api.junit import junit as junit
    from .bundle.bundle import Bundle as Bundle
    from .bundle.bundle import load as load
    from .bundle.bundle import save as save
    from .bundle.flash import flash as flash
    from .bundle.flash import image as image
    from .bundle.flash import write_image as write_image
    from .bundle.inputs import read_recording as read_recording
    from .bundle.inputs import write_recording as write_recording
    from .bundle.pipeline import check as check
    from .bundle.pipeline import compile as compile
    from .bundle.pipeline import engines_of as engines_of
    from .bundle.pipeline import export_program as export_program
    from .bundle.pipeline import latency as latency
    from .bundle.pipeline import unit as unit
    from .bundle.run_bundle import align as align
    from .bundle.run_bundle import run as run
    from .compiler.abilities import Flashed as Flashed
    from .compiler.abilities import Image as Image
    from .compiler.driver import Verdict as Verdict
    from .compiler.quantize.rules import LayerRules as LayerRules
    from .compiler.quantize.rules import Rules as Rules
    from .compiler.quantize.rules import parse_rules as parse_rules
    from .compiler.quantize.toml import scheme_toml as scheme_toml
    from .diagnostics.findings import ArgumentTypeError as ArgumentTypeError
    from .diagnostics.findings import Finding as Finding
    from .diagnostics.findings import InputError as InputError
    from .diagnostics.findings import MissingError as MissingError
    from .diagnostics.findings import MissingFileError as MissingFileError
    from .diagnostics.findings import NrfError as NrfError
    from .diagnostics.findings import TargetError as TargetError
    from .diagnostics.findings import UsageError as UsageError
    from .io.labels import Labels as Labels
    from .io.labels import parse_labels as parse_labels
    from .io.model import Model as Model
    from .ir.network import Network as Network
    from .ir.program import Program as Program
    from .ir.recording import Recording as Recording
    from .ir.recording import Trace as Trace
    from .testing.conformance.result import Conformance as Conformance
    from .testing.conformance.run import run_conformance as run_conformance
    from .verification.bisect import Part as Part
    from .verification.bisect import bisect as bisect
    from .verification.covariance.types import Covariance as Covariance
    from .verification.engine_table.compare_engines import Engines as Engines
    from .verification.engine_table.compare_engines import compare_engines as compare_engines
    from .verification.limits import Limits as Limits
    from .verification.limits import parse_limits as parse_limits
    from .verification.report.page import report_html as report_html
    from .verification.report.report import Report as Report
    from .verification.trained import TrainedReport as TrainedReport
    from .verification.trained import verify_trained as verify_trained
    from .verification.verify import verify as verify
    from .witness.reading import read as read

__version__ = "0.1.0"

_HOME = {
    "ArgumentTypeError": "diagnostics.findings",
    "Bundle": "bundle.bundle",
    "Conformance": "testing.conformance.result",
    "Covariance": "verification.covariance.types",
    "Engines": "verification.engine_table.compare_engines",
    "Finding": "diagnostics.findings",
    "Flashed": "compiler.abilities",
    "Image": "compiler.abilities",
    "InputError": "diagnostics.findings",
    "Inspection": "api.inspection",
    "Labels": "io.labels",
    "LayerRules": "compiler.quantize.rules",
    "Limits": "verification.limits",
    "MissingError": "diagnostics.findings",
    "MissingFileError": "diagnostics.findings",
    "Model": "io.model",
    "Network": "ir.network",
    "NrfError": "diagnostics.findings",
    "Part": "verification.bisect",
    "Program": "ir.program",
    "Recording": "ir.recording",
    "Report": "verification.report.report",
    "Rules": "compiler.quantize.rules",
    "TargetError": "diagnostics.findings",
    "Trace": "ir.recording",
    "TrainedReport": "verification.trained",
    "UsageError": "diagnostics.findings",
    "Verdict": "compiler.driver",
    "align": "bundle.run_bundle",
    "bench": "api.installed",
    "bisect": "verification.bisect",
    "check": "bundle.pipeline",
    "compare_engines": "verification.engine_table.compare_engines",
    "compile": "bundle.pipeline",
    "covariance": "api.covariance",
    "demo": "api.demo",
    "engines_of": "bundle.pipeline",
    "export": "api.export",
    "export_program": "bundle.pipeline",
    "flash": "bundle.flash",
    "from_torch": "api.export",
    "image": "bundle.flash",
    "inspect": "api.inspection",
    "junit": "api.junit",
    "latency": "bundle.pipeline",
    "load": "bundle.bundle",
    "parse_labels": "io.labels",
    "parse_limits": "verification.limits",
    "parse_rules": "compiler.quantize.rules",
    "read": "witness.reading",
    "read_recording": "bundle.inputs",
    "report_html": "verification.report.page",
    "run": "bundle.run_bundle",
    "run_conformance": "testing.conformance.run",
    "sample": "api.export",
    "save": "bundle.bundle",
    "scheme_toml": "compiler.quantize.toml",
    "sdk": "api.installed",
    "targets": "api.installed",
    "unit": "bundle.pipeline",
    "verify": "verification.verify",
    "verify_trained": "verification.trained",
    "write_image": "bundle.flash",
    "write_recording": "bundle.inputs",
}
"""The module of each public name."""

__all__ = ["__version__", *sorted(_HOME)]


if not TYPE_CHECKING:

    class _Package(type(sys)):
        """This package, in which no import of a submodule hides a function of its name."""

        def __setattr__(self, name, value):
            if not (name in _HOME and isinstance(value, type(sys))):
                super().__setattr__(name, value)

    sys.modules[__name__].__class__ = _Package

    def __getattr__(name):
        """Import a public name when it is first used: `nrf-deploy --help` loads no numpy."""
        if name in _HOME:
            from importlib import import_module

            return getattr(import_module(f".{_HOME[name]}", __name__), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
