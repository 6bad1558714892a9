"""Our verdict on a configuration beside samna's own, and the words that samna makes of it.

samna 0.7.1.0 is asked in its own environment; without it our verdicts are still judged.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from nrf_deploy.diagnostics.findings import MissingError, TargetError
from nrf_deploy.engines.sdk import environments
from nrf_deploy.engines.sdk.reply import Expected
from nrf_deploy.engines.sdk.worker import call
from nrf_speck.configuration import board_limits, check
from nrf_speck.configuration import tree as config_tree
from nrf_speck.configuration.configuration import Configuration, Sensor
from nrf_speck.configuration.word_stream import (
    BIAS,
    NEURON,
    REGISTER,
    WEIGHT,
    WordsError,
    decode,
    differences,
)
from nrf_speck.samna import client
from tests.builders.speck_configurations import (
    BROKEN,
    SOUND,
    Case,
    altered,
    chip,
    core,
    joined,
    sensing,
    to,
)
from tests.builders.speck_mutations import mutated, small_enough

SOUND_ONES = {
    "two cores": SOUND,
    "two sources joined": joined(0, 4, features=8),
    "a camera": sensing(),
    "a camera in one polarity": sensing(core(0, 1, (64, 64), 3, 3), merge=True),
    "a cut that pooling does not divide": sensing(core(0, 2, (17, 8), 3, 3), cut=(34, 16)),
    "nothing": chip(),
}
CHIPS = ("speck2b", "dynapcnn")
names = [case[0] for case in BROKEN]


@cache
def missing_samna() -> str:
    there = environments.status(client.sdk)
    return "" if there.installed else f"samna is not installed: {there.todo}"


@pytest.fixture
def needs_samna() -> None:
    if missing_samna():
        pytest.skip(missing_samna())


def on(name: str, configuration: Configuration) -> Configuration:
    return replace(configuration, chip=name)


@cache
def verdicts(name: str) -> dict[str, client.Verdict]:
    """Return samna's verdict on every broken configuration that it survives, in one call."""
    asked = {case: on(name, made) for case, made, _, does in BROKEN if does != "dies"}
    return dict(zip(asked, client.validate(list(asked.values())), strict=True))


VERDICT = Expected({"verdicts": ({"ok": bool, "said": str}, 1)})


def codes(configuration: Configuration) -> list[str]:
    return [f.code.removeprefix("SPECK-") for f in board_limits.faults(configuration)]


# --- our verdict --------------------------------------------------------------


def test_there_are_at_least_sixty_broken_configurations() -> None:
    assert len(set(names)) == len(BROKEN) >= 60


@pytest.mark.parametrize("case", BROKEN, ids=names)
def test_what_is_broken_is_said(case: Case) -> None:
    _, configuration, code, does = case
    assert code in codes(configuration)
    assert bool(list(check.crashes(configuration))) == (does == "dies")
    if does != "dies":
        assert bool(list(check.vendor_faults(configuration))) == (does == "refuses")


@pytest.mark.parametrize("name", SOUND_ONES)
def test_nothing_is_said_of_a_sound_one(name: str) -> None:
    assert codes(SOUND_ONES[name]) == []


def test_everything_that_is_wrong_is_said_at_once() -> None:
    first, second = SOUND.cores
    bad = chip(
        replace(first, threshold_high=-1, padding=(1, 8)),
        replace(second, weights=first.weights, leaks=False, destinations=to(3, pooling=3)),
    )
    wanted = {"THRESHOLD", "PADDING", "OUTPUT-SHAPE", "ARRAY", "POOLING", "BIAS-UNUSED", "CYCLE"}
    assert wanted <= set(codes(bad))


# --- samna's verdict --------------------------------------------------------------


@pytest.mark.usefixtures("needs_samna")
@pytest.mark.parametrize("name", CHIPS)
@pytest.mark.parametrize("case", [c for c in BROKEN if c[3] != "dies"], ids=lambda c: c[0])
def test_samna_says_the_same_of_what_is_broken(case: Case, name: str) -> None:
    verdict = verdicts(name)[case[0]]
    assert verdict.ok == (case[3] == "accepts"), verdict.said


@pytest.mark.usefixtures("needs_samna")
@pytest.mark.parametrize("name", CHIPS)
def test_samna_says_the_same_of_what_is_sound(name: str) -> None:
    said = client.validate([on(name, c) for c in SOUND_ONES.values()])
    assert [verdict.ok for verdict in said] == [True] * len(SOUND_ONES), said


def agreeing(seeds: range, name: str) -> Counter[bool]:
    """Count the random configurations that samna accepts and refuses; our verdict is the same."""
    drawn = (mutated(seed, name) for seed in seeds)
    asked = [c for c in drawn if small_enough(c) and next(check.crashes(c), None) is None]
    counts: Counter[bool] = Counter()
    for made, verdict in zip(asked, client.validate(asked), strict=True):
        ours = [f.text() for f in check.vendor_faults(made)]
        assert verdict.ok == (not ours), f"{ours}\n{verdict.said}\n{made}"
        counts[verdict.ok] += 1
    return counts


@pytest.mark.usefixtures("needs_samna")
@pytest.mark.parametrize("name", CHIPS)
def test_samna_and_we_agree_on_random_configurations(name: str) -> None:
    counts = agreeing(range(150), name)
    assert min(counts[True], counts[False]) >= 30


@pytest.mark.conformance
@pytest.mark.usefixtures("needs_samna")
@pytest.mark.parametrize("name", CHIPS)
def test_samna_and_we_agree_on_thousands(name: str) -> None:
    counts: Counter[bool] = Counter()
    for start in range(1000, 4000, 500):
        counts += agreeing(range(start, start + 500), name)
    assert min(counts.values()) > 500


def test_what_samna_dies_of_is_never_sent_to_it() -> None:
    for _, configuration, _, does in BROKEN:
        if does == "dies":
            with pytest.raises(TargetError):
                client.validate([configuration])
            with pytest.raises(TargetError):
                client.encode(configuration)


@pytest.mark.usefixtures("needs_samna")
def test_a_worker_that_samna_takes_down_is_one_finding() -> None:
    """Past our checks: it divides by the pooling."""
    text = config_tree.text(chip(core(0, 2, (8, 8), 4, 3, destinations=to(3, pooling=0))))
    with pytest.raises(MissingError) as failed:
        call(
            client.sdk, {"action": "validate", "chip": "speck2b", "configurations": [text]}, VERDICT
        )
    (finding,) = failed.value.findings
    assert finding.code == "SDK-CRASHED"
    assert "SIGFPE" in finding.what
    assert failed.value.exit_code == 5


@pytest.mark.usefixtures("needs_samna")
@pytest.mark.parametrize("weight", [300, -129])
def test_a_value_that_samna_reads_as_another_is_not_valid(weight: int) -> None:
    """The loader of samna keeps the low byte; the worker reads back the value it understood."""
    first, second = SOUND.cores
    text = config_tree.text(chip(replace(first, weights=altered(first.weights, weight)), second))
    asked = {"action": "validate", "chip": "speck2b", "configurations": [text]}
    reply, _ = call(client.sdk, asked, VERDICT)
    assert reply["verdicts"] == [{"ok": False, "said": "samna holds other values than the file"}]


# --- the text of the configuration ----------------------------------------------------


@pytest.mark.usefixtures("needs_samna")
@pytest.mark.parametrize("name", CHIPS)
def test_what_we_do_not_set_is_as_samna_makes_it(name: str) -> None:
    reply, _ = call(
        client.sdk, {"action": "default", "chip": name}, Expected({"configuration": str})
    )
    nothing = on(name, chip(sensor=Sensor(passes=True)))
    assert json.loads(config_tree.text(nothing)) == json.loads(reply["configuration"])


def test_the_text_is_always_the_same() -> None:
    for name in (*CHIPS, "speck2e", "speck2f"):
        assert config_tree.text(on(name, SOUND)) == config_tree.text(on(name, SOUND))


def test_x_stands_before_y_in_samnas_arrays() -> None:
    tree = config_tree.tree(SOUND)["cnn_layers"][0]
    first = SOUND.cores[0]
    assert tree["weights"][3, 1, 2, 0] == first.weights[3, 1, 0, 2]
    assert tree["neurons_initial_value"][2, 11, 7] == first.initial[2, 7, 11]
    assert tree["dimensions"]["input_shape"]["size"] == {"x": 12, "y": 8}


# --- the word stream ----------------------------------------------------------------


@cache
def stream(name: str) -> client.Stream:
    return client.encode(on(name, SOUND))


@pytest.mark.usefixtures("needs_samna")
@pytest.mark.parametrize("name", CHIPS)
def test_the_words_write_this_configuration_and_nothing_else(name: str) -> None:
    """`encode` compares what it decodes; here the counts, and the same once more."""
    counts = stream(name).writes.counts()
    idle = 7  # cores, each with one zero in every memory
    assert counts["weights"] == sum(c.weights.size for c in SOUND.cores) + idle
    assert counts["biases"] == sum(c.biases.size for c in SOUND.cores) + idle
    assert counts["neuron states"] == sum(c.initial.size for c in SOUND.cores) + idle
    again = client.encode(on(name, SOUND))
    assert again.to_bytes() == stream(name).to_bytes()
    width = {"speck2b": 4, "dynapcnn": 8}[name]
    assert len(again.to_bytes()) == width * len(again.words)


@pytest.mark.usefixtures("needs_samna")
@pytest.mark.parametrize("name", CHIPS)
def test_one_other_weight_bias_or_state_is_found_in_the_words(name: str) -> None:
    first, second = SOUND.cores
    for core_ in (
        replace(second, weights=altered(second.weights, int(second.weights.flat[0]) ^ 1)),
        replace(second, biases=altered(second.biases, 44)),
        replace(second, initial=altered(second.initial, -91)),
    ):
        other = on(name, chip(first, core_))
        (found,) = differences(stream(name).writes, other)
        assert found.startswith("core 3: ")


@pytest.mark.usefixtures("needs_samna")
@pytest.mark.parametrize("name", CHIPS)
def test_a_word_that_is_lost_or_turned_is_noticed(name: str) -> None:
    """Whatever single bit changes, the writes are others, or there are none."""
    words = stream(name).words
    rng = np.random.default_rng(5)
    sound = stream(name).writes.rows()
    for at in rng.integers(0, len(words), 25).tolist():
        bit = int(rng.integers(0, 20 if name == "speck2b" else 61))
        turned = words.copy()
        turned[at] ^= np.uint64(1 << bit)
        assert differ(turned, name, sound)
        assert differ(np.delete(words, at), name, sound)


def differ(words: np.ndarray, name: str, sound: np.ndarray) -> bool:
    try:
        return not np.array_equal(decode(words, name).rows(), sound)
    except WordsError:
        return True


@pytest.mark.usefixtures("needs_samna")
def test_every_kind_of_write_is_in_the_stream() -> None:
    for name in CHIPS:
        kinds = Counter(stream(name).writes.kind.tolist())
        assert set(kinds) == {REGISTER, WEIGHT, BIAS, NEURON}
        assert kinds[REGISTER] > 100


@pytest.mark.parametrize("name", ["speck2e", "speck2f"])
def test_the_newer_chips_have_no_stream_without_a_board(name: str) -> None:
    with pytest.raises(MissingError) as failed:
        client.encode(on(name, SOUND))
    (finding,) = failed.value.findings
    assert finding.code == "SPECK-NO-STREAM"
    assert "--image F.json" in finding.fix
