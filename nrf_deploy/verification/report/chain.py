"""The chain from the trained model to the board's image, link by link, in every verdict.

    trained = read      the model as read gives what its framework gave
    read -> chip        the chip's integers give what the model as read gives
    emulator = vendor   the emulator gives what the vendor's simulator, or silicon, gives
    image               the hash of what the bundle holds for the board

A verification compares two engines, so it measures one link; the others are named as not
compared. The first and the last are facts about the bundle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nrf_deploy.bundle.bundle import Bundle, content_hash
from nrf_deploy.diagnostics.text import printable, wrap
from nrf_deploy.ir.trained import Trained

SHOWN = 16
"""Digits of a hash in a text; the JSON has all of them."""
TRAINED, CHIP, VENDOR, IMAGE = "trained = read", "read -> chip", "emulator = vendor", "image"


@dataclass(frozen=True)
class Link:
    """A link of the chain.

    Attributes:
        name: Its two ends: "trained = read", "read -> chip", "emulator = vendor", "image".
        state: One word: "exact", "within", "differs", "stated", "unknown", "not compared" or
            "hash".
        text: The state in words.
        sha256: Of an image, its hash; of a witness, the witness's.
    """

    name: str
    state: str
    text: str
    sha256: str = ""

    @property
    def sentence(self) -> str:
        """The name and the state in one line."""
        return f"{self.name}: {self.text}"

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        link = {"link": self.name, "state": self.state, "text": self.text}
        return link | ({"sha256": self.sha256} if self.sha256 else {})


def trained_link(trained: Trained) -> Link:
    return Link(TRAINED, trained.state, trained.text, trained.sha256)


def chain(
    bundle: Bundle, engines: tuple[str, str], state: str, vendor: tuple[str, ...]
) -> tuple[Link, ...]:
    """Return the links of a bundle whose two engines were compared.

    Args:
        bundle: the bundle
        engines: the engine in question, and the one to trust
        state: of their comparison: "exact", "within" or "differs"
        vendor: the engines of the chip's vendor
    """
    left, right = engines
    between = dict.fromkeys((CHIP, VENDOR), "not compared")
    if "reference" in engines:
        between[CHIP] = state
    elif "emulator" in engines:
        between[VENDOR] = state
    others = {CHIP: "reference", VENDOR: vendor[0] if vendor else ""}
    links = [trained_link(bundle.trained)]
    for name, measured in between.items():
        if measured != "not compared":
            text = f"{WORDS[measured]} ({printable(left)} against {printable(right)})"
        elif others[name]:
            text = f"not compared here (--against {others[name]})"
        else:
            text = f"not compared: {bundle.chip} has no simulator of its vendor here"
        links.append(Link(name, measured, text))
    return (*links, image_link(bundle))


WORDS = {
    "exact": "exact",
    "within": "within the limits",
    "differs": "differs",
    "silent": "nothing was compared: no layer spiked",
}


def image_link(bundle: Bundle) -> Link:
    """Return the hash of the vendor's files of a bundle, or of its integers."""
    digest, what = content_hash(bundle.program), "the integers"
    if bundle.artefacts:
        total = hashlib.sha256()
        for name in sorted(bundle.artefacts):
            data = bundle.artefacts[name]
            total.update(f"{name} {len(data)}\n".encode() + data)
        digest, what = total.hexdigest(), printable(", ".join(sorted(bundle.artefacts)))
    return Link(IMAGE, "hash", f"sha256 {digest[:SHOWN]} of {what} for {bundle.chip}", digest)


def lines(links: tuple[Link, ...]) -> str:
    """Return the links as lines of at most 80 columns."""
    return "\n".join(wrap(link.sentence, then="    ") for link in links)


def one_line(links: tuple[Link, ...]) -> str:
    """Return the links as one sentence."""
    return f"Chain: {'; '.join(link.sentence for link in links)}."


def beside(verdict: str, trained: Trained) -> str:
    """Return a verdict that passed, with the first link beside it."""
    return f"{verdict} (trained = read: {trained.text})"


def weakest(every: Iterator[Trained]) -> Trained:
    """Return the first link of several bundles of one model: that of the least known one."""
    order = ("unknown", "stated", "exact")
    return min(every, key=lambda t: (order.index(t.state), t.steps))
