"""Origin of a report: the files of the call with their hashes, and its words."""

from __future__ import annotations

import argparse
import hashlib
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from nrf_deploy.io.files import reading

NOT_SAID = "--report"
"""Options that only decide where the answer is written."""


def provenance(args: argparse.Namespace) -> dict[str, Any]:
    """Return the files and the command; files without folders, so that equal calls are equal."""
    files = {"bundle": args.bundle, "input": args.input}
    if args.labels:
        files["labels"] = args.labels
    answer: dict[str, Any] = {}
    for what, path in files.items():
        with reading(path) as stream:
            answer[what] = Path(path).name
            answer[f"{what}_sha256"] = _sha256(stream)
    return answer | {"commands": [command(args.words)]}


def _sha256(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while part := stream.read(1 << 20):
        digest.update(part)
    return digest.hexdigest()


def command(words: Sequence[str]) -> str:
    return shlex.join(["nrf-deploy", *_relevant(words)])


def _relevant(words: Sequence[str]) -> Iterator[str]:
    rest = iter(words)
    for word in rest:
        key, equals, value = word.partition("=")
        option = key.startswith("--") and len(key) > 4
        if option and NOT_SAID.startswith(key):
            if not equals:
                next(rest, None)
        elif option and equals:
            yield f"{key}={_name(value)}"
        elif word != "--json":
            yield _name(word)


def _name(word: str) -> str:
    return Path(word).name if os.sep in word else word
