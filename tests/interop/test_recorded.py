"""Recorded spikes of six frameworks against our readings, without any framework."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from .__main__ import make
from .environments import FRAMEWORKS, installed
from .outcomes import WAYS, expected, of_file, of_module
from .records import Made, packed

MODELS = {f"{m.framework}-{m.name}": m for f in FRAMEWORKS for m in packed(f)}


@pytest.mark.parametrize("name", MODELS)
def test_every_spike_of_every_layer_is_that_of_the_framework(name: str) -> None:
    check(MODELS[name])


def check(made: Made) -> None:
    """Compare both readings of a model with what is expected of it."""
    known = expected()[made.framework][made.name]
    for way, outcome in zip(WAYS, (of_file(made), of_module(made)), strict=True):
        assert outcome.word != "wrong", f"from the {way}: {outcome.detail}"
        assert outcome.word == known[way], f"from the {way}: {outcome.detail}"


def test_more_than_forty_models_are_exact_in_each_way_and_none_is_wrong() -> None:
    words = [word for models in expected().values() for word in models.values()]
    assert len(words) == len(MODELS)
    for way in WAYS:
        assert sum(word[way] == "exact" for word in words) > 40
        assert not any(word[way] == "wrong" for word in words)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("snntorch-leaky_late", {"reset": "value"}),
        ("snntorch-leaky_now_strong", {"reset": "subtract"}),
        ("snntorch-synaptic_zero", {"reset": "value"}),
        ("sinabs-iaf_floor", {"floor": "none"}),
        ("sinabs-iaf_strong", {"floor": "none", "per_step": "one"}),
        ("sinabs-iaf_single_quarters", {"floor": "none", "per_step": "one", "fires": "above"}),
        ("spikingjelly-if_hard_quarters", {"fires": "above"}),
    ],
)
def test_another_reading_is_found_to_be_wrong(name: str, options: dict[str, object]) -> None:
    made = MODELS[name]
    assert of_file(replace(made, about={**made.about, "says": options})).word == "wrong"


@pytest.mark.interop
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_models_made_afresh_are_read_as_recorded(framework: str, tmp_path: Path) -> None:
    if installed(framework) is None:
        pytest.skip(f"python -m tests.interop.environments {framework} builds its environment")
    for made in make(framework, tmp_path):
        check(made)
