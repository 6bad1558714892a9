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
    from .abilities import Flashed as Flashed
    from .abilities import Image as Image
    from .api.covariance import covariance as covariance
    from .api.export import export as export
    from .api.export import from_torch as from_torch
    from .api.export import sample as sample
    from .api.inspection import Inspection as Inspection
    from .api.inspection import inspect as inspect
    from .api.installed import bench as bench
    from .api.installed import sdk as sdk
    from .api.installed import targets as targets
    from .api.junit import junit as junit
    from .bundle import Bundle as Bundle
    from .bundle import load as load
    from .bundle import save as save
    from .conformance.result import Conformance as Conformance
    from .conformance.run import run_conformance as run_conformance
    from .demo import demo as demo
    from .findings import ArgumentTypeError as ArgumentTypeError
    from .findings import Finding as Finding
    from .findings import InputError as InputError
    from .findings import MissingError as MissingError
    from .findings import MissingFileError as MissingFileError
    from .findings import NrfError as NrfError
    from .findings import TargetError as TargetError
    from .findings import UsageError as UsageError
    from .flash import flash as flash
    from .flash import image as image
    from .flash import write_image as write_image
    from .given import read_recording as read_recording
    from .given import write_recording as write_recording
    from .model import Model as Model
    from .model import read as read
    from .network import Network as Network
    from .pipeline import check as check
    from .pipeline import compile as compile
    from .pipeline import engines_of as engines_of
    from .pipeline import export_program as export_program
    from .pipeline import latency as latency
    from .pipeline import unit as unit
    from .program import Program as Program
    from .quantise.rules import LayerRules as LayerRules
    from .quantise.rules import Rules as Rules
    from .quantise.rules import parse_rules as parse_rules
    from .quantise.toml import scheme_toml as scheme_toml
    from .recording import Recording as Recording
    from .recording import Trace as Trace
    from .run_bundle import align as align
    from .run_bundle import run as run
    from .stages import Verdict as Verdict
    from .verification.bisect import Part as Part
    from .verification.bisect import bisect as bisect
    from .verification.covariance.nouns import Covariance as Covariance
    from .verification.engines import Engines as Engines
    from .verification.engines import compare_engines as compare_engines
    from .verification.labels import Labels as Labels
    from .verification.labels import parse_labels as parse_labels
    from .verification.limits import Limits as Limits
    from .verification.limits import parse_limits as parse_limits
    from .verification.page import report_html as report_html
    from .verification.report import Report as Report
    from .verification.verify import verify as verify

__version__ = "0.1.0"

_HOME = {
    "ArgumentTypeError": "findings",
    "Bundle": "bundle",
    "Conformance": "conformance.result",
    "Covariance": "verification.covariance.nouns",
    "Engines": "verification.engines",
    "Finding": "findings",
    "Flashed": "abilities",
    "Image": "abilities",
    "InputError": "findings",
    "Inspection": "api.inspection",
    "Labels": "verification.labels",
    "LayerRules": "quantise.rules",
    "Limits": "verification.limits",
    "MissingError": "findings",
    "MissingFileError": "findings",
    "Model": "model",
    "Network": "network",
    "NrfError": "findings",
    "Part": "verification.bisect",
    "Program": "program",
    "Recording": "recording",
    "Report": "verification.report",
    "Rules": "quantise.rules",
    "TargetError": "findings",
    "Trace": "recording",
    "UsageError": "findings",
    "Verdict": "stages",
    "align": "run_bundle",
    "bench": "api.installed",
    "bisect": "verification.bisect",
    "check": "pipeline",
    "compare_engines": "verification.engines",
    "compile": "pipeline",
    "covariance": "api.covariance",
    "demo": "demo",
    "engines_of": "pipeline",
    "export": "api.export",
    "export_program": "pipeline",
    "flash": "flash",
    "from_torch": "api.export",
    "image": "flash",
    "inspect": "api.inspection",
    "junit": "api.junit",
    "latency": "pipeline",
    "load": "bundle",
    "parse_labels": "verification.labels",
    "parse_limits": "verification.limits",
    "parse_rules": "quantise.rules",
    "read": "model",
    "read_recording": "given",
    "report_html": "verification.page",
    "run": "run_bundle",
    "run_conformance": "conformance.run",
    "sample": "api.export",
    "save": "bundle",
    "scheme_toml": "quantise.toml",
    "sdk": "api.installed",
    "targets": "api.installed",
    "unit": "pipeline",
    "verify": "verification.verify",
    "write_image": "flash",
    "write_recording": "given",
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
