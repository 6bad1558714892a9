"""docs/api.md, generated from the docstrings of the public names.

python tools/api_page.py            # write the page
python tools/api_page.py --check    # exit with 1 if it is not current
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
import textwrap
import typing
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import nrf_deploy as nd
from nrf_deploy.api import for_targets
from nrf_deploy.compiler.abilities import ABILITIES
from nrf_deploy.compiler.contract import members
from nrf_deploy.compiler.target import Target

PAGE = Path(__file__).resolve().parent.parent / "docs" / "api.md"

HEAD = """\
# Python API

```python
import nrf_deploy as nd
```

Each verb of the command line is a function, with the same names for its options (`--from` is
`start`, since `from` is a word of Python). Everything is typed: editors complete it, and mypy
finds a wrong argument. Where a function takes an object, it also takes the path of a file that
holds one; a recording is read by `read_recording`, since its reading depends on the model.

A refusal is an `NrfError` with all `findings` at once. It is also the exception that Python's
habits expect: a `FileNotFoundError`, a `TypeError` or a `ValueError`.

This page is generated from the docstrings (`python tools/api_page.py`).
"""

GROUPS = {
    "Models": ["read", "from_torch", "export", "sample"],
    "Compile": ["check", "compile", "save", "load", "export_program"],
    "Recordings": ["read_recording", "write_recording"],
    "Run": ["run", "align", "latency", "unit", "engines_of"],
    "Verify": [
        "verify", "verify_trained", "compare_engines", "bisect", "covariance", "report_html",
        "junit", "run_conformance",
    ],
    "Boards": ["flash", "image", "write_image"],
    "Files and installation": ["inspect", "targets", "sdk", "bench", "demo"],
    "Options from text": ["parse_rules", "parse_limits", "parse_labels", "scheme_toml"],
}  # fmt: skip

BUILT = ("LayerRules", "Limits", "Rules")
"""Classes that a user calls, shown with their arguments."""
INNER = ("bits", "by_spikes", "wider", "with_")
"""Members of public classes that only the toolchain uses."""
SECTIONS = ("Args", "Attributes", "Returns", "Raises")


def page() -> str:
    """Return the page."""
    names = [n for n in nd.__all__ if n != "__version__"]
    functions = [n for n in names if inspect.isfunction(getattr(nd, n))]
    grouped = [n for group in GROUPS.values() for n in group]
    if missing := sorted(set(functions) ^ set(grouped)):
        raise SystemExit(f"GROUPS of tools/api_page.py and nrf_deploy differ in {missing}")
    errors = [n for n in names if _is_error(n)]
    classes = [n for n in names if n not in (*functions, *errors)]
    parts = [HEAD, _contents(classes, errors)]
    for title, group in GROUPS.items():
        parts += [f"## {title}", *(_function(f"nd.{n}", getattr(nd, n)) for n in group)]
    parts += ["## Classes", *(_class(n) for n in classes)]
    parts += ["## Errors", "\n".join(_error(n) for n in errors)]
    parts += ["## Targets", *_target()]
    parts += ["## Abilities of a target", *_abilities()]
    parts += ["## Names for targets", _for_targets()]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _is_error(name: str) -> bool:
    kind = getattr(nd, name)
    return inspect.isclass(kind) and issubclass(kind, nd.NrfError)


def _contents(classes: list[str], errors: list[str]) -> str:
    rows = list(GROUPS.items())
    rows += [("Classes", classes), ("Errors", errors)]
    lines = [f"| {title} | {', '.join(f'`{n}`' for n in group)} |" for title, group in rows]
    return "\n".join(["| | names |", "|---|---|", *lines])


def _function(title: str, function: Callable[..., Any], level: str = "###") -> str:
    signature = f"```python\n{_signature(title, function)}\n```"
    return "\n\n".join([f"{level} {title}", signature, _prose(inspect.getdoc(function) or "")])


def _signature(title: str, function: Callable[..., Any]) -> str:
    """Return the signature, on one line or a parameter a line, with types as they are written."""
    signature = inspect.signature(function)
    parameters = [p for p in signature.parameters.values() if p.name != "self"]
    words, keyword_only = [], False
    for p in parameters:
        if p.kind is p.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            words.append("*")
        words.append(_parameter(p))
    returned = signature.return_annotation
    end = f") -> {returned}" if returned is not signature.empty else ")"
    line = f"{title}({', '.join(words)}{end}"
    if len(line) <= 90:
        return line
    return "\n".join([f"{title}(", *(f"    {word}," for word in words), end])


def _parameter(parameter: inspect.Parameter) -> str:
    """Return a parameter with its type and its default."""
    name = f"{'**' * (parameter.kind is parameter.VAR_KEYWORD)}{parameter.name}"
    kind = re.sub(r"^Unpack\[(.*)\]$", r"\1", str(parameter.annotation))
    if parameter.default is parameter.empty:
        return f"{name}: {kind}"
    default = parameter.default
    if repr(default) == "<factory>":  # of a dataclass: a new one each time
        return f"{name}: {kind} = {{}}"
    return f"{name}: {kind} = {default.__name__ if callable(default) else repr(default)}"


def _class(name: str) -> str:
    kind = getattr(nd, name)
    if not inspect.isclass(kind):
        kinds = ", ".join(f"`{k.__name__}`" for k in typing.get_args(kind))
        return f"### nd.{name}\n\nEither of {kinds}: what `parse_labels` returns."
    parts = [f"### nd.{name}", _prose(inspect.getdoc(kind) or "")]
    if name in BUILT:
        parts.insert(
            1, f"```python\n{_signature(f'nd.{name}', kind).removesuffix(' -> None')}\n```"
        )
    for member, value in vars(kind).items():
        if member.startswith("_") or member in INNER:
            continue
        text = inspect.getdoc(value.fget if isinstance(value, property) else value) or ""
        if isinstance(value, property) and text:
            parts.append(f"- `{member}`: {_first(text)}")
        elif inspect.isfunction(value) and text:
            arguments = ", ".join(list(inspect.signature(value).parameters)[1:])
            parts.append(f"- `{member}({arguments})`: {_first(text)}")
        elif isinstance(value, staticmethod) and text:
            arguments = ", ".join(inspect.signature(value.__func__).parameters)
            parts.append(f"- `{name}.{member}({arguments})`: {_first(text)}")
    return _join(parts)


def _join(parts: list[str]) -> str:
    """Join paragraphs by an empty line, and items of a list by a line break."""
    text = parts[0]
    for before, part in pairwise(parts):
        text += ("\n" if before.startswith("- ") and part.startswith("- ") else "\n\n") + part
    return text


def _error(name: str) -> str:
    kind = getattr(nd, name)
    bases = ", ".join(f"`{b.__name__}`" for b in kind.__bases__)
    code = f"exit code {kind.exit_code}"
    return f"- **nd.{name}** ({bases}; {code}): {_first(inspect.getdoc(kind) or '')}"


def _target() -> Iterator[str]:
    yield _prose(inspect.getdoc(Target) or "")
    yield _attributes(Target)
    for name in members(Target):
        if inspect.isfunction(method := vars(Target).get(name)):
            yield _function(name, method)


def _abilities() -> Iterator[str]:
    yield "Each is a protocol: a target has the ability if it has these members."
    for ability in ABILITIES:
        yield f"### {ability.__name__}\n\n{_prose(inspect.getdoc(ability) or '')}"
        if attributes := _attributes(ability):
            yield attributes
        for name in members(ability):
            if inspect.isfunction(method := vars(ability).get(name)):
                yield _function(name, method, "####")


def _attributes(protocol: type) -> str:
    """Return the attributes with the text that stands under each in the source."""
    lines = inspect.getsource(protocol)
    kind = re.findall(r'^    (\w+): ([^\n]+)\n    """(.*?)"""', lines, re.M | re.S)
    items = [f"- `{name}: {kind}`: {' '.join(text.split())}" for name, kind, text in kind]
    for name, value in vars(protocol).items():
        if isinstance(value, property):
            kind = inspect.signature(value.fget).return_annotation  # type: ignore[arg-type]
            items.append(f"- `{name}: {kind}`: {_first(inspect.getdoc(value.fget) or '')}")
    return "\n".join(items)


def _for_targets() -> str:
    """Return the names of the module that targets import, by the comments in its source."""
    text = Path(for_targets.__file__).read_text("utf-8")
    prose = _prose(inspect.getdoc(for_targets) or "")
    rows = []
    for block in re.split(r"^# (?=[a-z])", text, flags=re.M)[1:]:
        title, _, body = block.partition("\n")
        names = [n for n in re.findall(r" as (\w+)", body) if not n.startswith("_")]
        names += re.findall(r"^(\w+) = _", body, re.M)
        if names and title != "isort: skip_file":
            rows.append(f"| {title} | {', '.join(f'`{n}`' for n in names)} |")
    modules = [n for n, v in vars(for_targets).items() if isinstance(v, ModuleType) and n[0] != "_"]
    assert all(f"`{m}`" in "".join(rows) for m in modules)
    table = "\n".join(["| part | names of `nrf_deploy.api.for_targets` |", "|---|---|", *rows])
    return f"{prose}\n\n{table}"


def _first(text: str) -> str:
    """Return the first paragraph of a docstring in one line."""
    return " ".join(re.split(r"\n\s*\n", text.strip())[0].split())


def _prose(text: str) -> str:
    """Return a docstring in Google's style as Markdown."""
    parts = re.split(rf"^({'|'.join(SECTIONS)}):\n", text, flags=re.M)
    paragraphs = [parts[0].strip()]
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        paragraphs.append(f"**{title}**\n\n{_section(title, textwrap.dedent(body))}")
    return "\n\n".join(part for part in paragraphs if part)


def _section(title: str, body: str) -> str:
    items = re.split(r"^(?=\S)", body, flags=re.M)
    items = [" ".join(item.split()) for item in items if item.strip()]
    if title == "Returns":
        return " ".join(items)
    return "\n".join("- `{}`: {}".format(*item.split(": ", 1)) for item in items)


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    text = page()
    if parser.parse_args().check:
        current = PAGE.read_text("utf-8") == text
        print("docs/api.md is current" if current else "run python tools/api_page.py")
        return 0 if current else 1
    PAGE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
