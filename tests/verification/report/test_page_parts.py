"""The parts of the HTML report: the layout of a graph, the bins of a raster, a PNG, an element."""

from __future__ import annotations

import itertools
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.compare.alignment import Window, window
from nrf_deploy.ir.network import Array, Flatten, Input, Linear, Network, Output
from nrf_deploy.ir.recording import Recording
from nrf_deploy.verification.report.page.bins import Grid, levels, spikes, values
from nrf_deploy.verification.report.page.graph import boxes
from nrf_deploy.verification.report.page.graph_layout import APART, GAP, Layout, layered
from nrf_deploy.verification.report.page.html import Markup, tag
from nrf_deploy.verification.report.page.png import png

bounded = settings(derandomize=True, max_examples=60, deadline=None)

# --- the layout of a graph -----------------------------------------------------


@st.composite
def graphs(
    draw: st.DrawFn,
) -> tuple[dict[str, tuple[float, float]], list[tuple[str, str]], set[int]]:
    names = [f"n{k}" for k in range(draw(st.integers(1, 9)))]
    side = st.integers(10, 200).map(float)
    sizes = {n: (draw(side), draw(side)) for n in names}
    pairs = st.tuples(st.sampled_from(names), st.sampled_from(names))
    edges = draw(st.lists(pairs, unique=True, max_size=16))
    back = {i for i, (a, b) in enumerate(edges) if names.index(a) >= names.index(b)}
    return sizes, edges, back


@bounded
@given(graphs())
def test_no_two_boxes_meet(case: tuple) -> None:
    sizes, edges, back = case
    layout = layered(sizes, edges, back)
    for a, b in itertools.combinations(sizes, 2):
        (m, c), (n, d) = layout.corners[a], layout.corners[b]
        apart_along = m + sizes[a][0] + GAP <= n + 1e-6 or n + sizes[b][0] + GAP <= m + 1e-6
        apart_across = c + sizes[a][1] + APART <= d + 1e-6 or d + sizes[b][1] + APART <= c + 1e-6
        assert apart_along or apart_across


@bounded
@given(graphs())
def test_everything_is_inside(case: tuple) -> None:
    sizes, edges, back = case
    layout = layered(sizes, edges, back)
    assert all(min(corner) >= -1e-6 for corner in layout.corners.values())
    ends = [tuple(np.add(layout.corners[n], sizes[n])) for n in sizes]
    for point in (*ends, *itertools.chain.from_iterable(layout.routes)):
        assert -1e-6 <= point[0] <= layout.size[0] + 1e-6
        assert -1e-6 <= point[1] <= layout.size[1] + 1e-6


@bounded
@given(graphs())
def test_edges_lead_from_box_to_box_and_back_edges_run_round_the_outside(case: tuple) -> None:
    sizes, edges, back = case
    layout = layered(sizes, edges, back)
    for i, (a, b) in enumerate(edges):
        first, *_, last = layout.routes[i]
        assert first[0] == pytest.approx(layout.corners[a][0] + sizes[a][0])
        assert last[0] == pytest.approx(layout.corners[b][0])
        if i in back:
            outermost = max(layout.corners[n][1] + sizes[n][1] for n in sizes)
            assert max(p[1] for p in layout.routes[i]) > outermost
        else:
            assert all(p[0] <= q[0] for p, q in itertools.pairwise(layout.routes[i]))


def test_an_edge_over_a_rank_passes_beside_its_boxes() -> None:
    sizes = dict.fromkeys("abc", (10.0, 50.0))
    layout = layered(sizes, [("a", "b"), ("b", "c"), ("a", "c")])
    top = layout.corners["b"]
    for point in layout.routes[2]:
        inside = top[0] <= point[0] <= top[0] + 10 and top[1] <= point[1] <= top[1] + 50
        assert not inside


def test_two_crossed_pairs_are_uncrossed() -> None:
    sizes = dict.fromkeys("abcd", (10.0, 50.0))
    layout = layered(sizes, [("a", "d"), ("b", "c")])
    assert _across(layout, "a") == pytest.approx(_across(layout, "d"))
    assert _across(layout, "b") == pytest.approx(_across(layout, "c"))


def _across(layout: Layout, name: str) -> float:
    return layout.corners[name][1]


def test_connections_join_the_box_of_what_they_lead_to() -> None:
    nodes = (
        Input(name="in", port_shape=(2, 2)),
        Flatten(name="flat", flat_input=(2, 2), start=0, end=-1),
        Linear(name="w", weight=np.ones((1, 4))),
        Output(name="out", port_shape=(1,)),
    )
    edges = (("in", "flat"), ("flat", "w"), ("w", "out"))
    found = boxes(Network(nodes, edges, dt=1.0))
    assert [[n.name for n in box.nodes] for box in found] == [["in"], ["flat", "w"], ["out"]]


# --- the bins of a raster ------------------------------------------------------


def _window(frames: Array) -> Window:
    recording = Recording.from_dense(frames)
    return window(recording, 0, recording.steps)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Array, Array]:
    steps, size = draw(st.integers(1, 40)), draw(st.integers(1, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    one, other = rng.integers(0, 3, (2, steps, size)) * (rng.random((2, steps, size)) < 0.4)
    return one, other


@bounded
@given(pairs(), st.integers(1, 50), st.integers(1, 40))
def test_every_event_falls_on_one_point(pair: tuple[Array, Array], columns: int, rows: int) -> None:
    left, right = pair
    steps, size = left.shape
    grid = Grid.of(steps, size, columns, rows)
    made = spikes(grid, _window(left), _window(right))
    assert made.left.sum() == np.count_nonzero(left)
    assert made.right.sum() == np.count_nonzero(right)
    assert made.left_only.sum() == np.count_nonzero(left > right)
    assert made.right_only.sum() == np.count_nonzero(right > left)
    assert grid.area().sum() == left.size
    assert made.left.shape == (min(rows, size), min(columns, steps))


@bounded
@given(pairs())
def test_with_room_for_all_a_raster_is_the_recording(pair: tuple[Array, Array]) -> None:
    left, right = pair
    grid = Grid.of(*left.shape, *left.shape)
    made = values(grid, _window(left), _window(right))
    assert np.array_equal(made.left, left.T)
    assert np.array_equal(made.left_only - made.right_only, (left - right).T)


def test_the_mark_falls_on_the_point_of_its_event() -> None:
    frames = np.zeros((1000, 300), np.int64)
    frames[777, 123] = 1
    grid = Grid.of(1000, 300, 64, 20)
    lit = np.argwhere(grid.add(_window(frames).key))
    assert lit.tolist() == [[grid.row(123), grid.column(777)]]


def test_one_event_among_many_is_still_seen() -> None:
    density = np.array([[0.0, 1.0, 1e6]])
    assert levels(density, 8).tolist() == [[0, 1, 8]]
    assert levels(np.zeros((2, 2)), 8).tolist() == [[0, 0], [0, 0]]


# --- a picture and an element ---------------------------------------------------


@bounded
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_a_png_holds_its_pixels(rows: int, columns: int, seed: int) -> None:
    colours = [(k, 2 * k, 3 * k, 255 - k) for k in range(16)]
    pixels = np.random.default_rng(seed).integers(0, 16, (rows, columns))
    chunks = _chunks(png(pixels, colours))
    assert struct.unpack(">II", chunks[b"IHDR"][:8]) == (columns, rows)
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(rows, -1)
    assert not lines[:, 0].any()
    seen = np.stack([lines[:, 1:] >> 4, lines[:, 1:] & 15], axis=2).reshape(rows, -1)
    assert np.array_equal(seen[:, :columns], pixels)
    assert list(chunks[b"PLTE"][3:6]) == [1, 2, 3]
    assert chunks[b"tRNS"][1] == 254


def _chunks(data: bytes) -> dict[bytes, bytes]:
    found, at = {}, 8
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        held = data[at + 8 : at + 8 + size]
        assert zlib.crc32(kind + held) == struct.unpack(">I", data[at + 8 + size :][:4])[0]
        found[kind] = held
        at += 12 + size
    return found


def test_a_pixel_without_a_colour_is_refused() -> None:
    with pytest.raises(ValueError, match="colour"):
        png(np.array([[2]]), [(0, 0, 0, 0), (1, 1, 1, 255)])


def test_text_is_escaped_and_markup_is_not() -> None:
    assert tag("p", "<b>", Markup("<br>"), 3, None) == "<p>&lt;b&gt;<br>3</p>"
    assert tag("a", href='"&\n') == '<a href="&quot;&amp;\\n"></a>'


def test_attributes_are_left_out_only_where_they_say_nothing() -> None:
    made = tag("g", x=0, y=1.239, open=True, hidden=False, id=None, aria_label="", class_="c")
    assert made == '<g x="0" y="1.24" open aria-label="" class="c"></g>'


def test_what_is_no_content_is_a_bug() -> None:
    with pytest.raises(TypeError, match="a child is object"):
        tag("p", object())
