"""The HTML report: whole, safe to open, small, and the same for the same runs."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nrf_deploy as nd
from nrf_deploy.cli.main import main
from nrf_deploy.cli.verify import command
from nrf_deploy.compare.compare import compare
from nrf_deploy.diagnostics.findings import error
from nrf_deploy.ir.recording import Recording
from nrf_deploy.verification.attribution.causes import Attribution, LayerCauses
from nrf_deploy.verification.report.page import report_html
from nrf_deploy.verification.report.page.raster import PIXELS
from tests.builders.report_pages import PLAIN, Case, Read, case

HOSTILE = (
    "<script>alert(1)</script>",
    "\" onload='alert(2)' x=\"",
    "</style></svg><img src=x onerror=alert(3)>",
    "&lt;b&gt; &amp;",
    "'};//<svg/onload=alert(5)>",  # a program with control characters in a name is refused
    "x" * 5000,
    "javascript:alert(4)//]]>-->",
)


@pytest.fixture(scope="module")
def plain() -> Case:
    return case()


@pytest.fixture(scope="module")
def read(plain: Case) -> Read:
    return Read.of(plain.page())


# --- whole -------------------------------------------------------------------


def test_the_verdict_stands_first_then_every_part(read: Read) -> None:
    heads = [a["id"] for a in read.all("section")]
    assert heads == [
        "verdict",
        "findings",
        "error",
        "metrics",
        "runs",
        "model",
        "chip",
        "reproduce",
    ]


def test_the_numbers_of_the_report_are_on_the_page(plain: Case, read: Read) -> None:
    text = " ".join(read.text)
    assert plain.report.verdict in text
    for layer in plain.report.comparison.layers:
        assert layer.layer in text
        assert f"{layer.spikes_left:,}" in text
    assert plain.bundle.chip in text
    assert f"{plain.bundle.placement.used_cores} of {plain.bundle.placement.cores} cores" in text


def test_a_layer_of_values_is_not_counted_in_spikes(plain: Case) -> None:
    readout = plain.report.comparison.layers[-1]
    assert readout.analogue
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", _row_of(plain.page(), readout.layer))
    assert cells[2:5] == ["values", "values", "-"]


def _row_of(made: str, layer: str) -> str:
    error = made[made.index('<section id="error"') :]
    return next(row for row in error.split("<tr>") if f"> {layer}</th>" in row)


def test_a_core_shows_how_full_it_is_only_where_there_is_a_limit(plain: Case, read: Read) -> None:
    used = plain.bundle.placement.used_cores
    assert sum(a.get("class") == "level" for a in read.all("rect")) == used
    placement = replace(plain.bundle.placement, limits={})
    bare = report_html(plain.report, replace(plain.bundle, placement=placement), plain.recording)
    assert not [a for a in Read.of(bare).all("rect") if a.get("class") == "level"]
    assert "fullest budget" not in bare


def test_feedback_is_drawn_and_said(read: Read) -> None:
    assert sum(a.get("class") == "edge back" for a in read.all("path")) == 1
    assert "Dashed edges lead back: 1 of them" in " ".join(read.text)


def test_the_first_difference_is_marked_in_every_panel_of_its_layer(plain: Case) -> None:
    """The left run loses one spike of the layer of spikes."""
    left, right = plain.report.traces
    whole = right.outputs["hidden"].dense()
    step, neuron = np.argwhere(whole)[3]
    fewer = whole.copy()
    fewer[step, neuron] = 0
    traces = tuple(
        replace(t, outputs={"hidden": Recording.from_dense(f)})
        for t, f in ((left, fewer), (right, whole))
    )
    comparison = compare(*traces, order=["hidden"])
    report = replace(plain.report, comparison=comparison, traces=traces)
    read = Read.of(report_html(report, plain.bundle, plain.recording))
    assert sum(a["class"] == "mark" for a in read.all("circle")) == 3
    text = " ".join(read.text)
    assert "1 mismatch" in text
    assert f"the first difference, at step {step}, neuron ({neuron},), in the output" in text


def test_a_failure_is_named_with_its_findings(plain: Case) -> None:
    found = error("VERIFY-DIVERGED", "v is 3", why="it was 4", fix="look", layer="hidden")
    made = report_html(replace(plain.report, findings=(found,)), plain.bundle, plain.recording)
    assert 'class="verdict differs"' in made
    for said in ("differs in layer", "VERIFY-DIVERGED", "v is 3", "it was 4", "look"):
        assert said in made


def test_what_is_measured_besides_is_shown_and_else_left_out(plain: Case) -> None:
    row = {
        "first": "a",
        "second": "b",
        "transform": "time x2",
        "depth": 1,
        "spikes": 9,
        "errors": {"float": 0.0, "chip": 0.125},
        "causes": {"decay bits": 0.0312},
        "dominant": "decay bits",
    }
    said = [error("COVARIANCE-TIME", "most comes from Euler's step").as_json()]
    test = {"title": "Stuffing", "about": "", "rows": [row], "findings": said}
    told = {"schema_version": 2, "chip": "x", "tests": {"zero-stuffing": test}, "findings": []}
    shares = LayerCauses("hidden", 9, 0.5, {"weights": 0.25, "decay": 0.0625}, 0, "places")
    report = replace(plain.report, attribution=Attribution((shares,), {}), alone=None)
    made = report_html(report, plain.bundle, plain.recording, covariance=told)
    assert "covariance" in [a["id"] for a in Read.of(made).all("section")]
    for said in ("weights", "25.00%", "6.25%", "50.00%", "12.50%", "3.12%", "Euler"):
        assert said in made
    assert "In the run and in isolation" not in made
    bare = report_html(replace(report, attribution=None), plain.bundle, plain.recording)
    assert "By cause" not in bare


def test_distances_in_time_are_shown_where_spikes_were_compared(plain: Case, read: Read) -> None:
    timing = next(c.timing for c in plain.report.comparison.layers if c.layer == "hidden")
    text = " ".join(read.text)
    assert "Victor-Purpura" in text
    assert f"{timing.van_rossum:,.4g}" in text
    layers = tuple(replace(c, timing=None) for c in plain.report.comparison.layers)
    report = replace(plain.report, comparison=replace(plain.report.comparison, layers=layers))
    assert "Victor-Purpura" not in report_html(report, plain.bundle, plain.recording)


def test_runs_that_were_not_kept_are_said_to_be(plain: Case) -> None:
    made = report_html(replace(plain.report, traces=None), plain.bundle, plain.recording)
    assert "The runs were not kept." in made


# --- safe --------------------------------------------------------------------


def test_nothing_is_loaded_and_nothing_runs(read: Read) -> None:
    assert not read.all("script", "link", "iframe", "object", "embed", "base", "form")
    for address in (*read.values("src"), *read.values("href")):
        assert address.startswith(("#", "data:image/png;base64,"))
    assert not [k for _, a in read.tags for k in a if k.startswith("on")]
    policy = next(a for a in read.all("meta") if a.get("http-equiv"))
    assert policy["content"].startswith("default-src 'none'")  # type: ignore[union-attr]


def test_names_from_files_are_text_and_stay_short(plain: Case) -> None:
    hostile = case(HOSTILE)
    made = hostile.page()
    ours = Read.of(made)
    assert [t for t, _ in ours.tags] == [t for t, _ in Read.of(plain.page()).tags]
    assert not [k for _, a in ours.tags for k in a if k.startswith("on")]
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", made)
    assert "x" * 100 not in made


@settings(derandomize=True, max_examples=12, deadline=None)
@given(st.lists(st.text(min_size=1), min_size=7, max_size=7, unique=True))
def test_any_names_make_the_same_elements(plain: Case, names: list[str]) -> None:
    """The layer names of a finished report are exchanged: whatever they are, only text changes."""
    new = dict(zip(PLAIN, names, strict=True))
    c, network = plain.report.comparison, plain.bundle.network
    layers = tuple(
        replace(x, layer=new[x.layer], first=x.first and replace(x.first, layer=new[x.layer]))
        for x in c.layers
    )
    traces = tuple(
        replace(t, outputs={new[k]: v for k, v in t.outputs.items()}) for t in plain.report.traces
    )
    first = c.first_divergence and replace(c.first_divergence, layer=new[c.first_divergence.layer])
    report = replace(
        plain.report,
        comparison=replace(c, layers=layers, first_divergence=first),
        traces=traces,
        alone=None,
    )
    nodes = tuple(replace(n, name=new[n.name]) for n in network.nodes)
    edges = tuple((new[a], new[b]) for a, b in network.edges)
    program = plain.bundle.program
    populations = tuple(replace(p, name=new[p.name]) for p in program.populations)
    origins = tuple(
        replace(o, population=new[o.population], node=new[o.node]) for o in program.origins
    )
    pieces = tuple(replace(p, population=new[p.population]) for p in plain.bundle.placement.pieces)
    bundle = replace(
        plain.bundle,
        network=replace(network, nodes=nodes, edges=edges),
        program=replace(program, populations=populations, origins=origins),
        placement=replace(plain.bundle.placement, pieces=pieces),
    )
    made = report_html(report, bundle, plain.recording)
    made.encode()
    usual = report_html(replace(plain.report, alone=None), plain.bundle, plain.recording)
    assert [t for t, _ in Read.of(made).tags] == [t for t, _ in Read.of(usual).tags]


# --- for every reader ----------------------------------------------------------


def test_headings_are_in_order_and_every_table_has_its_caption(read: Read) -> None:
    ranks = [int(t[1]) for t, _ in read.tags if re.fullmatch(r"h[1-6]", t)]
    assert ranks[0] == 1
    assert ranks.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(ranks))
    assert len(read.all("caption")) == len(read.all("table")) > 3


def test_links_lead_somewhere_and_no_id_is_there_twice(read: Read) -> None:
    ids = read.values("id")
    assert len(set(ids)) == len(ids)
    assert {a["href"] for a in read.all("a")} <= {f"#{i}" for i in ids}
    assert set(read.values("aria-labelledby")) <= set(ids)


def test_what_scrolls_can_be_reached_by_the_keyboard_and_has_a_name(read: Read) -> None:
    scrolling = [a for a in read.all("div") if a.get("class") == "scroll"]
    assert scrolling
    assert all(a["tabindex"] == "0" and a["aria-label"] for a in scrolling)
    assert all(a["role"] == "img" for a in read.all("svg"))


# --- the same, and small -------------------------------------------------------


def test_equal_runs_have_equal_pages(plain: Case) -> None:
    assert case().page() == plain.page()


def test_ten_million_spikes_stay_a_few_hundred_kilobytes(plain: Case) -> None:
    """Noise of 8000 neurons at 12 %, and of the right run every hundredth spike is lost."""
    steps, size = 10_000, 8_000
    rng = np.random.default_rng(0)
    key = np.cumsum(rng.integers(1, 16, 10_000_000))
    key = key[key < steps * size]
    kept = rng.random(len(key)) < 0.99
    left, right = (
        replace(plain.report.traces[i], outputs={"hidden": _recorded(k, steps, size)})
        for i, k in enumerate((key, key[kept]))
    )
    assert len(key) > 9_500_000
    layer = replace(
        plain.report.comparison.layers[0],
        layer="hidden",
        shape=(size,),
        steps=steps,
        latency_left=0,
        latency_right=0,
        mismatches=int(np.count_nonzero(~kept)),
    )
    comparison = replace(plain.report.comparison, layers=(layer,))
    report = replace(plain.report, comparison=comparison, traces=(left, right))
    made = report_html(report, plain.bundle, plain.recording)
    assert 50_000 < len(made) < 500_000


def test_pictures_of_many_layers_share_the_room(plain: Case) -> None:
    names = [f"layer{k}" for k in range(100)]
    noise = _recorded(np.flatnonzero(np.random.default_rng(0).random(300 * 500) < 0.3), 300, 500)
    one, other = (replace(t, outputs=dict.fromkeys(names, noise)) for t in plain.report.traces)
    comparison = compare(one, other, order=names)
    report = replace(plain.report, comparison=comparison, traces=(one, other))
    pictures = Read.of(report_html(report, plain.bundle, plain.recording)).all("image")
    assert len(pictures) == 300
    assert sum(len(a["href"] or "") for a in pictures) < PIXELS


def _recorded(key: np.ndarray, steps: int, size: int) -> Recording:
    start = np.searchsorted(key, np.arange(steps + 1) * size)
    return Recording((size,), start, key % size, np.ones(len(key), np.int64))


# --- from the command line -----------------------------------------------------


def test_verify_writes_a_page_that_says_how_it_was_made(
    bundle: Path, events: Path, tmp_path: Path
) -> None:
    report = tmp_path / "R.html"
    words = ["verify", str(bundle), "--input", str(events), "--limit", "1"]
    assert main([*words, "--report", str(report)]) == 0
    made = report.read_text()
    assert "nrf-deploy verify small.nrfb --input events.npz --limit 1<" in made
    assert str(tmp_path) not in made, "a page tells nothing of where it was made"
    first = report.read_bytes()
    assert main([*words, "--json", f"--report={report}"]) == 0
    assert report.read_bytes() == first


def test_a_page_is_not_written_where_another_kind_is_expected(
    bundle: Path, events: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x.html"
    assert main(["run", str(bundle), "--input", str(events), "-o", str(out)]) == 2
    assert not out.exists()


def test_the_command_is_told_without_folders_and_without_the_report() -> None:
    words = ["verify", "/a/m.nrfb", "--input=/b/e f.npz", "--rep", "/c/r.html", "--json"]
    assert command(words) == "nrf-deploy verify m.nrfb '--input=e f.npz'"


def test_python_has_the_page_too(plain: Case) -> None:
    assert nd.report_html is report_html
