"""One time step of a torch module as a list of calls.

Additions become several sources of one call; layers that change nothing in evaluation
(Dropout, Identity) are skipped; the states beside the signal belong to the cells and are left
out.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

from nrf_deploy.diagnostics.findings import Finding, InputError, error, info, warning
from nrf_deploy.ir.network import Shape

from .follow import Record, follow, layer_name

INPUT = "<input>"
SAME_TENSOR = ("clone", "contiguous", "detach")
ABOUT_A_TENSOR = ("size", "dim", "numel", "shape", "dtype", "device", "ndim")
STATE_FIX = (
    "start cells from state=None; if this is the first value of a feedback signal, the module is "
    "recurrent, and recurrent modules cannot be exported yet"
)
FUNCTION_FIX = {
    "cat": "NIR has no concatenation: give each branch its own layer and add their outputs",
    "stack": "add the branches with +",
    "max_pool2d": "use torch.nn.AvgPool2d or a convolution with a stride",
    "avg_pool2d": "use the module torch.nn.AvgPool2d",
    "view": "use torch.nn.Flatten",
    "reshape": "use torch.nn.Flatten",
    "mul": "put factors into the weights of the layer before",
    "sub": "put the sign into the weights of the layer before, then add",
    "add_": "write x = x + y",
    "zeros_like": STATE_FIX,
    "new_zeros": STATE_FIX,
    "getitem": "select the part of a signal by the weights of a layer",
}

Sources = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Call:
    """A call of one layer: `module` on the sum of `sources`, shapes without batch.

    `faults`: reasons why it cannot be exported, as far as they are known here. `rectified`: a
    ReLU followed it and was merged. `in_model`: the module belongs to the model and is not a
    function of torch.
    """

    name: str
    module: Any
    sources: Sources
    input_shape: Shape
    shape: Shape
    faults: tuple[Finding, ...] = ()
    rectified: bool = False
    in_model: bool = False


@dataclass(frozen=True, eq=False)
class Step:
    """One step of a module: its calls in their order, and its output."""

    calls: tuple[Call, ...]
    output: Sources
    output_shape: Shape
    findings: tuple[Finding, ...]


def trace(module: Any, sample: Any, is_leaf: Callable[[Any], bool]) -> Step:
    """Return the calls of one step; of `sample`, with a batch of one, only the shape is used."""
    record = follow(module, sample, is_leaf)
    reader = _Reader(record)
    for node in record.graph.nodes:
        reader.read(node)
    return reader.step()


class _Reader:
    """A reader of the fx graph, node by node.

    `signals[node]` are the names whose sum the node carries, or None if it is not a signal but
    a state, a shape or a constant.
    """

    def __init__(self, record: Record):
        self.record = record
        self.signals: dict[Any, Sources | None] = {}
        self.calls: list[Call] = []
        self.output: Sources = ()
        self.output_shape: Shape = ()
        self.beside: set[str] = set()

    def read(self, node: Any) -> None:
        match node.op:
            case "placeholder":
                self.signals[node] = (INPUT,)
            case "call_module":
                self.signals[node] = self._module(node)
            case "call_function" | "call_method":
                self.signals[node] = self._function(node)
            case "output":
                self._end(node)
            case _:
                self.signals[node] = None

    def _module(self, node: Any) -> Sources:
        import torch

        module = self.record.root.get_submodule(node.target)
        if isinstance(module, torch.nn.Identity | torch.nn.modules.dropout._DropoutNd):
            return self._signal(node.args[0]) or self._call(node, module)
        return self._call(node, module, *_foreign_state(node), *_hooks(node, module))

    def _function(self, node: Any) -> Sources | None:
        import torch

        name = getattr(node.target, "__name__", str(node.target))
        operand: Any = node.args[0] if node.args else None
        if all(self.signals[a] is None for a in node.all_input_nodes) or name in ABOUT_A_TENSOR:
            return None
        if name == "getattr" and node.args[1] in ABOUT_A_TENSOR:
            return None
        if node.target is operator.getitem and operand.name in self.record.tuples:
            return self.signals[operand] if node.args[1] == 0 else None
        if name in ("add", "iadd"):
            return self._add(node)
        if name in SAME_TENSOR or (name == "dropout" and not node.kwargs.get("training", True)):
            return self._signal(operand)
        if name == "relu":
            return self._call(node, torch.nn.ReLU())
        if name == "flatten":
            return self._call(node, torch.nn.Flatten(*_flatten_axes(node)))
        return self._call(node, None, _no_function(name, node))

    def _add(self, node: Any) -> Sources:
        """Return the sources of both operands; the 0 that Python's sum() starts with adds none."""
        signals = [a for a in node.args if not (isinstance(a, int) and a == 0)]
        parts = [self._signal(a) or () for a in signals]
        if len(parts) == 1 and parts[0] and not node.kwargs:
            return parts[0]
        if len(parts) != 2 or not all(parts) or node.kwargs:
            why = "only two signals can be added, with no constant and no factor"
        elif len({self.record.shapes[a.name] for a in signals}) > 1:
            shapes = [self._shape(a) for a in signals]
            why = f"the shapes {shapes[0]} and {shapes[1]} differ, and NIR does not broadcast"
        elif set(parts[0]) & set(parts[1]):
            why = "the same signal would arrive twice"
        else:
            return (*parts[0], *parts[1])
        fault = error(
            "EXPORT-ADD",
            "this addition has no counterpart",
            layer=node.name,
            why=why,
            fix="put constants and factors into the weights or the bias of a layer",
        )
        return self._call(node, None, fault)

    def _call(self, node: Any, module: Any, *faults: Finding) -> Sources:
        name = unused(layer_name(node), {c.name for c in self.calls})
        operand = node.args[0] if node.args else None
        sources = self._signal(operand)
        if sources is None:
            faults = (*faults, _no_signal(name, _made_here(operand)))
        before, after = self._shape(operand), self._shape(node)
        own = node.op == "call_module"
        call = Call(name, module, sources or (), before, after, faults, in_model=own)
        self.calls.append(call)
        return (name,)

    def _end(self, node: Any) -> None:
        """Read the output of forward: first the signal, then states."""
        value = node.args[0]
        head = value[0] if isinstance(value, tuple | list) and value else value
        output = self._signal(head)
        if output is None:
            raise InputError(_no_signal("output", _made_here(head)))
        self.output, self.output_shape = output, self._shape(head)
        if isinstance(value, tuple | list) and any(self._signal(v) for v in value[1:]):
            raise InputError(_second_output())
        others = (self._signal(a) or () for a in node.all_input_nodes if a is not head)
        self.beside = {name for signal in others for name in signal} - set(output)

    def step(self) -> Step:
        """Return the step without the calls on which the output does not depend."""
        alive = set(self.output)
        for call in reversed(self.calls):
            if call.name in alive:
                alive |= set(call.sources)
        dead = [_unused_finding(c.name) for c in self.calls if c.name not in alive]
        beside = [_beside_finding(name) for name in sorted(self.beside & alive)]
        calls = tuple(c for c in self.calls if c.name in alive)
        return Step(calls, self.output, self.output_shape, (*dead, *beside))

    def _signal(self, value: Any) -> Sources | None:
        return self.signals.get(value) if hasattr(value, "op") else None

    def _shape(self, value: Any) -> Shape:
        return (self.record.shapes.get(getattr(value, "name", "")) or ())[1:]


def unused(name: str, taken: set[str]) -> str:
    """Return a name that is not taken: a module that is called again gets a number."""
    tries = (name if n == 1 else f"{name}_{n}" for n in count(1))
    return next(t for t in tries if t not in taken)


def _flatten_axes(node: Any) -> tuple[int, int]:
    axes = dict(zip(("start_dim", "end_dim"), node.args[1:], strict=False)) | node.kwargs
    return axes.get("start_dim", 0), axes.get("end_dim", -1)


def _foreign_state(node: Any) -> Iterator[Finding]:
    if any(a is not None for a in (*node.args[1:], *node.kwargs.values())):
        yield error(
            "EXPORT-STATE",
            "it is called with more than its input in the first step",
            layer=layer_name(node),
            why="a cell starts from its own first state, which nothing else may set",
            fix="call it with state=None in the first step, later with the state that it returned",
        )


def _hooks(node: Any, module: Any) -> Iterator[Finding]:
    if module._forward_hooks or module._forward_pre_hooks:
        yield error(
            "EXPORT-HOOK",
            "it carries forward hooks",
            layer=layer_name(node),
            why="a hook may change the input or output, and a chip cannot run it",
            fix="remove the hooks before the export",
        )


def _no_function(name: str, node: Any) -> Finding:
    return error(
        "EXPORT-FUNCTION",
        f"the function {name!r} has no counterpart on a chip",
        layer=node.name,
        fix=FUNCTION_FIX.get(name, "use a layer of torch.nn or a cell of Norse in its place"),
    )


def _made_here(value: Any) -> bool:
    """Return True for a value made of numbers and sizes only, as torch.zeros is."""
    if not hasattr(value, "op"):
        return True
    name = getattr(value.target, "__name__", value.target)
    about = name in ABOUT_A_TENSOR or (name == "getattr" and value.args[1] in ABOUT_A_TENSOR)
    if about or value.op == "get_attr":
        return True
    return value.op.startswith("call_f") and all(map(_made_here, value.all_input_nodes))


def _no_signal(layer: str, made_here: bool) -> Finding:
    if made_here:
        return error(
            "EXPORT-NO-SIGNAL",
            "in the first step its input is a constant (as torch.zeros), not a signal",
            layer=layer,
            why="a constant that later steps replace by the output of a layer is feedback: "
            "recurrent modules cannot be exported yet",
            fix="train a model without this connection; a constant goes into the bias of a layer",
        )
    return error(
        "EXPORT-NO-SIGNAL",
        "its input is the state of a cell; expected a signal",
        layer=layer,
        fix="use the first value that a cell returns; LIBoxCell and LICell return their voltage",
    )


def _second_output() -> Finding:
    return error(
        "EXPORT-OUTPUTS",
        "forward returns the signal of a second layer beside its output",
        why="one output is exported, and the other values returned must be states of the cells",
        fix="return (y, state); add signals in a layer, or export one model for each output",
    )


def _unused_finding(layer: str) -> Finding:
    return warning("EXPORT-UNUSED", "the output does not depend on it; it is left out", layer=layer)


def _beside_finding(layer: str) -> Finding:
    return info(
        "EXPORT-BESIDE",
        "it is returned beside the output; only the first value returned becomes an output",
        layer=layer,
    )
