"""Where a model says that something is, step by step, in any engine."""

from __future__ import annotations

from .bundle import Bundle
from .network import Array
from .pipeline import latency, unit
from .readout import track
from .recording import Recording
from .run_bundle import run_engine


def followed(bundle: Bundle, recording: Recording, engine: str) -> Array:
    """(steps, maps, 2): the places that this engine's output says, in the model's steps."""
    (name,) = bundle.program.outputs
    output = run_engine(bundle, recording, engine).outputs[name]
    aligned = output.shifted(latency(bundle, engine).get(name, 0)).until(recording.steps)
    own = unit(bundle, name, engine)
    return track(aligned, bundle.network.readout, 1.0 if own is None else own)
