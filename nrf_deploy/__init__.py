"""nrf-deploy: from a trained spiking model to a verified chip image.

import nrf_deploy as nd
    model = nd.read("model.nir", dt=1e-3)
    bundle = nd.compile(model, "loihi2")
    nd.save(bundle, "model.nrfb")
    recording = nd.read_recording("events.npz", bundle, bin=1e-3)
    trace = nd.run(bundle, recording)
    report = nd.verify(bundle, recording)
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing takes longer to import than a Ctrl-C to press
    from typing import Any

__version__ = "0.1.0"

_HOME = {
    "read": "model", "check": "pipeline", "compile": "pipeline", "run": "pipeline",
    "verify": "verification.verify", "report_html": "verification.page",
    "run_conformance": "conformance.run",
    "compare_engines": "verification.engines", "parse_labels": "verification",
    "save": "bundle", "load": "bundle", "read_recording": "given",
    "Network": "network", "Program": "program", "Recording": "recording", "Trace": "recording",
    "Bundle": "bundle", "Finding": "findings", "NrfError": "findings",
    "scheme_toml": "quantise.toml",
}  # fmt: skip

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    """Rooms are opened when they are entered: `nrf-deploy --help` must not load numpy."""
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
