"""Cutting a population into boxes, and which sources reach them: held against counting by hand."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.compiler.place.fan_in import fan_out, pairs
from nrf_deploy.compiler.place.grid import Grid, tile_sizes, tilings
from nrf_deploy.compiler.place.split import MESSAGES, share, split
from nrf_deploy.ir.network import Array, Shape
from nrf_deploy.ir.program import Conv, Dense, Sparse, Synapses

FEW = settings(max_examples=40, deadline=None)
shapes = st.lists(st.integers(1, 7), min_size=1, max_size=3).map(tuple)


@st.composite
def grids(draw: st.DrawFn, shape: Shape) -> Grid:
    return Grid(shape, tuple(draw(st.integers(1, size)) for size in shape))


@st.composite
def convolutions(draw: st.DrawFn) -> Conv:
    groups = draw(st.integers(1, 2))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    least = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    return Conv(
        name="c",
        source="a",
        targets=("b",),
        weight=np.ones((groups * draw(st.integers(1, 3)), draw(st.integers(1, 2)), *kernel), int),
        input_size=tuple(draw(st.integers(size, 7)) for size in least),
        stride=draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        padding=tuple(draw(st.tuples(st.integers(0, 2), st.integers(0, 2))) for _ in kernel),
        dilation=dilation,
        groups=groups,
    )


@st.composite
def synapses(draw: st.DrawFn) -> Synapses:
    kind = draw(st.sampled_from(["conv", "dense", "sparse"]))
    if kind == "conv":
        return draw(convolutions())
    source, target = draw(shapes), draw(shapes)
    n, m = math.prod(source), math.prod(target)
    shared = {"name": "s", "source": "a", "targets": ("b",), "source_shape": source}
    if kind == "dense":
        return Dense(**shared, target_shape=target, weight=np.ones((m, n), int))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    some = rng.choice(n * m, draw(st.integers(1, n * m)), replace=False)
    return Sparse(
        **shared,
        target_shape=target,
        weight=np.ones(len(some), int),
        row=some // n,
        column=some % n,
    )


def reaches(s: Synapses) -> Array:
    """Return (targets, sources) of bool, neuron by neuron."""
    matrix = np.zeros((math.prod(s.shape), math.prod(s.input_shape)), bool)
    if isinstance(s, Sparse):
        matrix[s.row, s.column] = True
        return matrix
    if isinstance(s, Dense):
        return ~matrix
    assert isinstance(s, Conv)
    outputs, inputs, *kernel = s.weight.shape
    for out in np.ndindex(*s.shape):
        group = out[0] // (outputs // s.groups)
        for i, *tap in np.ndindex(inputs, *kernel):
            at = [
                o * stride - pads[0] + k * d
                for o, stride, pads, k, d in zip(
                    out[1:], s.stride, s.padding, tap, s.dilation, strict=True
                )
            ]
            if all(0 <= a < size for a, size in zip(at, s.input_size, strict=True)):
                source = np.ravel_multi_index((group * inputs + i, *at), s.input_shape)
                matrix[np.ravel_multi_index(out, s.shape), source] = True
    return matrix


@FEW
@given(shapes.flatmap(grids))
def test_every_neuron_lies_in_one_box_and_the_numbers_agree(grid: Grid) -> None:
    number = np.full(grid.shape, -1)
    for i, (start, stop) in enumerate(grid.boxes()):
        here = number[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
        assert (here == -1).all()
        here[...] = i
    assert np.array_equal(number.ravel(), grid.box_of(np.arange(number.size)))
    assert np.array_equal(np.bincount(number.ravel(), minlength=grid.count), grid.sizes())
    assert grid.sizes().min() > 0


@FEW
@given(synapses(), st.data())
def test_what_reaches_a_box_is_what_reaches_its_neurons(s: Synapses, data: st.DataObject) -> None:
    source, target = data.draw(grids(s.input_shape)), data.draw(grids(s.shape))
    to, frm = np.nonzero(reaches(s))
    to = target.box_of(to)
    links = {(int(t), int(f)) for t, f in zip(to, frm, strict=True)}

    fan = np.bincount([f for _, f in links], minlength=math.prod(s.input_shape))
    box = source.box_of(np.arange(len(fan)))
    expected = np.bincount(box, weights=fan, minlength=source.count)
    found = fan_out(s, s.input_shape, target)
    assert np.array_equal(found.over(source), expected)
    assert found.worst(np.array([source.tile]))[0] == expected.max()

    counted = np.zeros((source.count, target.count), int)
    for t, f in links:
        counted[box[f], t] += 1
    given_ = np.zeros_like(counted)
    f, t, neurons = pairs(s, source, target)
    given_[f, t] = neurons
    assert np.array_equal(given_, counted)


def test_a_convolution_reaches_a_population_that_lacks_an_axis_of_size_1() -> None:
    conv = Conv(
        name="c", source="a", targets=("b",), weight=np.ones((3, 2, 1, 3), int), input_size=(1, 9),
        stride=(1, 2), padding=((0, 0), (1, 1)), dilation=(1, 1),
    )  # fmt: skip
    plain = fan_out(conv, (2, 1, 9), Grid((3, 1, 5), (2, 1, 2)))
    flat = fan_out(conv, (2, 9), Grid((3, 5), (2, 2)))
    assert np.array_equal(plain.over(Grid((2, 1, 9), (1, 1, 4))), flat.over(Grid((2, 9), (1, 4))))


@FEW
@given(st.integers(1, 300))
def test_tile_sizes_are_those_of_equal_parts(size: int) -> None:
    assert set(tile_sizes(size).tolist()) == {math.ceil(size / n) for n in range(1, size + 1)}


def test_no_tiling_has_more_neurons_than_a_core() -> None:
    tiles = tilings((4, 30, 50), 100)
    assert np.prod(tiles, axis=1).max() <= 100
    assert [1, 1, 1] in tiles.tolist()
    assert [4, 5, 5] in tiles.tolist()


def square_border(tiles: Array) -> dict[str, Array]:
    """Return the sources of boxes that receive their own place and a border of one around it."""
    return {
        "neurons": np.prod(tiles, axis=1),
        MESSAGES: np.prod(tiles + 2, axis=1),
    }


def test_of_the_fewest_boxes_the_squarest_are_taken() -> None:
    grid = split((32, 32), {"neurons": 256}, square_border)
    assert grid == Grid((32, 32), (16, 16))


def test_more_boxes_can_be_asked_for_and_an_impossible_cut_is_none() -> None:
    grid = split((32, 32), {"neurons": 256}, square_border, least=5)
    assert grid is not None
    assert grid.count == 5

    def costly(tiles: Array) -> dict[str, Array]:
        return {**square_border(tiles), "axons": np.full(len(tiles), 7)}

    assert split((32, 32), {"neurons": 256, "axons": 6}, costly) is None


@FEW
@given(st.lists(st.integers(1, 10), min_size=1, max_size=30))
def test_shared_cores_hold_what_fits_and_first_fit_wastes_less_than_half(sizes: list[int]) -> None:
    group = share({"neurons": np.array(sizes)}, {"neurons": 10})
    loads = np.bincount(group, weights=sizes)
    assert loads.max() <= 10
    assert len(loads) <= max(1, math.ceil(2 * sum(sizes) / 10))
    assert group[0] == 0
