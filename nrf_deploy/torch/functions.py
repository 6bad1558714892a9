"""Functions of torch by what they do to a signal, and the refusals of the others."""

from __future__ import annotations

from nrf_deploy.diagnostics.findings import Finding, InputError, error

from .values import Changed, Constant, OverTime, Random, State, Value


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SAME = _words("""
    clone contiguous detach detach_ data to float cpu cuda requires_grad_ type type_as alias
    alpha_dropout dropout dropout1d dropout2d dropout3d feature_dropout
""")
"""They give the same values; dropout does so in evaluation mode."""
LEAKS = _words("""
    __bool__ __int__ __float__ __index__ __complex__ __contains__ __array__ item tolist numpy
    equal allclose is_nonzero nonzero argwhere masked_select unique unique_consecutive bincount
    __repr__ __str__ __format__ __dlpack__
""")
"""They give a value to Python, or a shape that depends on values: it may do anything with it."""
BRANCHES = _words("__bool__ is_nonzero equal allclose __contains__ nonzero argwhere unique")
MADE_LIKE = _words("""
    zeros_like ones_like empty_like full_like new_zeros new_ones new_empty new_full new_tensor
""")
"""They take no more of a signal than its shape."""
RANDOM = _words("""
    rand randn randint randperm rand_like randn_like randint_like bernoulli bernoulli_ normal
    normal_ uniform_ multinomial poisson exponential_ random_ cauchy_ geometric_ log_normal_
    rrelu gumbel_softmax
""")
OVER_TIME = _words("sum mean amax amin max min median mode argmax argmin any all")
"""They may go along the axis of time, which is left to the host."""
HAND_WRITTEN = "use a neuron of a framework in place of a hand-written one"
FUNCTION_FIX = {
    "cat": "NIR has no concatenation: give each branch its own layer and add their outputs",
    "stack": "add the branches with +",
    "view": "use torch.nn.Flatten",
    "reshape": "use torch.nn.Flatten",
    "mul": "put factors into the weights of the layer before",
    "div": "put factors into the weights of the layer before",
    "sub": "put the sign into the weights of the layer before, then add",
    "__getitem__": "select the part of a signal by the weights of a layer",
    "softmax": "read the classes out on the host",
    "log_softmax": "read the classes out on the host",
    "gt": HAND_WRITTEN,
    "ge": HAND_WRITTEN,
    "heaviside": HAND_WRITTEN,
    "adaptive_avg_pool2d": "use torch.nn.AvgPool2d with the equivalent window",
}
ADD_FIX = "put constants and factors into the weights or the bias of a layer"


class LeakError(InputError):
    """A value of a signal leaves torch, so that the code may do something else with it."""


def leak(name: str, where: str) -> Finding:
    branch = name in BRANCHES
    what = "it branches on the value of a signal" if branch else "a value of a signal leaves torch"
    return error(
        "EXPORT-TRACE",
        f"the forward method cannot be followed: {what} ({where})",
        why="its control flow must not depend on the values of its input",
        fix="give it the form forward(x, state=None) without branches on tensors",
    )


def no_function(name: str, where: str, why: str = "") -> Finding:
    fix = "use a layer of torch.nn or a neuron of a framework in its place"
    return error(
        "EXPORT-FUNCTION",
        f"the function {name.strip('_')!r} has no counterpart on a chip ({where})",
        why=why,
        fix=FUNCTION_FIX.get(name, fix),
    )


def at_random(name: str, source: str, where: str) -> Finding:
    return error(
        "EXPORT-RANDOM",
        f"{name.strip('_')!r} takes a value that {source!r} draws at random ({where})",
        why="a chip has no such source, and each run of the model would differ",
        fix="draw it outside of the module, and pass it in as a part of the input",
    )


def not_added(value: Value | None) -> str:
    """Return why a value cannot be added to a signal."""
    match value:
        case None | Constant():
            return "only two signals can be added, with no constant and no factor"
        case State() | Changed():
            return "one of the two is the state of a cell, not a signal"
        case Random():
            return f"one of the two is drawn at random by {value.function!r}"
        case OverTime():
            return f"one of the two is the {value.function} over all steps"
        case _:
            return "one of the two is a tensor of unknown origin"
