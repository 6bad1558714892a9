"""The first link of the chain: the origin of the claim that the model as read was trained so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["exact", "stated", "unknown"]


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

    @property
    def text(self) -> str:
        """The state in words: "exact on 48 steps of snntorch's own spikes"."""
        if self.state != "exact":
            return {"stated": "stated, not checked", "unknown": "unknown"}[self.state]
        steps = f"{self.steps:,} step{'' if self.steps == 1 else 's'}"
        text = f"exact on {steps} of {self.producer}'s own spikes"
        if self.missing:
            every = len(self.layers) + len(self.missing)
            text += f", in {len(self.layers)} of {every} layers"
        if self.near:
            text += f", but for {self.near:,} within 1e-5 of a threshold"
        if self.undecided:
            text += f"; {len(self.undecided)} undecided"
        return text


UNKNOWN = Trained()
