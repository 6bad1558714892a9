"""Client of samna: verdicts, word streams and boards (worker_samna.py).

samna runs in a separate environment and process, which may crash: known causes are refused here
first (check.crashes); any other crash is reported as one finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nrf_deploy.diagnostics.findings import MissingError, TargetError, error, refuse
from nrf_deploy.engines.sdk.reply import Expected, Numbers, Upto
from nrf_deploy.engines.sdk.sdk import Sdk
from nrf_deploy.engines.sdk.worker import bad_reply, call
from nrf_deploy.ir.network import Array

from ..configuration import board_limits, check, tree
from ..configuration.configuration import Configuration
from ..configuration.word_stream import (
    WIDTH,
    WordsError,
    Writes,
    decode,
    differences,
    from_bytes,
    to_bytes,
)

HERE = Path(__file__).parent
sdk = Sdk(
    name="samna",
    about="SynSense's samna 0.7: validates and encodes for Speck 2b and DYNAP-CNN",
    python="3.10",
    requirements=HERE / "requirements_samna.txt",
    worker=HERE / "worker_samna.py",
    module="samna",
)
newer = Sdk(
    name="samna-new",
    about="the newer samna, for Speck 2e and 2f boards; downloads itself from the vendor",
    python="3.11",
    requirements=HERE / "requirements_samna_new.txt",
    worker=HERE / "worker_samna.py",
    module="samna",
    optional=True,
)

PATIENCE_S = 120.0
FLASH_PATIENCE_S = 600.0
MOST_WORDS = 1 << 22
"""Limit for one configuration: about ten times the memories of the largest chip."""


@dataclass(frozen=True)
class Verdict:
    """samna's verdict on a configuration and its text."""

    ok: bool
    said: str


@dataclass(frozen=True, eq=False)
class Stream:
    """The words of a configuration and their decoded writes."""

    chip: str
    words: Array
    writes: Writes

    def to_bytes(self) -> bytes:
        return to_bytes(self.words, self.chip)


def sdk_of(chip: str) -> Sdk:
    return newer if chip in tree.NEW else sdk


def has_stream(chip: str) -> bool:
    """Return whether the word stream can be generated without a board."""
    return chip not in tree.NEW


def validate(configurations: Sequence[Configuration]) -> list[Verdict]:
    """Return samna's verdict on each configuration; all for one chip of samna 0.7."""
    for configuration in configurations:
        refuse(check.crashes(configuration), TargetError)
    (chip,) = {c.chip for c in configurations}
    texts = [tree.text(c) for c in configurations]
    request = {"action": "validate", "chip": chip, "configurations": texts}
    verdict = {"ok": bool, "said": str}
    expected = Expected({"verdicts": (verdict, len(texts))})
    reply, _ = call(sdk, request, expected, timeout_s=PATIENCE_S)
    return [Verdict(v["ok"], v["said"]) for v in reply["verdicts"]]


def encode(configuration: Configuration) -> Stream:
    """Return the word stream, after decoding it and comparing it with the configuration."""
    chip = configuration.chip
    if not has_stream(chip):
        raise MissingError(
            error(
                "SPECK-NO-STREAM",
                f"a word stream for {chip} needs a board",
                why=f"samna 0.7, which generates the stream, does not have {chip}",
                fix="write the configuration: --image F.json; or flash a board",
            )
        )
    refuse(board_limits.faults(configuration), TargetError)
    request = {"action": "encode", "chip": chip, "configuration": tree.text(configuration)}
    expected = Expected(
        arrays={
            "words": Numbers((Upto("words", MOST_WORDS),), low=0, high=256 ** WIDTH[chip] - 1),
            "writes": Numbers((Upto("writes", MOST_WORDS), 5)),
        }
    )
    _, arrays = call(sdk, request, expected, timeout_s=PATIENCE_S)
    try:
        words = from_bytes(to_bytes(arrays["words"], chip), chip)
        stream = Stream(chip, words, decode(words, chip))
    except WordsError as problem:
        raise bad_reply(sdk.name, f"is not a word stream of {chip}: {problem}") from problem
    differ = list(differences(stream.writes, configuration))
    if not np.array_equal(stream.writes.rows(), Writes.of(arrays["writes"]).rows()):
        differ.insert(0, "samna reports other writes")
    if differ:
        raise MissingError(
            error(
                "SPECK-STREAM-DIFFERS",
                f"the words differ from the configuration ({len(differ)} differences)",
                why="; ".join(differ[:4]),
                fix="do not send them to a board; report this with the bundle",
            )
        )
    return stream
