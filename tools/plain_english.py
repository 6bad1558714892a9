"""Check of the project's English: forbidden phrases, first words of docstrings, names.

    python tools/plain_english.py [FILE ...]        # without files: all of the repository

Prints `file:line: text -> instead` for each problem and exits with 1 if there is one. The rules
are in CONTRIBUTING.md, the words in plain_english.toml.
"""

from __future__ import annotations

import ast
import bisect
import fnmatch
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
Problem = tuple[int, str, str]
CODE = "\0"
"""Stands for one character of code, so that no phrase spans it."""

WORDS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
FRAGMENTS = frozenset(WORDS["fragments"].split())
VERBS = frozenset(WORDS["verbs"].split())
NAMES: dict[str, str] = WORDS["names"]
WAITING: list[str] = WORDS["waiting"]
QUOTED: list[str] = WORDS["quoted"]


def _expression(phrase: str) -> re.Pattern[str]:
    """Compile a phrase: whole words, any white space between words, in any case."""
    return re.compile(rf"\b(?:{phrase})(?!\w)".replace(" ?", r"\s*").replace(" ", r"\s+"), re.I)


PHRASES = {_expression(phrase): instead for phrase, instead in WORDS["phrases"].items()}


def blank(text: str) -> str:
    """Return spaces for all characters of `text` except its line breaks."""
    return re.sub(r"[^\n]", " ", text)


def prose_of_python(source: str) -> str:
    """Return `source` with its comments and strings kept in place and its code blanked."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    prose = list(re.sub(r"\S", CODE, source))
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1)}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in kinds:
            at = starts[token.start[0] - 1] + token.start[1]
            prose[at : at + len(token.string)] = _text(token.string)
    return "".join(prose)


def _text(token: str) -> str:
    """Return a comment or string without its marks, escapes, code spans and fields, in place."""
    text = re.sub(r"^\w{0,2}(\"\"\"|'''|\"|')|(\"\"\"|'''|\"|')$|^#:?", _blanked, token)
    text = re.sub(r"\\[nt\\\"']|``?[^`\n]+``?", _blanked, text)
    return re.sub(r"\{[^{}\n]*\}", lambda m: "x" * len(m[0]), text)


def _blanked(match: re.Match[str]) -> str:
    return blank(match[0])


def prose_of_markdown(source: str) -> str:
    """Return a page with its code, link targets and comments blanked, and its cells separated."""
    text = re.sub(r"^```.*?^```|<!--.*?-->", _blanked, source, flags=re.S | re.M)
    text = re.sub(r"``?[^`\n]+``?|(?<=\])\([^)\n]*\)", _blanked, text)
    return text.replace("|", CODE)


def phrases(prose: str) -> Iterator[Problem]:
    """Yield each forbidden phrase of `prose`."""
    for text in QUOTED:
        prose = prose.replace(text, blank(text))
    lines = [m.start() for m in re.finditer("\n", prose)]
    for expression, instead in PHRASES.items():
        for match in expression.finditer(prose):
            text = match[1] if expression.groups else match[0]
            if text is not None:
                line = bisect.bisect_left(lines, match.start()) + 1
                yield line, " ".join(text.replace(CODE, "").split()), instead


def docstrings(tree: ast.Module) -> Iterator[Problem]:
    """Yield each docstring that begins with a fragment or, of a function, without a verb."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        docstring = ast.get_docstring(node)
        if not docstring or not docstring.strip():
            continue
        first = docstring.split()[0].rstrip(".,:;")
        line = node.body[0].lineno
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not _is_noun(node):
            if first not in VERBS:
                yield line, first, "begin with an imperative verb (tools/plain_english.toml)"
        elif first.lower() in FRAGMENTS:
            yield line, first, "begin with a noun phrase"


def _is_noun(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether a function reads as a noun (a property) or as a sentence (a test)."""
    decorators = [ast.unparse(d) for d in node.decorator_list]
    properties = any(re.search(r"property\b|\.setter\b|fixture\b", d) for d in decorators)
    return properties or node.name.startswith("test_")


def names(tree: ast.Module) -> Iterator[Problem]:
    """Yield each participle that is bound as the name of a value or a function.

    Fields and methods of classes are free: they may be names of a file or of a contract.
    """
    classes = (n for n in ast.walk(tree) if isinstance(n, ast.ClassDef))
    members: set[ast.AST] = {member for c in classes for member in c.body}
    members |= {m.target for m in members if isinstance(m, ast.AnnAssign)}
    for node in ast.walk(tree):
        name = ""
        if node in members:
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        elif isinstance(node, ast.arg):
            name = node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            name = node.name
        if name in NAMES:
            yield node.lineno, name, NAMES[name]  # type: ignore[attr-defined]


def problems(path: str, source: str) -> list[Problem]:
    """Return the problems of one file by line. Names of values in tests are free."""
    if path.endswith(".md"):
        return sorted(phrases(prose_of_markdown(source)))
    tree = ast.parse(source)
    bound = () if path.startswith("tests/") else names(tree)
    return sorted([*phrases(prose_of_python(source)), *docstrings(tree), *bound])


def fits(path: str, pattern: str) -> bool:
    """Return whether a path matches a pattern, in which a star also stands for folders."""
    return fnmatch.fnmatchcase(path, pattern)


def files(arguments: list[str]) -> list[str]:
    """Return the paths to check, relative to the root: the arguments, or all that git has."""
    if arguments:
        paths = [Path(a).resolve().relative_to(ROOT).as_posix() for a in arguments]
    else:
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py", "*.md"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        paths = sorted(p for p in listed.stdout.splitlines() if (ROOT / p).is_file())
    return [path for path in paths if path.endswith((".py", ".md"))]


def main(arguments: list[str]) -> int:
    """Print the problems of the files and return the exit code."""
    count = 0
    for path in files(arguments):
        if any(fits(path, pattern) for pattern in WAITING):
            continue
        for line, text, instead in problems(path, (ROOT / path).read_text("utf-8")):
            print(f"{path}:{line}: {text} -> {instead}")
            count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
