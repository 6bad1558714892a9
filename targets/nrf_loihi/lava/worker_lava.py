"""Worker that runs programs on Lava's simulator. Python 3.10, numpy and lava-nc only.

    python -I worker_lava.py REQUEST_DIR REPLY_DIR

A request is a list of jobs (written by engine.py). Each becomes one Lava network of the
vendor's processes, run by the vendor's runtime with the models tagged `fixed_pt`. Four parts
are ours:

- the input: a process that sends one step of a recording, instead of a ring buffer, which
  would start again at its end;
- the log: `Lava.Var.get` takes 30 us per element and Lava's Monitor one message per step and
  variable. The vendor's models are therefore subclassed; after each step the subclass writes
  the output and the states to a mapped file. The subclasses compute nothing;
- the process "Potential": no process of Lava sends a potential. It is the vendor's LIF with
  the highest threshold; the vendor's model computes every step, and its potential, rounded to
  fewer bits, is sent instead of its spikes (LIFOrPotential);
- one value per neuron where Lava's constructor has one per population (a threshold of a
  TernaryLIF, a decay of an RF): its models accept arrays.

Axes: Lava's Conv has (X, Y, C) and flips its kernel, a Program has (C, Y, X) and does not.
"""

import json
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from lava.magma.compiler.compiler_graphs import find_processes
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.conv.process import Conv
from lava.proc.dense.process import DelayDense, Dense
from lava.proc.graded.models import PyGradedReluVecModelFixed, PyGradedVecModelFixed
from lava.proc.graded.process import GradedReluVec, GradedVec
from lava.proc.lif.models import (
    PyLifModelBitAcc,
    PyLifResetModelBitAcc,
    PyTernLifModelFixed,
)
from lava.proc.lif.process import LIF, LIFReset, TernaryLIF
from lava.proc.rf.models import PyRFModelFixed
from lava.proc.rf.process import RF
from lava.proc.rf_iz.models import PyRF_IZModelFixed
from lava.proc.rf_iz.process import RF_IZ
from lava.proc.sdn.models import PyDeltaModelFixed, PySigmaDeltaModelFixed
from lava.proc.sdn.process import ActivationMode, Delta, SigmaDelta
from lava.proc.sparse.process import DelaySparse, Sparse
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix

CAST = "invalid value encountered in cast"
"""Lava casts the sums of a Conv from float; beyond 32 bits the result depends on the CPU."""

# --- our processes: input, and the log ------------------------------------


class Source(AbstractProcess):
    """Process that sends the events of one port, one step at a time, then nothing."""

    def __init__(self, *, shape, start, index, value):
        super().__init__(shape=shape, start=start, index=index, value=value)
        self.s_out = OutPort(shape=shape)


@implements(proc=Source, protocol=LoihiProtocol)
@requires(CPU)
class SourceModel(PyLoihiProcessModel):
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def run_spk(self):
        p, t = self.proc_params, self.time_step - 1
        frame = np.zeros(p["shape"], np.int32)
        if t < len(p["start"]) - 1:
            events = slice(p["start"][t], p["start"][t + 1])
            frame.ravel()[p["index"][events]] = p["value"][events]
        self.s_out.send(frame)


class Tap(AbstractProcess):
    """Process that logs the output of connections that reach no neuron."""

    def __init__(self, *, shape):
        super().__init__(shape=shape)
        self.a_in = InPort(shape=shape)


@implements(proc=Tap, protocol=LoihiProtocol)
@requires(CPU)
class TapModel(PyLoihiProcessModel):
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)

    def run_spk(self):
        received = self.a_in.recv()
        for log in self.proc_params["logs"].values():
            log[self.time_step - 1] = received


class LIFOrPotential(PyLifModelBitAcc):
    """The vendor's LIF; if it has a shift, it sends v instead of spikes.

    v is rounded to fewer bits and raised to the lowest payload.
    """

    def run_spk(self):
        shift = self.proc_params.get("payload_shift")
        if self.time_step == 1 and shift is not None:
            send, half = self.s_out.send, np.left_shift(1, shift) >> 1
            low = self.proc_params.get("payload_lowest")
            self.s_out.send = lambda spikes: send(np.maximum((self.v + half) >> shift, low))
        super().run_spk()


def logged(model):
    """Return a subclass of the vendor's model that logs its output and states after each step."""

    class Logged(model):
        def run_spk(self):
            logs = self.proc_params.get("logs", {})
            if self.time_step == 1 and "output" in logs:
                send = self.s_out.send

                def log_and_send(data):
                    logs["output"][self.time_step - 1] = data
                    send(data)

                self.s_out.send = log_and_send
            super().run_spk()
            for name, log in logs.items():
                if name != "output":
                    log[self.time_step - 1] = getattr(self, name)

    return Logged


MODELS = {
    LIF: logged(LIFOrPotential),
    LIFReset: logged(PyLifResetModelBitAcc),
    TernaryLIF: logged(PyTernLifModelFixed),
    GradedVec: logged(PyGradedVecModelFixed),
    GradedReluVec: logged(PyGradedReluVecModelFixed),
    Delta: logged(PyDeltaModelFixed),
    SigmaDelta: logged(PySigmaDeltaModelFixed),
    RF: logged(PyRFModelFixed),
    RF_IZ: logged(PyRF_IZModelFixed),
}

# --- neurons --------------------------------------------------------------


def lif(cls, shape, p, **more):
    """Build a LIF process; du, dv and vth are passed unchanged: one number, or one per neuron."""
    return cls(
        shape=shape,
        u=p.get("u0", 0),
        v=p.get("v0", 0),
        du=p["du"],
        dv=p["dv"],
        bias_mant=p.get("bias_mant", 0),
        bias_exp=p.get("bias_exp", 0),
        **more,
    )


def per_neuron(var, shape, value):
    var.shape, var.init = shape, np.broadcast_to(value, shape)


def spiking(shape, p):
    return lif(LIF, shape, p, vth=p["vth"])


def potential(shape, p):
    process = lif(LIF, shape, p, vth=p["vth"])
    process.proc_params["payload_shift"] = np.broadcast_to(p["shift"], shape).astype(np.int32)
    lowest = np.where(p.get("rectify", 0), 0, np.iinfo(np.int32).min)
    process.proc_params["payload_lowest"] = np.broadcast_to(lowest, shape).astype(np.int32)
    return process


def reset(shape, p):
    due = {"reset_interval": int(p["interval"]), "reset_offset": int(p.get("offset", 0))}
    return lif(LIFReset, shape, p, vth=p["vth"], **due)


def ternary(shape, p):
    process = lif(TernaryLIF, shape, p)
    per_neuron(process.vth_hi, shape, p["vth_hi"])
    per_neuron(process.vth_lo, shape, p["vth_lo"])
    return process


def graded(cls, shape, p):
    process = cls(shape=shape)
    per_neuron(process.vth, shape, p["vth"])
    return process


def encoder(cls, shape, p, **more):
    exponents = {name: int(p.get(name, 0)) for name in ("spike_exp", "state_exp")}
    flag = bool(p.get("cum_error", 0))
    process = cls(shape=shape, vth=0, cum_error=flag, **exponents, **more)
    per_neuron(process.vth, shape, p["vth"] << sum(exponents.values()))
    return process


def sigma_delta(shape, p):
    mode = ActivationMode(int(p.get("act_mode", 1)))
    return encoder(SigmaDelta, shape, p, bias=p.get("bias", 0), act_mode=mode)


def resonator(cls, shape, p):
    exponents = {name: int(p.get(name, 0)) for name in ("state_exp", "decay_bits")}
    process = cls(shape=shape, period=1, alpha=0, vth=0, **exponents)
    process.sin_decay.init, process.cos_decay.init = p["sin_decay"], p["cos_decay"]
    per_neuron(process.vth, shape, p["vth"] << exponents["state_exp"])
    return process


PROCESSES = {
    "LIF": spiking,
    "Potential": potential,
    "LIFReset": reset,
    "TernaryLIF": ternary,
    "GradedVec": partial(graded, GradedVec),
    "GradedReluVec": partial(graded, GradedReluVec),
    "Delta": partial(encoder, Delta),
    "SigmaDelta": sigma_delta,
    "RF": partial(resonator, RF),
    "RF_IZ": partial(resonator, RF_IZ),
}
"""Functions (shape, parameters) -> process, by the name in a request."""

# --- synapses -------------------------------------------------------------


def synapses(s, arrays):
    p, weight = s["params"], arrays[s["weight"]]
    message = {"num_message_bits": p.get("num_message_bits", 0)}
    if s["kind"] == "conv":
        return Conv(
            weight=weight[:, :, ::-1, ::-1].transpose(0, 3, 2, 1),
            input_shape=tuple(s["input_shape"][::-1]),
            stride=s["stride"][::-1],
            padding=s["padding"][::-1],
            dilation=s["dilation"][::-1],
            groups=s["groups"],
            **message,
        )
    how = {"weight_exp": p.get("weight_exp", 0), "num_weight_bits": p.get("num_weight_bits", 8)}
    if "sign_mode" in p:
        how["sign_mode"] = SignMode(p["sign_mode"])
    if s["kind"] == "sparse":
        place = arrays[s["row"]], arrays[s["column"]]
        matrix = csr_matrix((weight, place), (s["outputs"], s["inputs"]), dtype=np.int32)
        if s["delay"] == 1:
            return Sparse(weights=matrix, **how, **message)
        delays = csr_matrix((np.full(len(weight), s["delay"] - 1), place), matrix.shape, int)
        return DelaySparse(weights=matrix, delays=delays, **how, **message)
    delays = arrays[s["delays"]] if "delays" in s else s["delay"] - 1
    if np.any(delays):
        whole = np.broadcast_to(delays, weight.shape).astype(int)
        return DelayDense(weights=weight, delays=whole, **how, **message)
    return Dense(weights=weight, **how, **message)


def connect(out, into):
    """Connect two ports, in the Program's (C, Y, X) order where an end is a Conv."""
    if isinstance(out.process, Conv):
        out = out.transpose((2, 1, 0))
    if isinstance(into.process, Conv):
        out = out.reshape(into.shape[::-1]) if out.shape != into.shape[::-1] else out
        out = out.transpose((2, 1, 0))
    elif out.shape != into.shape:
        out = out.reshape(into.shape)
    out.connect(into)


# --- one job --------------------------------------------------------------


def build(job, arrays, log):
    """Build the processes of one job; `log(population, variable, shape)` opens a log."""
    sources = {}
    for port in job["ports"]:
        events = {name: arrays[port[name]] for name in ("start", "index", "value")}
        sources[port["name"]] = Source(shape=tuple(port["shape"]), **events)
    sinks, ports = {}, {}
    for p in job["populations"]:
        shape = tuple(p["shape"])
        logs = {name: log(p["name"], name, shape) for name in p["states"]}
        if p["record"]:
            logs["output"] = log(p["name"], "output", shape)
        if p["process"] is None:
            sinks[p["name"]] = Tap(shape=shape) if logs else None
            ports[p["name"]] = "a_in"
        else:
            params = {k: arrays[a] for k, a in p["params"].items()}
            sources[p["name"]] = sinks[p["name"]] = PROCESSES[p["process"]](shape, params)
            ports[p["name"]] = p["port"]
        if logs:
            sinks[p["name"]].proc_params["logs"] = logs
    wires = {s["name"]: synapses(s, arrays) for s in job["synapses"]}
    for s in job["synapses"]:
        wire = wires[s["name"]]
        if s["source"] in sources:
            connect(sources[s["source"]].s_out, wire.s_in)
        else:
            for before in job["synapses"]:
                if s["source"] in before["targets"]:
                    connect(wires[before["name"]].a_out, wire.s_in)
        for target in s["targets"]:
            if sinks[target] is not None:
                connect(wire.a_out, getattr(sinks[target], ports[target]))
    return [p for p in (*sources.values(), *sinks.values(), *wires.values()) if p is not None]


def run(job, arrays, folder):
    """Run one job and return its logs as {(population, variable): (steps, *shape) array}."""
    logs = {}

    def log(population, variable, shape):
        file = folder / f"{len(logs)}.npy"
        mapped = np.lib.format.open_memmap(file, "w+", np.int32, (job["steps"], *shape))
        logs[population, variable] = mapped
        return mapped

    waiting = build(job, arrays, log)
    while waiting:
        group = find_processes(waiting[0], [])
        run_network(waiting[0], job["steps"])
        waiting = [p for p in waiting if p not in group]
    return logs


class RefusedError(Exception):
    """Refusal that replaces the arrays of a reply, since they would be meaningless."""


def run_network(process, steps):
    """Run all processes connected with this one, and report a failure in a child process."""
    config = Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map=MODELS)
    try:
        process.run(condition=RunSteps(num_steps=steps), run_cfg=config)
    except RuntimeError:
        for actor in process.runtime._messaging_infrastructure.actors:
            if actor.exception:
                cause, trace = actor.exception
                print(trace)
                if CAST in str(cause):
                    raise RefusedError("the sums of a convolution exceed 32 bits") from None
        raise
    process.stop()


def main(request_dir, reply_dir):
    warnings.filterwarnings("error", CAST)
    request = json.loads((request_dir / "request.json").read_text())
    with np.load(request_dir / "arrays.npz", allow_pickle=False) as members:
        arrays = {key: members[key] for key in members.files}
    reply = {}
    for number, job in enumerate(request["jobs"]):
        for (population, variable), values in run(job, arrays, reply_dir).items():
            key = f"{number}/{population}/{variable}"
            if variable == "output":
                flat = values.reshape(len(values), -1)
                step, index = np.nonzero(flat)
                reply[key + "/step"], reply[key + "/index"] = step, index
                reply[key + "/value"] = flat[step, index].astype(np.int64)
            else:
                reply[key] = np.array(values)
    np.savez(reply_dir / "arrays.npz", **reply)
    (reply_dir / "reply.json").write_text("{}")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except RefusedError as refused:
        refusal = json.dumps({"refused": {"what": str(refused), "why": CAST}})
        (Path(sys.argv[2]) / "reply.json").write_text(refusal)
