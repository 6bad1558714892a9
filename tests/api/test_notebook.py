"""Bundle, Report, Trace and Network in a notebook: small tables, escaped whatever the names are."""

from __future__ import annotations

import html.parser
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.diagnostics.findings import warning
from nrf_deploy.diagnostics.notebook import CELL, FINDINGS, ROWS, Table, page
from nrf_deploy.ir.network import Network
from nrf_deploy.ir.recording import Recording, Trace

HOSTILE = """<script>alert("1")</script>&'\u202e<img src=x onerror=alert(1)>"""
LARGEST = 20_000
"""Bytes of what a notebook shows of a small model."""


class Seen(html.parser.HTMLParser):
    """The elements, their attributes, and the text of a page; closing tags must match."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def seen(thing: Any) -> Seen:
    made = thing if isinstance(thing, str) else thing._repr_html_()
    parsed = Seen()
    parsed.feed(made)
    parsed.close()
    assert parsed.open == []
    assert set(parsed.tags) <= {"div", "p", "b", "table", "thead", "tbody", "tr", "th", "td"}
    assert parsed.attributes <= {"style"}
    assert not re.search(r"https?:|url\(|@import|javascript:", made)
    return parsed


@pytest.fixture
def things(bundle: Path, events: Path) -> dict[str, Any]:
    made = nd.load(bundle)
    recording = nd.read_recording(events, made)
    return {
        "network": made.network,
        "bundle": made,
        "trace": nd.run(made, recording, layer=["hidden", "last"], states=True),
        "report": nd.verify(made, recording),
    }


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("network", ["Network of 6 nodes", "hidden", "last", "weights"]),
        ("bundle", ["Bundle for loihi2", "hidden", "2 of 128", "made by"]),
        ("trace", ["Trace by emulator", "hidden", "events a neuron and step", "v"]),
        ("report", ["emulator against reference", "hidden", "mismatches"]),
    ],
)
def test_each_is_a_small_page_of_tables(name: str, says: list[str], things: Any) -> None:
    shown = seen(things[name])
    assert "table" in shown.tags
    for words in says:
        assert words in shown.text
    assert len(things[name]._repr_html_()) < LARGEST


def test_a_network_shows_the_features_of_its_neurons(things: dict[str, Any]) -> None:
    made = things["network"]
    nodes = [n.with_(refractory=np.ones(n.shape)) if n.name == "hidden" else n for n in made.nodes]
    assert "refractory" not in seen(made).text
    assert "refractory" in seen(replace(made, nodes=tuple(nodes))).text


def named(network: Network, wish: str) -> Network:
    """Return a network with one node renamed."""
    nodes = tuple(replace(n, name=wish) if n.name == "hidden" else n for n in network.nodes)
    edges = tuple(
        (wish if s == "hidden" else s, wish if t == "hidden" else t) for s, t in network.edges
    )
    return replace(network, nodes=nodes, edges=edges)


def test_a_hostile_name_is_text_and_no_markup(things: dict[str, Any]) -> None:
    made, trace, report = things["bundle"], things["trace"], things["report"]
    population = made.program.populations[0]
    layer = report.comparison.layers[0]
    found = warning("HOSTILE", HOSTILE, why=HOSTILE, fix=HOSTILE, layer=HOSTILE)
    hostile = [
        named(made.network, HOSTILE),
        replace(
            made,
            chip=HOSTILE,
            target=HOSTILE,
            tool_version=HOSTILE,
            source_sha256=HOSTILE,
            findings=(found,),
            program=replace(
                made.program,
                populations=(
                    replace(population, name=HOSTILE, model=HOSTILE),
                    *made.program.populations[1:],
                ),
            ),
        ),
        replace(
            trace,
            engine=HOSTILE,
            outputs={HOSTILE: trace.outputs["hidden"]},
            states={HOSTILE: {HOSTILE: np.zeros(1)}},
            notes={"findings": [found.as_json()], "plain emulator": HOSTILE},
        ),
        replace(
            report,
            findings=(found,),
            comparison=replace(
                report.comparison,
                left=HOSTILE,
                layers=(replace(layer, layer=HOSTILE), *report.comparison.layers[1:]),
            ),
        ),
    ]
    for thing in hostile:
        shown = seen(thing)
        assert '<script>alert("1")' in shown.text
        assert chr(0x202E) not in thing._repr_html_()


def test_what_is_shown_is_bounded() -> None:
    step = np.zeros((1, 1), np.int64)
    outputs = {f"{k}{'x' * 10_000}": Recording.from_dense(step) for k in range(500)}
    notes = {"findings": [warning(f"C{k}", "y" * 10_000).as_json() for k in range(500)]}
    shown = Trace("emulator", outputs, {}, notes)._repr_html_()
    assert len(shown) < 2 * (ROWS * 6 * (CELL + 100) + FINDINGS * 700)
    text = seen(shown).text
    assert f"and {500 - ROWS} more rows" in text
    assert f"and {500 - FINDINGS} more findings" in text


def test_a_table_aligns_numbers_and_keeps_truth_values_as_words() -> None:
    shown = page("t", Table(("a", "b", "c"), [(1234, "5.0%", True)]))
    assert ">1,234<" in shown
    assert shown.count("text-align:right") == 2
    assert ">True<" in shown


def test_a_finding_is_shown_with_its_place_reason_and_fix() -> None:
    found = warning("X-Y", "what it is", why="a reason", fix="do this", layer="conv", step=3)
    text = seen(page("t", findings=[found])).text
    assert "warning[X-Y] layer 'conv', step 3; what it is; a reason; fix: do this" in text
