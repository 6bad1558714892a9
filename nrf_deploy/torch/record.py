"""A record of a module as it really runs: each call of a layer, and what its input is made of.

The module runs as it is, with real tensors. Its layers are watched (their forward methods are
wrapped for the time of the run), and all functions of torch between them pass through a
TorchFunctionMode. Each tensor is known by its identity, so that "x += y", states in a dict or in
the module, and loops over time need no special form. What touches a signal and is not understood
becomes a call with a fault, which counts only if an output depends on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from typing import Any, Literal

from nrf_deploy.diagnostics.findings import Finding, InputError, NrfError, TargetError, error

from . import members
from .connections import is_layer
from .delay import is_delay
from .frameworks import framework_of, present
from .layers import Before, layer_called
from .operations import operate
from .user_code import first_line, raising_line
from .values import Constant, Foreign, Made, Partial, Signal, Value

Keep = Literal["all", "neurons", "none"]
CONTAINERS = ("Sequential", "ModuleList", "ModuleDict")


class Recorder:
    """The state of a recording.

    Attributes:
        calls: All calls so far.
        inside: True where functions are not recorded: inside layers, and outside of `run`.
        turn: The number of the module's own call, counted by `run`.
        last: By the id of a layer, the number of its last call.
        indexed: The axis of the input along which one element was taken, in a call on one frame.
        keep: The arrays that are stored: "all", "neurons" for outputs of frameworks alone, "none".
    """

    def __init__(self, root: Any, keep: Keep = "all"):
        self.root = root
        self.keep = keep
        self.calls: list[Made] = []
        self.turn = -1
        self.last: dict[int, int] = {}
        self.inside = True
        self.failed: str | None = None
        self.indexed: int | None = None
        self.values: dict[int, tuple[Any, Value]] = {}
        self.own: dict[int, Any] = {}

    # --- values of tensors ----------------------------------------------------------

    def value(self, tensor: Any) -> Value:
        """Return what a tensor is; a parameter is a constant, and an unknown tensor foreign."""
        if id(tensor) in self.values:
            value = self.values[id(tensor)][1]
            if isinstance(value, Partial):
                return self._filled(tensor, value)
            return value
        if id(tensor) in self.own:
            return Constant(frozenset({id(tensor)}))
        return Foreign()

    def put(self, tensor: Any, value: Value) -> None:
        """Set what a tensor is, and keep it alive, so that its identity stays its own."""
        self.values[id(tensor)] = tensor, value

    def overwritten(self, tensor: Any) -> None:
        """Forget what other tensors are that share the memory of one changed in place."""
        memory = tensor.untyped_storage().data_ptr()
        for key, (other, value) in list(self.values.items()):
            shares = other is not tensor and other.untyped_storage().data_ptr() == memory
            if shares and not isinstance(value, Constant):
                self.values[key] = other, Foreign()

    def add(self, call: Made) -> int:
        self.calls.append(call)
        return len(self.calls) - 1

    def _filled(self, tensor: Any, value: Partial) -> Value:
        """Return a tensor that was written step by step as a signal once it is full."""
        parts = [value.parts.get(t) for t in range(tensor.shape[value.axis])]
        if any(p is None or p.axes != parts[0].axes for p in parts if parts[0] is not None):
            return value
        first = parts[0]
        if first is None:
            return value
        axes = (*first.axes[: value.axis], "T", *first.axes[value.axis :])
        return Signal(axes, tuple(p.steps[0] for p in parts if p is not None))

    # --- the run ----------------------------------------------------------------------

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Record layers and functions; leave the module as it was."""
        from torch.overrides import TorchFunctionMode

        recorder = self

        class Watch(TorchFunctionMode):  # type: ignore[misc]
            def __torch_function__(
                self, func: Any, types: Any, args: Any = (), kwargs: Any = None
            ) -> Any:
                kwargs = kwargs or {}
                if recorder.inside:
                    return func(*args, **kwargs)
                recorder.inside = True
                try:
                    result = func(*args, **kwargs)
                finally:
                    recorder.inside = False
                operate(recorder, func, args, kwargs, result)
                return result

        self.own = {id(t): t for t in (*members.parameters(self.root), *members.buffers(self.root))}
        with ExitStack() as stack:
            for name, module in self.root.named_modules():
                attributes = vars(module).values()
                self.own |= {id(t): t for t in attributes if hasattr(t, "untyped_storage")}
                if is_leaf(module):
                    demand_own_methods(name, module)
                    stack.enter_context(_wrapped(self, name or "model", module))
            stack.enter_context(Watch())
            yield

    def run(self, inputs: tuple[Any, ...], state: tuple[Any, ...]) -> Any:
        """Call the module once; raises an InputError where its forward method fails."""
        self.turn += 1
        self.failed = None
        self.inside = False
        try:
            return self.root(*inputs, *state)
        except NrfError:
            raise
        except Exception as e:  # the forward method can raise anything
            raise InputError(self._failed(inputs[0], e)) from e
        finally:
            self.inside = True

    def _failed(self, x: Any, e: Exception) -> Finding:
        """Return the finding on an error in a layer, or in the user's code between layers."""
        if self.failed is not None:
            return error(
                "EXPORT-RUN",
                f"it fails when the model runs on an input of {tuple(x.shape)}: {first_line(e)}",
                layer=self.failed,
                fix="check the input shape (without batch and time) and the layers that lead here",
            )
        return error(
            "EXPORT-TRACE",
            f"the forward method fails: {first_line(e)}{raising_line(e)}",
            why=f"it was called with an input of {tuple(x.shape)}",
            fix="give it the form forward(x, state=None) for one step, or call it with all steps",
        )


def is_leaf(module: Any) -> bool:
    """Return True for a module that is read as a whole; others are followed inside."""
    framework = framework_of(module)
    if framework is not None:
        return framework.leaf(module)
    if is_layer(module) or is_delay(module):
        return True
    kind = type(module)
    return kind.__module__.startswith("torch.nn.") and kind.__name__ not in CONTAINERS


def demand_own_methods(name: str, module: Any) -> None:
    """Refuse a layer of torch whose methods were replaced: it computes something else."""
    from torch.nn import functional

    kind = type(module)
    of_torch = any(
        c.__module__.startswith("torch.nn.") and c.__name__ != "Module" for c in kind.__mro__
    )
    if not of_torch or is_delay(module):
        return  # a neuron: its framework's reader looks at it
    replaced = [n for n, v in vars(module).items() if callable(v) and callable(getattr(kind, n, 0))]
    if framework_of(module) is None:
        methods = (getattr(kind, n, None) for n in ("forward", "_conv_forward", "__call__"))
        functions = (functional.linear, functional.conv1d, functional.conv2d)
        used = [m for m in (*methods, *functions) if m is not None]
        replaced += [m.__name__ for m in used if not _of_torch(m)]
    if replaced:
        raise TargetError(
            error(
                "EXPORT-LAYER",
                f"its method {replaced[0]!r} is replaced",
                layer=name,
                why="it computes something else than its class in torch",
                fix="export the layer as its class defines it",
            )
        )


def _of_torch(function: Any) -> bool:
    return (getattr(function, "__module__", None) or "torch").split(".")[0] == "torch"


@contextmanager
def _wrapped(recorder: Recorder, name: str, module: Any) -> Iterator[None]:
    """Replace the forward method of a layer by one that records its calls."""
    own = vars(module).get("forward")
    forward = module.forward

    def watched(*args: Any, **kwargs: Any) -> Any:
        if recorder.inside:
            return forward(*args, **kwargs)
        signal = args[0] if args else next(iter(kwargs.values()), None)
        rest = (*args[1:], *list(kwargs.values())[0 if args else 1 :])
        recorder.inside = True
        try:
            before = Before(recorder, module, signal, rest)
            try:
                output = forward(*args, **kwargs)
            except Exception:
                recorder.failed = name
                raise
            layer_called(recorder, name, before, output)
        finally:
            recorder.inside = False
        return output

    module.forward = watched
    try:
        yield
    finally:
        del module.forward
        if own is not None:
            module.forward = own


@contextmanager
def prepared(root: Any) -> Iterator[None]:
    """Set evaluation mode and what the frameworks need; restore both afterwards."""
    import torch

    with evaluation(root), unchanged(root), one_thread(), torch.no_grad(), ExitStack() as stack:
        for framework in present(root):
            stack.enter_context(framework.prepare(root))
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch add in one order: a sum over several threads may round in another."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def unchanged(root: Any) -> Iterator[None]:
    """Restore what a run may change in a module: attributes, lists and dicts in them, buffers."""
    before = []
    for module in members.modules(root):
        own = dict(vars(module))
        inner = [(v, copy(v)) for v in own.values() if type(v) in (dict, list)]
        before.append(
            (
                module,
                own,
                inner,
                [(b, b.clone()) for b in module._buffers.values() if b is not None],
            )
        )
    try:
        yield
    finally:
        for module, own, inner, buffers in before:
            vars(module).clear()
            vars(module).update(own)
            for value, was in inner:
                value.clear()
                if type(value) is dict:
                    value.update(was)
                else:
                    value.extend(was)
            for buffer, was in buffers:
                buffer.copy_(was)


@contextmanager
def evaluation(module: Any) -> Iterator[None]:
    """Set evaluation mode, and restore the mode of each layer afterwards."""
    training = [(m, m.training) for m in members.modules(module)]
    module.eval()
    try:
        yield
    finally:
        for m, was in training:
            m.training = was
