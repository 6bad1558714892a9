"""Export of a Program as a folder that needs only Lava: a script, its arrays and a README.

`network.py` is written as a person would write it: one block per layer, each parameter by
name, then one line per connection. The parts that all such scripts share (the input, the
recording of a run, the command line) are in network_lava.txt.
"""

from __future__ import annotations

import io
import itertools
import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from string import Template

import numpy as np

from nrf_deploy import __version__
from nrf_deploy.diagnostics.findings import TargetError, refuse
from nrf_deploy.io.archive import to_npy, write
from nrf_deploy.ir.network import Array, Shape
from nrf_deploy.ir.program import Conv, Program, Synapses
from nrf_deploy.ir.recording import Recording

from ..arithmetic.neurons import MODELS, Lava
from .emit_axes import reverse, route
from .emit_calls import MODULES, population_call, synapses_call
from .emit_folder import write_folder
from .emit_text import (
    as_tuple,
    axes,
    comment,
    connect,
    identifier,
    imports_of,
    literal,
    nested,
    quoted,
)
from .engine import Job, faults

HERE = Path(__file__).parent
Link = tuple[str, list[str], str]
"""The sending port, the conversions of axes as text, and the receiving port."""
TITLE = "A spiking network for Intel's Loihi, as a program of Lava"
LOCALS = {"a", "np", "recording", "parts", "spikes", "states"}

HELPERS = {
    "Potential": '''

class Potential(LIF):
    """A LIF that sends v / 2^shift (rectified, if set) instead of spikes."""


@implements(proc=Potential, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PotentialModel(AbstractPyLifModelFixed):
    """Lava has no process that sends v; each step is computed by its LIF."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    vth: int = LavaPyType(int, np.int32, precision=17)
    scale_threshold = PyLifModelBitAcc.scale_threshold
    spiking_activation = PyLifModelBitAcc.spiking_activation

    def run_spk(self):
        if self.time_step == 1:
            self.send, self.s_out.send = self.s_out.send, self.potential
        super().run_spk()

    def potential(self, spikes):
        shift = self.proc_params["shift"]
        sent = (self.v + (np.left_shift(1, shift) >> 1)) >> shift
        self.send(np.maximum(sent, 0) if self.proc_params["rectify"] else sent)
''',
    "one_each": '''

def one_each(variable, values):
    """Set one value per neuron where Lava's constructor takes one for all."""
    variable.shape, variable.init = values.shape, values
''',
    "sparse": """

def sparse(shape, rows, columns, values):
    values = np.broadcast_to(values, rows.shape)
    return csr_matrix((values, (rows, columns)), shape, dtype=np.int32)
""",
}


def emit(program: Program, folder: Path) -> None:
    """Write network.py, arrays.npz and README.txt to `folder`, or nothing.

    Programs that Lava cannot express are refused, as when they are run there. The same program
    gives the same bytes.
    """
    size = sum(math.prod(p.shape) for p in program.ports)
    silence = Recording.from_dense(np.zeros((1, size), np.int64))
    refuse(faults(Job.of(program, silence)), TargetError)
    script = Script(program)
    files = {"network.py": script.text().encode(), "README.txt": script.readme().encode()}
    arrays = io.BytesIO()
    write(arrays, ((f"{name}.npy", to_npy(x)) for name, x in script.arrays.items()))
    write_folder(folder, {**files, "arrays.npz": arrays.getvalue()}, TITLE.encode())


class Script:
    """The text of one network.py and the arrays that it loads."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.arrays: dict[str, Array] = {}
        self.shapes: dict[str, Shape] = {p.name: p.shape for p in program.ports}
        self.shapes |= {p.name: p.shape for p in program.populations}
        taken = LOCALS | set(HELPERS) | set(MODULES)
        self.names = {p.name: identifier(p.name, "source", taken) for p in program.ports}
        for p in program.populations:
            self.names[p.name] = identifier(p.name, p.model, taken)
        self.wires = [(identifier(s.name, s.kind, taken), s) for s in program.synapses]
        self.silent = {p.name for p in program.populations if MODELS[p.model].lava is None}
        """Populations without a process: their input leaves in the same step."""

    def text(self) -> str:
        program, ports = self.program, self.program.ports
        links = list(self._links())
        wiring = ["# Each connection takes one step.", *(connect(*x) for x in links)]
        blocks = [*self._inputs(), *self._layers(), "\n".join(wiring), self._kept(links)]
        network = textwrap.indent("\n\n".join(blocks), "    ")
        size = sum(math.prod(p.shape) for p in ports)
        stateful = [literal(p.name) for p in program.populations if MODELS[p.model].states]
        return Template((HERE / "network_lava.txt").read_text("utf-8")).substitute(
            version=__version__,
            imports=imports_of(MODULES, network + "".join(self._helpers(network))),
            input_shape=as_tuple(ports[0].shape) if len(ports) == 1 else f"({size},)",
            latency=program.latency,
            layers=nested("{}", [f"{literal(k)}: {v}" for k, v in self._table().items()]),
            outputs=nested("[]", [literal(name) for name in program.outputs]),
            choices=nested("[]", stateful, indent=8),
            network="\n" + network,
            helpers="".join(self._helpers(network)),
        )

    def _helpers(self, network: str) -> list[str]:
        return [text for name, text in HELPERS.items() if re.search(rf"\b{name}\(", network)]

    def _table(self) -> dict[str, str]:
        """Return the variable, shape and latency of each layer that network.py can write."""
        behind = {o.population: o.latency for o in self.program.origins}
        return {
            p.name: f'("{self.names[p.name]}", {as_tuple(p.shape)}, {behind.get(p.name)})'
            for p in self.program.populations
            if MODELS[p.model].states or p.name in self.program.outputs
        }

    # --- the layers, one block each ---------------------------------------

    def _inputs(self) -> Iterator[str]:
        first = 0
        for port in self.program.ports:
            lines = [
                comment(f"input {quoted(port.name)}: {axes(reverse(port.shape))}"),
                f"{self.names[port.name]} = Source(",
                "    recording,",
                f"    first={first},",
                f"    shape={reverse(port.shape)},",
                f"    peak={int(port.peak)},",
                ")",
            ]
            yield "\n".join(lines)
            first += math.prod(port.shape)

    def _layers(self) -> Iterator[str]:
        behind = {o.population: o.latency for o in self.program.origins}
        written: set[str] = set()
        for p in self.program.populations:
            head = f"layer {quoted(p.name)}: {axes(reverse(p.shape))}"
            late = f"; steps behind the input: {behind[p.name]}" if p.name in behind else ""
            lines = [comment(head + late)]
            for name, s in self.wires:
                if p.name in s.targets and name not in written:
                    written.add(name)
                    lines += [*self._shared(s), *self._wire(name, s)]
            if p.name in self.silent:
                lines.append(f"# {self.names[p.name]}: its input leaves in the same step.")
            else:
                name = self.names[p.name]
                lines += population_call(p, partial(self._keep, name)).lines(name)
            yield "\n".join(lines)
        for name, s in self.wires:
            if name not in written:
                yield "\n".join(["# without a target", *self._wire(name, s)])

    def _shared(self, s: Synapses) -> list[str]:
        if len(s.targets) == 1:
            return []
        return [comment(f"shared by {', '.join(quoted(t) for t in s.targets)}")]

    def _wire(self, name: str, s: Synapses) -> list[str]:
        source, target = self.shapes[s.source], self._sends(s)
        return synapses_call(s, source, target, partial(self._keep, name)).lines(name)

    def _keep(self, name: str, parameter: str, value: Array) -> str:
        key = f"{name}.{parameter}"
        self.arrays[key] = np.ascontiguousarray(value, np.int64)
        return f'a["{key}"]'

    # --- connections ------------------------------------------------------

    def _sends(self, s: Synapses) -> Shape:
        """Return our shape of the output; a matrix orders its rows as its first target does."""
        return s.shape if isinstance(s, Conv) or not s.targets else self.shapes[s.targets[0]]

    def _from(self, name: str) -> Iterator[tuple[str, Shape, Shape]]:
        """Yield the ports that send this population's output: text, Lava's shape and ours."""
        if name not in self.silent:
            shape = self.shapes[name]
            yield f"{self.names[name]}.s_out", reverse(shape), shape
        for wire, s in self.wires if name in self.silent else ():
            if name in s.targets:
                yield f"{wire}.a_out", _leaves(s), self._sends(s)

    def _links(self) -> Iterator[Link]:
        for wire, s in self.wires:
            taken = s.input_shape if isinstance(s, Conv) else self.shapes[s.source]
            there = reverse(taken) if isinstance(s, Conv) else (math.prod(taken),)
            for port, here, ours in self._from(s.source):
                yield port, route(here, ours, there, taken), f"{wire}.s_in"
            here = _leaves(s)
            for target in (t for t in s.targets if t not in self.silent):
                ours = self.shapes[target]
                lava = MODELS[self.program.population(target).model].lava
                assert isinstance(lava, Lava)
                into = f"{self.names[target]}.{lava.port}"
                yield f"{wire}.a_out", route(here, self._sends(s), reverse(ours), ours), into

    def _kept(self, links: Sequence[Link]) -> str:
        """Return one process of each connected part, which Lava runs as a unit, and the variables
        that can be recorded."""
        spikes: list[str] = []
        joined = [(port, into) for port, _, into in links]
        for name in self.program.outputs:
            shape = self.shapes[name]
            sent = list(self._from(name))
            joined += itertools.pairwise(port for port, _, _ in sent)  # one recorder receives all
            ports = ["".join([p, *route(h, ours, reverse(shape), shape)]) for p, h, ours in sent]
            spikes.append(f"{literal(name)}: {nested('[]', ports, indent=4)}")
        states = [
            f"{literal(p.name)}: [{', '.join(f'{self.names[p.name]}.{v}' for v in variables)}]"
            for p in self.program.populations
            if (variables := MODELS[p.model].states)
        ]
        return "\n".join(
            [
                f"parts = {nested('[]', self._parts(joined))}",
                f"spikes = {nested('{}', spikes)}",
                f"states = {nested('{}', states)}",
            ]
        )

    def _parts(self, joined: Sequence[tuple[str, str]]) -> list[str]:
        processes = [n for name, n in self.names.items() if name not in self.silent]
        head = {name: name for name in (*processes, *(wire for wire, _ in self.wires))}
        for pair in joined:
            a, b = (head[port.partition(".")[0]] for port in pair)
            head = {name: a if before == b else before for name, before in head.items()}
        return list(dict.fromkeys(head.values()))

    def readme(self) -> str:
        rows = [("layer", "name in files", "shape (C, Y, X)", "steps behind")]
        behind = {o.population: str(o.latency) for o in self.program.origins}
        for p in self.program.populations:
            rows.append(
                (literal(p.name), self.names[p.name], axes(p.shape), behind.get(p.name, "-"))
            )
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        ports = self.program.ports
        shapes = ", ".join(f"{quoted(p.name)} {axes(p.shape)}" for p in ports)
        return Template((HERE / "readme_lava.txt").read_text("utf-8")).substitute(
            title=TITLE,
            version=__version__,
            inputs=shapes,
            order="" if len(ports) == 1 else " The inputs are flattened and concatenated.",
            outputs=", ".join(map(quoted, self.program.outputs)),
            latency=self.program.latency,
            layers="\n".join(f"    {line}" for line in lines),
        )


def _leaves(s: Synapses) -> Shape:
    """Return Lava's shape of the output; a matrix gives a vector."""
    return reverse(s.shape) if isinstance(s, Conv) else (math.prod(s.shape),)
