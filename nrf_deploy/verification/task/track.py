"""Where a model says that something is, step by step, in any engine."""

from __future__ import annotations

from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.pipeline import latency, unit
from nrf_deploy.bundle.run_bundle import run_engine
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.recording import Recording

from .readout import track


def followed(bundle: Bundle, recording: Recording, engine: str) -> Array:
    """(steps, maps, 2): the places that this engine's output says, in the model's steps."""
    (name,) = bundle.program.outputs
    output = run_engine(bundle, recording, engine).outputs[name]
    aligned = output.shifted(latency(bundle, engine).get(name, 0)).until(recording.steps)
    own = unit(bundle, name, engine)
    return track(aligned, bundle.network.readout, 1.0 if own is None else own)
