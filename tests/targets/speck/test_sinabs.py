"""sinabs on our integers, and its configuration builder beside ours.

sinabs 3.1.3 runs in its own environment; without it these tests say how to get it. The rules
that it follows are written plainly in speck_cores.simulate.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.diagnostics.findings import MissingError, TargetError
from nrf_deploy.engines.emulator import golden
from nrf_deploy.engines.sdk import environments
from nrf_deploy.ir.program import Port
from nrf_deploy.ir.recording import Recording
from nrf_speck.arithmetic.rules import StepsArithmetic
from nrf_speck.configuration.configuration import Configuration, Core, Destination
from nrf_speck.sinabs import client
from tests.builders.speck_configurations import SOUND, core
from tests.builders.speck_cores import (
    differing,
    forked,
    leaves,
    nmnist,
    program,
    random_chain,
    random_input,
    simulate,
    three_joined,
)

CHIPS = ("speck2b", "dynapcnn", "speck2e", "speck2f")


@cache
def missing_sinabs() -> str:
    there = environments.status(client.sdk)
    return "" if there.installed else f"sinabs is not installed: {there.todo}"


@pytest.fixture
def needs_sinabs() -> None:
    if missing_sinabs():
        pytest.skip(missing_sinabs())


def whole(cores: tuple[Core, ...], recording: Recording) -> client.Job:
    """Return every output of every core; the first takes the input."""
    every = [c.index for c in cores]
    return client.Job(
        cores=cores,
        entries=every[:1],
        recording=recording,
        record=every,
        states=every,
        steps=recording.steps,
    )


def assert_alike(job: client.Job, ran: client.Ran) -> int:
    """Assert equality of every spike and membrane of every core; return the number of spikes."""
    shape = job.cores[0].input_shape
    wanted = simulate(tuple(job.cores), job.recording.dense().reshape(job.steps, *shape))
    for index, (spikes, membranes) in wanted.items():
        np.testing.assert_array_equal(ran.spikes[index].dense(), spikes)
        np.testing.assert_array_equal(ran.membranes[index], membranes)
    return int(sum(spikes.sum() for spikes, _ in wanted.values()))


# --- runs ----------------------------------------------------------------------


@pytest.mark.usefixtures("needs_sinabs")
def test_random_networks_run_alike_in_every_spike_and_membrane() -> None:
    """More steps than the worker takes at once, so that states are carried on; in the last
    ones, layers are joined side by side."""
    networks = [*(random_chain(seed) for seed in range(20)), forked(3), three_joined(4)]
    jobs = [
        whole(cores, random_input(cores[0].input_shape, 70, seed))
        for seed, cores in enumerate(networks)
    ]
    spikes = [assert_alike(*pair) for pair in zip(jobs, client.run_jobs(jobs), strict=True)]
    assert sum(count > 100 for count in spikes) >= 15


@pytest.mark.conformance
@pytest.mark.usefixtures("needs_sinabs")
def test_hundreds_of_random_networks_run_alike() -> None:
    networks = [random_chain(s) if s % 4 else forked(s) for s in range(100, 500)]
    jobs = [
        whole(cores, random_input(cores[0].input_shape, 100, seed))
        for seed, cores in enumerate(networks)
    ]
    for job, ran in zip(jobs, client.run_jobs(jobs), strict=True):
        assert_alike(job, ran)


@pytest.mark.usefixtures("needs_sinabs")
def test_the_nmnist_network_runs_alike_on_a_real_recording(shared: Path) -> None:
    configuration, recording = nmnist(shared)
    job = whole(configuration.cores, recording)
    (ran,) = client.run_jobs([job])
    assert assert_alike(job, ran) > 1000


@pytest.mark.usefixtures("needs_sinabs")
def test_sums_that_a_float_cannot_hold_are_refused() -> None:
    cores = (replace(core(0, 1, (2, 2), 1, 1), weights=np.full((1, 1, 1, 1), 127)),)
    flood = random_input((1, 2, 2), 20, 0)
    flood = replace(flood, value=np.full_like(flood.value, 2**17))
    with pytest.raises(MissingError) as failed:
        client.run_jobs([whole(cores, flood)])
    assert "too large for sinabs" in failed.value.findings[0].what


def test_what_sinabs_cannot_hold_is_refused_before_it_starts() -> None:
    first, second = SOUND.cores
    twice = replace(first, destinations=(Destination(core=3), Destination(core=3, shift=4)))
    job = whole((twice, second), random_input(first.input_shape, 2, 0))
    with pytest.raises(TargetError) as refused:
        client.run_jobs([replace(job, entries=[0, 3])])
    assert {f.code for f in refused.value.findings} == {
        "SINABS-WIRE-TWICE",
        "SINABS-INPUT-JOINED",
    }


# --- the engine ------------------------------------------------------------------------


@pytest.mark.usefixtures("needs_sinabs")
def test_the_engine_gives_the_trace_of_speck_steps(shared: Path) -> None:
    """Lowered, on the real recording: golden and sinabs agree in every spike and membrane."""
    configuration, recording = nmnist(shared)
    lowered = program(*configuration.cores)
    names = [c.layer for c in configuration.cores]
    ours = golden.run(lowered, StepsArithmetic(), recording, record=names, states=names)
    trace = client.engine(lowered, recording, states=names)
    assert list(trace.outputs) == names
    for name in names:
        np.testing.assert_array_equal(trace.outputs[name].dense(), ours.outputs[name].dense())
        np.testing.assert_array_equal(trace.states[name]["v"], ours.states[name]["v"])


@pytest.mark.usefixtures("needs_sinabs")
def test_the_compiled_model_is_verified_against_sinabs(shared: Path) -> None:
    """The steps of a user: compile, then verify the fast engine of speck.steps."""
    bundle = nd.compile(
        nd.read(shared / "conformance/nir/cnn_sinabs.nir", dt=1.0, producer="nir"), "speck2f"
    )
    recording = nd.read_recording(shared / "recordings/nmnist_sample.npz", bundle, bin=1e-3)
    report = nd.verify(bundle, recording, engine="steps", against="sinabs")
    assert report.passed
    assert "passed: exact" in report.text()


@pytest.mark.parametrize("seed", range(30))
def test_speck_steps_is_what_is_written_here(seed: int) -> None:
    """The arithmetic compared with sinabs above is also checked where sinabs is absent."""
    cores = forked(seed) if seed % 5 == 0 else random_chain(seed)
    recording = random_input(cores[0].input_shape, 12, seed)
    names = [c.layer for c in cores]
    ours = golden.run(program(*cores), StepsArithmetic(), recording, record=names, states=names)
    plain = simulate(cores, recording.dense().reshape(12, *cores[0].input_shape))
    for c in cores:
        spikes, membranes = plain[c.index]
        np.testing.assert_array_equal(ours.outputs[c.layer].dense(), spikes)
        np.testing.assert_array_equal(ours.states[c.layer]["v"], membranes)


def test_two_inputs_are_refused() -> None:
    lowered = program(*SOUND.cores)
    two = replace(lowered, ports=(*lowered.ports, Port(name="other", shape=(1,))))
    with pytest.raises(TargetError, match="SINABS-PORTS"):
        client.engine(two, random_input((2, 8, 12), 2, 0))


# --- configurations ---------------------------------------------------------------


FIELDS = {
    "weights", "biases", "neurons_initial_value", "threshold_high", "threshold_low",
    "return_to_zero", "leak_enable", "monitor_enable", "layer", "enable", "pooling",
    "kernel_size", "feature_count", "x", "y", "pass_sensor_events",
}  # fmt: skip


@pytest.mark.usefixtures("needs_sinabs")
def test_sinabs_builds_the_same_configuration_field_by_field(shared: Path) -> None:
    """For 2e and 2f sinabs' own builder, for the others its parent class; its samna is a
    stand-in that only keeps what is set, so the names are samna's as sinabs knows them."""
    sound = (Configuration(chip=name, cores=SOUND.cores) for name in CHIPS)
    configurations = [*sound, *(nmnist(shared, name)[0] for name in CHIPS)]
    trees = client.configure(configurations)
    for configuration, tree in zip(configurations, trees, strict=True):
        assert differing(tree, configuration) == {}
        assert {place.rpartition("/")[2] for place, _ in leaves(tree)} == FIELDS
    first, second = SOUND.cores
    other = Configuration(chip="speck2b", cores=(first, replace(second, threshold_high=101)))
    assert differing(trees[0], other) == {"/cnn_layers/3/threshold_high": (100, 101)}
