"""Record of one step of a torch module by torch.fx, and its check against the module.

torch.fx runs the module's own Python once with stand-ins for the tensors, from the
first state (state=None). Layers of torch and cells of Norse are recorded whole;
containers and the user's own modules are followed inside. The record holds the operations, not
the decisions of the Python code, and "x += y" is recorded as "x + y": so it is run beside the
module on a random input, and must give the same output.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nrf_deploy.diagnostics.findings import Finding, InputError, error

PREFIX = "model."  # path of the module in the wrapper that is traced
SEED = 0
LOUD = 10  # so that neurons spike in the comparison


@dataclass(frozen=True, eq=False)
class Record:
    """The fx graph, the module it runs in, and the shapes of its run.

    `shapes` holds for every node the shape of its tensor (of the first one in a tuple),
    with the batch, and `tuples` the nodes that returned a tuple.
    """

    graph: Any
    root: Any
    shapes: dict[str, tuple[int, ...] | None]
    tuples: frozenset[str]


def follow(module: Any, sample: Any, is_leaf: Callable[[Any], bool]) -> Record:
    """Record one step of `module`; of `sample`, with a batch of one, only the shape is used."""
    import torch

    class OneStep(torch.nn.Module):  # type: ignore[misc]
        """A module of one step, in which `state` and other arguments keep their defaults."""

        def __init__(self) -> None:
            super().__init__()
            self.model = module

        def forward(self, x: Any) -> Any:
            return self.model(x)

    tracer = torch.fx.Tracer()
    by_default = tracer.is_leaf_module
    tracer.is_leaf_module = lambda m, name: is_leaf(m) or by_default(m, name)
    root = OneStep()
    with evaluation(module), torch.no_grad():
        try:
            graph = tracer.trace(root)
        except Exception as e:  # the forward method can raise anything when it meets a stand-in
            raise InputError(_not_followed(e)) from e
        noise = torch.randn(sample.shape, generator=torch.Generator().manual_seed(SEED))
        noise = LOUD * noise.to(sample.device, sample.dtype)
        record, recorded = _observe(root, graph, noise)
        _compare(recorded, first(module(noise.clone())))
    return record


def _observe(root: Any, graph: Any, sample: Any) -> tuple[Record, Any]:
    """Run the graph, and record the shapes of its values."""
    import torch

    shapes: dict[str, tuple[int, ...] | None] = {}
    tuples = set()
    interpreter = torch.fx.Interpreter(torch.fx.GraphModule(root, graph))
    run_node = interpreter.run_node

    def observed(node: Any) -> Any:
        try:
            value = run_node(node)
        except Exception as e:
            raise InputError(_failed(node, sample, e)) from e
        head = first(value)
        shapes[node.name] = tuple(head.shape) if isinstance(head, torch.Tensor) else None
        if isinstance(value, tuple):
            tuples.add(node.name)
        return value

    interpreter.run_node = observed
    output = first(interpreter.run(sample.clone()))
    return Record(graph, root, shapes, frozenset(tuples)), output


def _not_followed(e: Exception) -> Finding:
    """Return the finding on a branch on a tensor, or on a stand-in where a number is needed."""
    import torch

    what = f"the forward method cannot be followed: {first_line(e)}"
    if isinstance(e, torch.fx.proxy.TraceError):
        return error(
            "EXPORT-TRACE",
            what,
            why="its control flow must not depend on the values of its input",
            fix="give it the form forward(x, state=None) without branches on tensors",
        )
    return error(
        "EXPORT-TRACE",
        f"{what}{_line(e)}",
        why="it runs once with a stand-in for the input, whose sizes are not numbers: "
        "torch.zeros(x.shape[0], n) fails. Where that line makes the first value of a signal that "
        "leads back, the module is recurrent, and recurrent modules cannot be exported yet",
        fix="start cells from state=None, and pass nothing else from one step to the next",
    )


def _line(e: Exception) -> str:
    """Return the line of the user's code that raised, if it is known."""
    import torch

    ours = [f for f in traceback.extract_tb(e.__traceback__) if f.name == "forward"]
    theirs = f"{Path(torch.__file__).parent}{os.sep}"
    inside = [f for f in ours if not f.filename.startswith(theirs) and f.line]
    last = inside[-1] if inside and inside[-1].filename != __file__ else None
    return f" ({Path(last.filename).name}, line {last.lineno}: {last.line})" if last else ""


def _failed(node: Any, sample: Any, e: Exception) -> Finding:
    return error(
        "EXPORT-RUN",
        f"it fails when the model runs on an input of {tuple(sample.shape[1:])}: {first_line(e)}",
        layer=layer_name(node),
        fix="check the input shape (without batch and time) and the layers that lead here",
    )


def _compare(recorded: Any, wanted: Any) -> None:
    import torch

    both = isinstance(recorded, torch.Tensor) and isinstance(wanted, torch.Tensor)
    if both and recorded.shape == wanted.shape:
        same = (recorded == wanted) | (recorded.isnan() & wanted.isnan())
        if bool(same.all()):
            return
    raise InputError(
        error(
            "EXPORT-TRACE-DIFFERS",
            "the recorded step gives another output than the module",
            why="a value is random, or is changed in place while it is still in use",
            fix="write x = x + y for x += y, and make the forward method deterministic",
        )
    )


def layer_name(node: Any) -> str:
    """Return the name in the user's model, or fx's name for a bare function."""
    module = node.op == "call_module"
    return str(node.target).removeprefix(PREFIX) if module else str(node.name)


def first(value: Any) -> Any:
    """Return the signal of (signal, state): the first item."""
    while isinstance(value, tuple | list) and value:
        value = value[0]
    return value


@contextmanager
def evaluation(module: Any) -> Iterator[None]:
    """Set evaluation mode, and restore the mode of each layer afterwards."""
    training = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for m, was in training:
            m.training = was


def first_line(e: Exception) -> str:
    return (str(e).strip() or type(e).__name__).splitlines()[0]
