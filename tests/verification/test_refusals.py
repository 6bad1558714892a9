"""Inputs that cannot be compared are refused, all of them at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nrf_deploy.compare.compare import compare
from nrf_deploy.diagnostics.findings import InputError
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.recording import Recording, Trace
from tests.builders.verify_traces import spikes, stateful, trace


def codes(caught: pytest.ExceptionInfo[InputError]) -> list[tuple[str, str | None]]:
    return [(f.code, f.layer) for f in caught.value.findings]


def test_different_shapes_are_refused_all_at_once() -> None:
    a = trace("chip", {"one": spikes(1), "two": spikes(2)})
    b = trace("model", {"one": spikes(1).reshape(10, 24), "two": spikes(2)[:, :1]})
    with pytest.raises(InputError, match=r"\(2, 3, 4\).*\(24,\)") as caught:
        compare(a, b, order=["one", "two"])
    assert codes(caught) == [("VERIFY-SHAPE", "one"), ("VERIFY-SHAPE", "two")]


def test_states_that_do_not_fit_their_output_are_refused() -> None:
    frames, states = {"one": spikes(1)}, stateful(1)
    short = {v: x[:9] for v, x in states.items()}
    with pytest.raises(InputError, match="'v'") as caught:
        compare(
            trace("chip", frames, {"one": short}),
            trace("model", frames, {"one": states}),
            order=["one"],
        )
    assert codes(caught) == [("VERIFY-SHAPE", "one")] * 2


def test_runs_without_a_common_layer_are_refused() -> None:
    with pytest.raises(InputError, match=r"\['one'\].*\['two'\]") as caught:
        compare(trace("c", {"one": spikes(1)}), trace("m", {"two": spikes(1)}), order=["one"])
    assert codes(caught) == [("VERIFY-NO-LAYER", None)]


def test_a_layer_without_a_place_in_the_order_is_refused() -> None:
    a = {"one": spikes(1), "two": spikes(2)}
    with pytest.raises(InputError) as caught:
        compare(trace("chip", a), trace("model", a), order=["one"])
    assert codes(caught) == [("VERIFY-ORDER", "two")]


@pytest.mark.parametrize(
    "scale",
    [np.zeros(2), np.ones(5), np.array(np.nan)],
    ids=["zero", "wrong shape", "NaN"],
)
def test_a_scale_that_cannot_be_used_is_refused(scale: Array) -> None:
    a = {"one": spikes(1)}
    with pytest.raises(InputError) as caught:
        compare(trace("c", a), trace("m", a), order=["one"], scale={"one": {"v": scale}})
    assert codes(caught) == [("VERIFY-SCALE", "one")]


def test_a_negative_latency_is_refused() -> None:
    a = {"one": spikes(1)}
    with pytest.raises(InputError) as caught:
        compare(trace("c", a), trace("m", a), order=["one"], latency_left={"one": -1})
    assert codes(caught) == [("VERIFY-LATENCY", "one")]


def damaged(how: str) -> Recording:
    r = Recording.from_dense(spikes(1))
    if how == "order":
        return replace(r, index=r.index[::-1].copy())
    if how == "range":
        return replace(r, index=np.where(np.arange(len(r.index)) == 3, 24, r.index))
    if how == "values":
        return replace(r, value=r.value[1:])
    return replace(r, start=r.start + 1)


@pytest.mark.parametrize("how", ["order", "range", "values", "rows"])
def test_a_recording_against_its_own_rules_is_refused(how: str) -> None:
    broken = Trace("chip", {"one": damaged(how)}, {}, {})
    with pytest.raises(InputError, match="chip") as caught:
        compare(broken, trace("model", {"one": spikes(1)}), order=["one"])
    assert codes(caught) == [("VERIFY-RECORDING", "one")]


def test_layers_that_only_one_run_recorded_are_named() -> None:
    a = trace("chip", {"one": spikes(1), "two": spikes(2)})
    b = trace("model", {"one": spikes(1)}, {"three": stateful(1)})
    c = compare(a, b, order=["one", "two", "three"])
    assert c.uncompared == {"two": ("right",), "three": ("left", "right")}
