"""Options given twice, for every option of every verb: refused, or all their values are used."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import pytest

from nrf_deploy.cli.main import main
from nrf_deploy.cli.parser import parser
from nrf_deploy.cli.usage import MisuseError, Once
from tests.builders.cli_calls import USAGE, answer, refusal

VALUES = ("1", "a", "1,2,3,4", "0.5")


def options() -> Iterator[tuple[str, argparse.Action]]:
    for verb, words in parser().verbs.items():
        words.fill()
        for action in words._actions:
            if action.option_strings and action.dest != "help":
                yield verb, action


EVERY = [pytest.param(v, a, id=f"{v} {a.option_strings[-1]}") for v, a in options()]


def values(action: argparse.Action) -> list[str]:
    """Return values that this option takes."""
    if action.nargs == 0:
        return []
    if action.choices:
        return [str(next(iter(action.choices)))]
    count = action.nargs if isinstance(action.nargs, int) else 1
    return [_value(action)] * count


def _value(action: argparse.Action) -> str:
    for text in VALUES:
        try:
            action.type(text) if callable(action.type) else None
        except (argparse.ArgumentTypeError, ValueError):
            continue
        return text
    raise AssertionError(f"no value for {action.option_strings}")


def rest(verb: str, option: argparse.Action) -> list[str]:
    """Return the other options that the command requires."""
    words: list[str] = []
    words_of = parser().verbs[verb]
    words_of.fill()
    for action in words_of._actions:
        if action.option_strings and action.required and action.dest != option.dest:
            words += [action.option_strings[-1], *values(action)]
        elif not action.option_strings and action.nargs not in ("?", "*"):
            words += values(action)
    return words


def parsed(verb: str, words: list[str]) -> Any:
    return parser().parse_args([verb, *words])


@pytest.mark.parametrize(("verb", "option"), EVERY)
def test_an_option_given_twice_is_refused_or_used_twice(verb: str, option: argparse.Action) -> None:
    names = option.option_strings
    once = [names[-1], *values(option)]
    twice = [*rest(verb, option), *once, names[0], *values(option)]
    single = getattr(parsed(verb, [*rest(verb, option), *once]), option.dest)
    if option.nargs == 0:
        assert getattr(parsed(verb, twice), option.dest) is True, "a flag says the same twice"
    elif not isinstance(option, Once):
        assert getattr(parsed(verb, twice), option.dest) == single * 2
    else:
        with pytest.raises(MisuseError, match="given twice; expected once") as refused:
            parsed(verb, twice)
        assert refused.value.exit_code == USAGE
        assert "/".join(names) in str(refused.value)


def test_another_spelling_of_an_option_is_the_same_option(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["compile", "m.nir", "--target", "loihi2", "-o", "a.nrfb"]
    assert main([*words, "--output", "b.nrfb"]) == USAGE
    assert "-o/--output is given twice; expected once" in refusal(capsys)
    assert main([*words, "--cal=a.npz", "--calibrate", "b.npz", "--json"]) == USAGE
    (finding,) = answer(capsys)["findings"]
    assert finding["what"] == "--calibrate is given twice; expected once"


def test_a_parser_can_be_used_again() -> None:
    words = parser()
    for _ in range(2):
        assert words.parse_args(["check", "m.nir", "--target", "loihi2"]).target == "loihi2"
