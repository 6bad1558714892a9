"""The first link of the chain: the origin of the claim that the model as read was trained so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["exact", "stated", "unknown"]
SHA256 = re.compile("[0-9a-f]{64}", re.ASCII)
LONGEST = 1_000


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The origin of the claim that the model as read computes what its framework computed.

    Attributes:
        state: "exact": the model gives what a witness from the framework holds; "stated": the
            file, a producer or an option states its dynamics, and nothing was checked;
            "unknown": nobody stated them.
        producer: The framework of the witness.
        version: Its version.
        steps: The steps that were replayed, of all samples.
        offered: The steps that the witness holds.
        samples: The number of recordings.
        layers: The layers whose outputs were compared.
        missing: The populations of which the witness has no output.
        near: Spikes that differ where the potential is within 1e-5 of the threshold.
        places: The first of them, in words.
        whole: Outputs that differ because of them if the whole model runs; 0 if there are none.
        undecided: What the witness does not decide, in words.
        sha256: The SHA-256 of the witness.
    """

    state: State = "unknown"
    producer: str = ""
    version: str = ""
    steps: int = 0
    offered: int = 0
    samples: int = 0
    layers: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    near: int = 0
    places: tuple[str, ...] = ()
    whole: int = 0
    undecided: tuple[str, ...] = ()
    sha256: str = ""

    def faults(self) -> Iterator[str]:
        """Yield in words what no replay gives."""
        numbers = (self.steps, self.offered, self.samples, self.near, self.whole)
        if min(numbers) < 0 or self.steps > self.offered:
            yield f"its model was replayed on {self.steps} of {self.offered} steps of a witness"
        if self.state != "exact":
            if self != Trained(state=self.state):
                yield f"its model has a witness, and its origin is {self.state}"
        elif not (self.steps and self.samples and self.layers and SHA256.fullmatch(self.sha256)):
            yield "its model is exact on the steps of no witness"
        texts = (self.producer, self.version, *self.places, *self.undecided)
        if not all(text.isprintable() and len(text) <= LONGEST for text in texts):
            yield "the words about its witness are not printable, or too long"

    @property
    def text(self) -> str:
        """The state in words: "exact on 48 steps of snntorch's own spikes"."""
        if self.state != "exact":
            return {"stated": "stated, not checked", "unknown": "unknown"}[self.state]
        steps = f"{self.steps:,} step{'' if self.steps == 1 else 's'}"
        whose = f"{self.producer}'" if self.producer.endswith("s") else f"{self.producer}'s"
        text = f"exact on {steps} of {whose} own spikes"
        if self.missing:
            every = len(self.layers) + len(self.missing)
            text += f", in {len(self.layers)} of {every} layers"
        if self.near:
            text += f", but for {self.near:,} within 1e-5 of a threshold"
        if self.undecided:
            count = len(self.undecided)
            text += f"; {count} {'point is' if count == 1 else 'points are'} undecided"
        return text


UNKNOWN = Trained()


def trained_json(trained: Trained) -> dict[str, Any]:
    """Return the first link as plain data, with its sentence."""
    return {**asdict(trained), "text": trained.text}
