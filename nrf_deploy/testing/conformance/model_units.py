"""A machine's integers in the units of a model, for cases that expect floats.

A machine may round in every step, and the rounding stays in the potential until it leaks. So a
state within `units` of the machine's last bit of the expected value counts as met; a spike must
be in its step. If a model resets to a value other than 0, a chip may count its potential from
another origin: then only spikes count.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.pipeline import latency, unit
from nrf_deploy.ir.network import Array, Population
from nrf_deploy.ir.program import spread
from nrf_deploy.ir.recording import Recording, Trace

from .case import Case


def in_its_units(bundle: Bundle, case: Case, raw: Trace) -> Trace:
    """Return a run in the units of the case: the run of a program is not changed."""
    return raw if case.arithmetic else _in_floats(bundle, case, raw)


def _in_floats(bundle: Bundle, case: Case, raw: Trace) -> Trace:
    """Return a run in the model's steps and units; values near enough become the expected ones."""
    scales = {o.population: o.scale for o in bundle.program.origins}
    late = latency(bundle, "emulator")
    outputs, states = {}, {}
    for name, expected in case.expected.outputs.items():
        if name not in raw.outputs:
            continue
        own = raw.outputs[name].shifted(late.get(name, 0)).until(expected.steps)
        scale = scales.get(name, {})
        if expected.value.dtype.kind == "f" and (graded := unit(bundle, name)) is not None:
            near = _near(own.dense(), expected.dense(), graded, case.units)
            own = Recording.from_dense(near)
        outputs[name] = own
        node = bundle.network[name]
        shifted = type(node) is Population and np.any(node.rule.origin)
        traces = {} if shifted else raw.states.get(name, {})
        states[name] = {
            v: _near(traces[v][late.get(name, 0) :][: len(x)], x, scale[v], case.units)
            for v, x in case.expected.states.get(name, {}).items()
            if v in traces and v in scale
        }
    return replace(raw, outputs=outputs, states=states)


def _near(integers: Array, expected: Array, scale: Array, units: int) -> Array:
    """Return the expected floats where the integers are within `units`, else the integers' own."""
    unit = spread(scale, integers.shape[1:])
    wanted = expected[: len(integers)]
    close = np.abs(integers - wanted * unit) <= units + 1e-6 * np.abs(wanted * unit)
    return np.where(close, wanted, integers / unit).astype(np.float32)
