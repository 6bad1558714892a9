"""A scene that moves faster gives the answer that moves faster, where velocities are adapted."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.compiler.quantize.rules import Rules
from nrf_deploy.ir.network import LIF, Conv, Delay, Input, Network, Node, Output
from nrf_deploy.ir.recording import Recording
from nrf_deploy.verification.covariance import CHIP, EULER, NEAREST, Trial, covariance
from nrf_deploy.verification.covariance.affine import sampled
from nrf_deploy.verification.covariance.fields import Field, seen
from nrf_deploy.verification.covariance.in_motion import shares, sheared, windows
from nrf_deploy.verification.covariance.relations import motions

SIZE, DT, TAPS, HALF = 16, 1e-3, 3, 3
VELOCITIES = ((0, 0), (1, 0), (0, 1))
MOVING = [Field(1.0, along=1, velocity=v) for v in VELOCITIES]


def moving_network(fields: list[Field] | None = None) -> Network:
    """Build taps of a delay line onto neurons without memory.

    The kernels of each tap are moved by the velocity.
    """
    fields = MOVING if fields is None else fields
    reach = HALF + TAPS - 1
    nodes: list[Node] = [Input(name="x", port_shape=(2, SIZE, SIZE))]
    edges, before = [], "x"
    for tap in range(TAPS):
        kernels = np.zeros((len(fields), 2 * reach + 1, 2 * reach + 1))
        for k, f in enumerate(fields):
            x, y = (int(u * tap) + reach for u in f.velocity)
            kernels[k, y - HALF : y + HALF + 1, x - HALF : x + HALF + 1] = sampled(f, HALF)
        turned = kernels[:, ::-1, ::-1] / 2**tap
        conv = Conv(
            name=f"w{tap}", weight=np.stack([turned, -turned], axis=1), input_size=(SIZE, SIZE),
            stride=(1, 1), padding=((reach, reach),) * 2, dilation=(1, 1),
        )  # fmt: skip
        if tap:
            nodes.append(Delay(name=f"d{tap}", delay=DT * np.ones((2, SIZE, SIZE))))
            edges.append((before, f"d{tap}"))
            before = f"d{tap}"
        nodes.append(conv)
        edges += [(before, conv.name), (conv.name, "n")]
    shape = (len(fields), SIZE, SIZE)
    ones = np.ones(shape)
    nodes.append(
        LIF(name="n", tau=DT * ones, r=ones, v_leak=0 * ones, v_threshold=0.1 * ones,
            v_reset=0 * ones)
    )  # fmt: skip
    nodes.append(Output(name="y", port_shape=shape))
    edges.append(("n", "y"))
    channels = [asdict(f) | {"velocity": list(f.velocity)} for f in fields]
    told = {"n": {"stride": 1, "offset": 0.0, "channels": channels}}
    return Network(tuple(nodes), tuple(edges), DT, receptive_fields=told)


def noise(steps: int = 24, density: float = 0.03, seed: int = 0) -> Recording:
    rng = np.random.default_rng(seed)
    return Recording.from_dense((rng.random((steps, 2, SIZE, SIZE)) < density).astype(np.int64), DT)


def trial_of(network: Network, rules: Rules | None) -> Trial:
    bundle = nd.compile(network, "emulator", noise(seed=1), rules)
    return covariance(bundle, noise()).tests["galilean"]


@pytest.fixture(scope="module")
def trial() -> Trial:
    return trial_of(moving_network(), Rules(error="weights"))


def test_adapted_velocities_are_covariant_to_the_last_spike(trial: Trial) -> None:
    assert [r.transform for r in trial.rows] == ["motion (0, 1)", "motion (1, 0)"]
    for row in trial.rows:
        assert row.spikes > 50
        assert row.errors == {EULER: 0.0, CHIP: 0.0}
        assert row.lost == {EULER: 0.0, CHIP: 0.0}
    assert ["to the last spike" in f.what for f in trial.said] == [True]


def test_a_velocity_that_is_only_said_to_be_adapted_is_found_out() -> None:
    network = moving_network([Field(1.0, along=1)] * 2)
    told = network.receptive_fields["n"]
    channels = [c | {"velocity": [float(k), 0.0]} for k, c in enumerate(told["channels"])]
    lying = replace(network, receptive_fields={"n": told | {"channels": channels}})
    found = trial_of(lying, Rules(error="weights"))
    (row,) = found.rows
    assert row.errors[EULER] > 0.2
    assert row.dominant == "kernels"
    assert ["whole pixels" in f.fix for f in found.said] == [True]


def test_what_the_fit_of_the_weights_costs_is_told_from_the_rest() -> None:
    found = shares({EULER: 0.01, CHIP: 0.05, NEAREST: 0.02})
    assert found == pytest.approx({"kernels": 0.01, "weight bits": 0.03, "within a step": 0.01})
    assert shares({EULER: 0.0, CHIP: 0.05})["within a step"] == 0.05


def test_velocities_that_differ_by_parts_of_a_pixel_have_no_test() -> None:
    fields = [Field(1.0, along=1), Field(1.0, along=1, velocity=(0.5, 0.0))]
    (one,), _ = seen(moving_network(fields))
    assert motions(one) == []


def test_one_motion_joins_each_pair_and_no_longer_one_is_tried() -> None:
    line = [Field(1.0, along=1, velocity=(float(u), 0.0)) for u in (-1, 0, 1)]
    (one,), _ = seen(moving_network(line))
    ((w, matches),) = motions(one)
    assert w == (1, 0)
    assert [(m.first, m.second) for m in matches] == [(0, 1), (1, 2)]


def test_events_move_by_their_step_and_those_that_leave_are_left_out_of_both() -> None:
    given = noise(6, 0.2)
    before, after = sheared(given, (2, -1))
    assert list(before.faults()) == list(after.faults()) == []
    size = SIZE * SIZE
    y, x = np.divmod(before.index % size, SIZE)
    moved = (y - before.step) * SIZE + x + 2 * before.step
    key = before.step * 2 * size + before.index // size * size + moved
    assert np.array_equal(np.sort(key), after.step * 2 * size + after.index)
    assert 0 < len(before.index) < len(given.index)


def test_windows_stay_short_enough_for_the_frame_and_take_the_liveliest() -> None:
    frames = np.zeros((40, 2, SIZE, SIZE), np.int64)
    frames[9:15, 0, :, 3] = 1
    found = list(windows(Recording.from_dense(frames, DT), (2, 0)))
    assert {w.steps for w in found} == {4}
    assert sum(len(w.index) for w in found) >= 4 * SIZE
