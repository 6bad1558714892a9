"""Import of the torch module that a command line names, and of its weights."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from nrf_deploy.diagnostics.findings import (
    InputError,
    MissingError,
    MissingFileError,
    UsageError,
    error,
)
from nrf_deploy.ir.network import Shape

from .build import need_torch

Factory = Callable[[], Any]
CONTRACT = "return (module, (2, 34, 34)), or set module.input_shape"


def load(source: str | Factory, weights: str | os.PathLike[str] | None = None) -> tuple[Any, Shape]:
    """Return the torch module that a factory gives, filled with weights, and its input shape.

    `source` is the factory or its name "package.module:factory", imported as Python
    does; the current folder is searched last. It returns a module with an
    attribute `input_shape` (without batch and time), or a pair of the two. `weights` is
    a state_dict, in torch's format (read without running code from it) or as
    safetensors. Norse's time constants and thresholds are not in a state_dict: they
    come from the factory.
    """
    need_torch()
    factory = _imported(source) if isinstance(source, str) else source
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            module: Any = factory()
        except Exception as e:
            raise UsageError(
                error(
                    "EXPORT-FACTORY",
                    f"{source!r} fails: {type(e).__name__}: {brief(e)}",
                    fix="call it in Python first; it must take no arguments",
                )
            ) from e
    if isinstance(module, tuple) and len(module) == 2:
        module, shape = module
    else:
        shape = getattr(module, "input_shape", None)
    _check(module, shape, source)
    if weights is not None:
        _fill(module, Path(weights))
    return module, tuple(shape)


def _imported(source: str) -> Factory:
    where, _, name = source.partition(":")
    if not (where and name):
        raise UsageError(
            error(
                "EXPORT-SOURCE",
                f"{source!r} is not of the form package.module:factory",
                fix=f"name a function without arguments that ends like this: {CONTRACT}",
            )
        )
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    imported = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            value: Any = importlib.import_module(where)
        imported = True
        for part in name.split("."):
            value = getattr(value, part)
    except Exception as e:  # the user's module can raise anything while it is imported
        raise UsageError(
            error(
                "EXPORT-SOURCE",
                f"{source!r} cannot be imported: {type(e).__name__}: {brief(e)}",
                fix=f"name a function that {where} has" if imported else _importable(source),
            )
        ) from e
    if not callable(value):
        what = f"{source!r} is a {type(value).__name__}, not a function"
        fix = f"write a function without arguments around it: {CONTRACT}"
        raise UsageError(error("EXPORT-SOURCE", what, fix=fix))
    return cast(Factory, value)


def _importable(source: str) -> str:
    where, _, name = source.partition(":")
    if not where.endswith(".py"):
        return "run it from the folder that holds the package, or install the package"
    file = Path(where).with_suffix("")
    module = file.name if file.is_absolute() else ".".join(file.parts)
    return f"name the module, not its file: {module}:{name}, from the folder that holds it"


def _check(module: Any, shape: Any, source: str | Factory) -> None:
    import torch

    sound = isinstance(shape, tuple | list) and all(isinstance(n, int) and n > 0 for n in shape)
    if not (isinstance(module, torch.nn.Module) and sound and shape):
        raise UsageError(
            error(
                "EXPORT-FACTORY",
                f"{source!r} gives a {type(module).__name__} and the input shape {shape!r}",
                fix=f"{CONTRACT}; the shape is without batch and time",
            )
        )


def _fill(module: Any, weights: Path) -> None:
    if not weights.is_file():
        raise MissingFileError(
            error(
                "EXPORT-WEIGHTS-MISSING",
                f"the file {str(weights)!r} does not exist",
                fix="give --weights a file that torch.save(module.state_dict(), FILE) wrote",
            )
        )
    read = _read_safetensors if weights.suffix == ".safetensors" else _read_torch
    try:
        module.load_state_dict(read(weights))
    except MissingError:
        raise
    except Exception as e:  # torch raises what pickle, zipfile and its own checks raise
        raise InputError(
            error(
                "EXPORT-WEIGHTS",
                f"{weights.name!r} does not fill this model: {brief(e)}",
                why="it must be the state_dict of the module that the factory gives",
                fix="write it with torch.save(module.state_dict(), FILE)",
            )
        ) from e


def brief(e: Exception) -> str:
    """Return the message of another library without the advice that follows it.

    A first line that ends with a colon is returned with the second.
    """
    lines = [line.strip() for line in str(e).splitlines() if line.strip()] or [type(e).__name__]
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1])


def _read_torch(weights: Path) -> Any:
    import torch

    return torch.load(weights, map_location="cpu", weights_only=True)


def _read_safetensors(weights: Path) -> Any:
    try:
        safetensors = importlib.import_module("safetensors.torch")
    except ImportError as e:
        raise MissingError(
            error(
                "EXPORT-SAFETENSORS-MISSING",
                "the package safetensors is not installed",
                fix="pip install safetensors, or give the weights as torch.save writes them",
            )
        ) from e
    return safetensors.load_file(weights)
