"""Descriptions of a machine: presets, options, files; every mistake at once, with a fix."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from nrf_deploy.cli.main import main
from nrf_deploy.compiler.target import chip_named
from nrf_deploy.diagnostics.findings import InputError, NrfError, UsageError
from nrf_emulator.settings import CHOICES, KEYS, RANGES, Settings, full_name, presets, settings


def refusal(given: str) -> list[str]:
    with pytest.raises(NrfError) as refused:
        full_name(given)
    assert all(f.fix for f in refused.value.findings)
    return [f.text() for f in refused.value.findings]


def file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mychip.toml"
    path.write_text(text)
    return str(path)


def values() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            **{k: st.sampled_from(c) for k, c in CHOICES.items()},
            **{k: st.integers(*ends) for k, ends in RANGES.items()},
            "neurons": st.integers(0, 2**40),
        },
    )


@hypothesis_settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(presets())), values())
def test_a_full_name_says_all_and_is_its_own_full_name(base: str, said: dict[str, Any]) -> None:
    given_name = f"{base}:{','.join(f'{k}={v}' for k, v in said.items())}" if said else base
    usual = settings(base)
    wanted = dataclasses.replace(usual, **said)
    if "fraction_bits" not in said:
        most = min(usual.fraction_bits, wanted.state_bits - 2)
        wanted = dataclasses.replace(wanted, fraction_bits=most)
    if wanted.fraction_bits + 2 > wanted.state_bits or wanted.largest_threshold > (
        wanted.largest_state
    ):
        with pytest.raises(UsageError, match="EMULATOR-VALUE"):
            full_name(given_name)
        return
    name = full_name(given_name)
    assert name is not None
    assert settings(name) == wanted
    assert full_name(name) == name


def test_options_stand_in_one_order_and_usual_ones_are_left_out() -> None:
    assert full_name("emulator:latency=1,weight_bits=4") == "emulator:weight_bits=4,latency=1"
    assert full_name("emulator:weight_bits=8") == "emulator"


def test_a_file_says_the_same_as_options(tmp_path: Path) -> None:
    text = 'about = "mine"\nbase = "emulator-4bit"\nreset = "subtract"\nlatency = 0\n'
    wanted = "emulator-4bit:reset=subtract,latency=0"
    assert full_name(file(tmp_path, text)) == wanted
    target, name = chip_named(file(tmp_path, text))
    assert (target.name, name) == ("emulator", wanted)


def test_other_names_are_not_claimed() -> None:
    assert full_name("loihi2") is None
    assert full_name("emulator2:weight_bits=4") is None


def test_every_preset_is_sound() -> None:
    for name in presets():
        assert full_name(name) == name
        assert isinstance(settings(name), Settings)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("weight_bit=4", "did you mean weight_bits?"),
        ("weight_bits=1", "use a whole number from 2 to 24"),
        ("weight_bits=four", "use a whole number from 2 to 24"),
        ("weight_bits=-4", "use a whole number from 2 to 24"),
        ("overflow=clip", "choose one of: saturate, wrap"),
        ("latency=2", "use a whole number from 0 to 1"),
        ("memory_bytes=99999999999999999999999", "use a whole number from 0 to"),
        ("weight_bits", "is not an option of a machine"),
        ("", "is not an option of a machine"),
        ("state_bits=8,threshold_bits=12", "no potential can exceed such a threshold"),
        ("state_bits=6,fraction_bits=6", "a weight of 1 is outside its range"),
    ],
)
def test_a_mistake_is_told_with_the_way_out(options: str, said: str) -> None:
    (text,) = refusal(f"emulator:{options}")
    assert said in text


def test_an_option_given_twice_is_refused() -> None:
    (said,) = refusal("emulator:weight_bits=4,state_bits=16, weight_bits = 6")
    assert "weight_bits of a machine is given twice: 4 and 6" in said


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = 'base = "emulater"\nweights_bits = 3\nrounding = 7\nstate_bits = 64\nlatency = true\n'
    told = refusal(file(tmp_path, text))
    assert len(told) == 5
    assert all("mychip.toml" in t for t in told)
    assert "did you mean emulator?" in told[0]


@pytest.mark.parametrize("text", ["weight_bits = ", "\x00", "[weight_bits]\nvalue = 3"])
def test_a_file_that_says_nothing_useful_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError):
        full_name(file(tmp_path, text))


def test_a_missing_or_odd_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        full_name(str(tmp_path / "nothing.toml"))
    with pytest.raises(UsageError, match="cannot be read"):
        full_name(str(tmp_path / ".." / f"{tmp_path.name}/x.toml"))
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(UsageError, match="it is a folder"):
        full_name(str(tmp_path / "folder.toml"))
    (tmp_path / "latin.toml").write_bytes(b"about = '\xff'\n")
    with pytest.raises(InputError, match="not TOML"):
        full_name(str(tmp_path / "latin.toml"))


def test_the_command_line_says_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "none.nir"
    assert main(["check", str(model), "--dt", "1", "--target", "emulator:bits=3"]) == 2
    assert main(["targets"]) == 0
    assert "emulator-float-like" in capsys.readouterr().out


def test_every_setting_is_told_in_the_documents() -> None:
    text = (Path(__file__).parents[3] / "docs" / "emulator-target.md").read_text()
    assert [key for key in (*KEYS, *presets()) if f"`{key}`" not in text] == []
