"""Dataclasses as JSON and arrays: what goes in comes out, and nothing else gets in."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.bundle.codec import Codec, from_json, to_json
from nrf_deploy.diagnostics.findings import InputError
from nrf_deploy.ir.network import Array


@dataclass(frozen=True, eq=False)
class Leaf:
    weight: Array
    size: tuple[int, ...] = ()
    gain: float = 1.0
    mode: Literal["a", "b"] = "a"
    bias: Array | None = None


@dataclass(frozen=True)
class Tree:
    name: str
    leaves: tuple[Leaf, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)


CODEC = Codec({"leaf": Leaf, "tree": Tree})


def there_and_back(value: Any) -> Any:
    tree, arrays = CODEC.encode(value)
    return CODEC.decode(from_json(to_json(tree)), arrays)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)


def exactly(value: Any) -> str:
    """Compare strictly: 1 from 1.0 and True, a tuple from a list, 0.0 from -0.0 differ."""
    if isinstance(value, dict):
        return repr({k: exactly(value[k]) for k in sorted(value)})
    if isinstance(value, (tuple, list)):
        return type(value).__name__ + repr([exactly(v) for v in value])
    return repr(value)


@settings(max_examples=50, deadline=None)
@given(plain)
def test_plain_data_comes_back_exactly(value):
    back = there_and_back(Tree("t", notes={"here": value}))
    assert exactly(back.notes["here"]) == exactly(value)


def test_dataclasses_come_back_with_their_types():
    tree = Tree("t", (Leaf(np.arange(3), (2, 3), 0.1, "b", np.ones(2)), Leaf(np.zeros(0))))
    back = there_and_back(tree)
    assert isinstance(back, Tree)
    assert [leaf.size for leaf in back.leaves] == [(2, 3), ()]
    assert [leaf.mode for leaf in back.leaves] == ["b", "a"]
    assert back.leaves[0].gain == 0.1
    assert np.array_equal(back.leaves[0].bias, np.ones(2))
    assert back.leaves[1].bias is None


def test_a_shared_array_is_stored_once_and_stays_shared():
    shared, equal = np.arange(4), np.arange(4)
    tree, arrays = CODEC.encode(Tree("t", (Leaf(shared), Leaf(shared), Leaf(equal))))
    assert len(arrays) == 2
    one, two, three = CODEC.decode(tree, arrays).leaves
    assert one.weight is two.weight
    assert one.weight is not three.weight


def test_the_order_of_a_mapping_changes_nothing():
    a, b = np.arange(2), np.arange(3)
    one = CODEC.encode(Tree("t", notes={"a": a, "b": b}))
    two = CODEC.encode(Tree("t", notes={"b": b, "a": a}))
    assert to_json(one[0]) == to_json(two[0])
    assert list(one[1]) == list(two[1])
    assert all(x is y for x, y in zip(one[1].values(), two[1].values(), strict=True))


def test_numpy_numbers_become_plain_ones():
    back = there_and_back(Leaf(np.zeros(1), (np.int64(3),), np.float32(0.1)))
    assert (type(back.size[0]), back.size) == (int, (3,))
    assert (type(back.gain), back.gain) == (float, float(np.float32(0.1)))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, np.float32("inf")])
def test_what_json_cannot_hold_is_refused_with_its_place(value):
    with pytest.raises(InputError, match="/notes/far is") as caught:
        CODEC.encode(Tree("t", notes={"far": value}))
    assert caught.value.findings[0].code == "BUNDLE-CONTENT"


@pytest.mark.parametrize(
    "value",
    [
        Tree("t", notes={"x": object()}),
        Tree("t", notes={"x": b"bytes"}),
        Tree("t", notes={1: "x"}),  # type: ignore[dict-item]
        Tree("t", leaves=[Leaf(np.zeros(1))]),  # type: ignore[arg-type]
        Leaf(np.zeros(1), size=(1.5,)),  # type: ignore[arg-type]
        Leaf(np.zeros(1), size=(True,)),
        Leaf(np.zeros(1), mode="c"),  # type: ignore[arg-type]
        Leaf([1, 2]),  # type: ignore[arg-type]
        Tree("t", notes={"x": np.ma.masked_array([1])}),
    ],
)
def test_what_could_not_be_read_back_is_not_written(value):
    with pytest.raises(TypeError):
        CODEC.encode(value)


@pytest.mark.parametrize(
    ("tree", "reason"),
    [
        ({"type": "os.system", "name": "x"}, "unknown type"),
        ({"type": "tree", "name": "x", "extra": 1}, "fields that a tree does not have: extra"),
        ({"type": "tree"}, "not a complete tree"),
        ({"type": "tree", "name": 3}, "/name is 3"),
        ({"type": "tree", "name": "x", "leaves": [1]}, "/leaves is"),
        ({"type": "tree", "name": "x", "notes": [1]}, "/notes is"),
        ({"type": "leaf", "weight": 1}, "/weight is 1"),
        ({"type": "leaf", "weight": {"array": "w"}, "mode": "z"}, "/mode is 'z'"),
        ({"type": "leaf", "weight": {"array": "w"}, "size": [True]}, "/size is"),
        ({"type": 1}, "not a stored form"),
        ({"array": "absent"}, "not a stored form"),
        ({"array": 0}, "not a stored form"),
        ({"map": []}, "not a stored form"),
        ({"map": {}, "list": []}, "not a stored form"),
        ({}, "not a stored form"),
        ([[{"odd": 1}]], "/0/0 is"),
        (json.loads("1e999"), "is inf"),
    ],
)
def test_what_is_not_of_the_registry_is_refused(tree, reason):
    with pytest.raises(InputError, match=reason) as caught:
        CODEC.decode(tree, {"w": np.zeros(1)})
    assert caught.value.findings[0].code == "BUNDLE-CONTENT"


def test_what_could_not_be_read_again_is_not_written():
    for value in (2**64, -(2**63) - 1, 10**5000):
        with pytest.raises(InputError, match="more than 64 bits"):
            CODEC.encode(Tree("t", notes={"here": value}))


def test_a_field_with_a_default_may_be_missing_so_that_old_files_stay_readable():
    leaf = CODEC.decode({"type": "leaf", "weight": {"array": "w"}}, {"w": np.zeros(1)})
    assert leaf.gain == 1.0


def test_deep_nesting_is_refused_not_a_crash():
    tree: Any = 1
    for _ in range(sys.getrecursionlimit()):
        tree = [tree]
    with pytest.raises(InputError, match="nested too deeply"):
        CODEC.decode(tree, {})


@pytest.mark.parametrize(
    "text", [b"", b"{", b"NaN", b"-Infinity", b'{"a": 1, "a": 2}', b"\xff", b"[" * 100_000]
)
def test_json_is_read_strictly(text):
    with pytest.raises(ValueError, match=r".*"):
        from_json(text)


def test_json_is_the_same_bytes_for_the_same_tree():
    assert to_json({"b": 1, "a": "é"}) == to_json({"a": "é", "b": 1}) == b'{"a": "\\u00e9", "b": 1}'
