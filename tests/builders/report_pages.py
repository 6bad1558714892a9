"""Small verified models for the tests of the HTML report, and the page read back."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

import numpy as np

import nrf_deploy as nd
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.io.model import Model
from nrf_deploy.ir.network import LI, LIF, Edge, Input, Linear, Network, Node, Output
from nrf_deploy.ir.recording import Recording
from nrf_deploy.verification import Report
from nrf_deploy.verification.report.page.html import VOID

PLAIN = ("in", "w", "hidden", "back", "out_w", "read", "out")


@dataclass(frozen=True, eq=False)
class Case:
    report: Report
    bundle: Bundle
    recording: Recording

    def __repr__(self) -> str:
        return f"<Case of {self.report!r}>"

    def page(self) -> str:
        return nd.report_html(self.report, self.bundle, self.recording)


def looped(names: tuple[str, ...] = PLAIN) -> Network:
    """Build neurons that feed themselves, and a readout whose values are not spikes."""
    port, w, hidden, back, out_w, read, out = names
    rng = np.random.default_rng(0)
    four, two = np.ones(4), np.ones(2)
    nodes: tuple[Node, ...] = (
        Input(name=port, port_shape=(3,)),
        Linear(name=w, weight=rng.normal(size=(4, 3)) + 0.6),
        LIF(name=hidden, tau=four / 100, r=four * 2.5, v_leak=four * 0, v_threshold=four,
            v_reset=four * 0),
        Linear(name=back, weight=rng.normal(size=(4, 4)) * 0.2),
        Linear(name=out_w, weight=rng.normal(size=(2, 4))),
        LI(name=read, tau=two / 50, r=two, v_leak=two * 0),
        Output(name=out, port_shape=(2,)),
    )  # fmt: skip
    edges: tuple[Edge, ...] = (
        (port, w), (w, hidden), (hidden, back), (back, hidden), (hidden, out_w), (out_w, read),
        (read, out),
    )  # fmt: skip
    return Network(nodes, edges, dt=1e-3)


def case(names: tuple[str, ...] = PLAIN, chip: str = "loihi2") -> Case:
    frames = (np.random.default_rng(1).random((400, 3)) < 0.5).astype(np.int64)
    recording = Recording.from_dense(frames, 1e-3)
    bundle = nd.compile(Model(looped(names)), chip, recording)
    return Case(nd.verify(bundle, recording), bundle, recording)


@dataclass
class Read(HTMLParser):
    """A page as a browser without mercy would read it: every tag is closed in its turn."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    @staticmethod
    def of(page: str) -> Read:
        read = Read()
        read.feed(page)
        read.close()
        assert read.open == []
        return read

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({k for k, _ in attrs}) == len(attrs), f"{tag} has an attribute twice"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag in tags]

    def values(self, attribute: str) -> list[str]:
        return [a[attribute] or "" for _, a in self.tags if attribute in a]
