"""A target is checked against its contract once, when it is loaded: every fault is named."""

from __future__ import annotations

import warnings
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from nrf_deploy.compiler import plugins
from nrf_deploy.compiler.abilities import ABILITIES, Flashing, HasStepSums
from nrf_deploy.compiler.contract import ContractError, demand_members, members
from nrf_deploy.compiler.target import (
    GROUP,
    BaseTarget,
    Target,
    demand_contract,
    target_of_chip,
    targets,
)
from nrf_deploy.diagnostics.findings import MissingError


class Whole(BaseTarget):
    """A target that keeps the contract, and does nothing."""

    name = "whole"
    about = "for these tests"
    chips: dict[str, dict[str, Any]] = {"whole1": {"about": "a chip"}}  # noqa: RUF012
    arithmetics: dict[str, Any] = {}  # noqa: RUF012

    def accepts(self, chip: str) -> Any: ...

    def check(self, network: Any, chip: str) -> Any: ...

    def quantise(
        self, network: Any, chip: str, calibration: Any, rules: Any, progress: Any
    ) -> Any: ...

    def lower(self, network: Any, scheme: Any, chip: str) -> Any: ...

    def place(self, program: Any, chip: str) -> Any: ...


def with_(**more: Any) -> object:
    return type("Changed", (Whole,), more)()


def without(name: str) -> object:
    """Return a target that lacks a member."""
    held = {k: v for k, v in {**vars(BaseTarget), **vars(Whole)}.items() if k != name}
    return type("Lacking", (), {k: v for k, v in held.items() if not k.startswith("__")})()


def said(target: object) -> str:
    with pytest.raises(ContractError) as refused:
        demand_contract(target)
    return str(refused.value)


def test_a_whole_target_and_all_that_are_installed_keep_the_contract() -> None:
    demand_contract(Whole())
    installed = targets()
    assert {"emulator", "loihi", "speck"} <= set(installed)
    for target in installed.values():
        demand_contract(target)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("dequantized", "dequantised"),
        ("artifacts", "artefacts"),
        ("boardz", "boards"),
        ("coarsely", "coarse"),
        ("chips_from", "chip_from"),
        ("sumed", "summed"),
    ],
)
def test_a_misspelt_ability_is_named_with_the_nearest(name: str, near: str) -> None:
    told = said(with_(**{name: lambda self, program: {}}))
    assert f"it has {name!r}, which no target has (did you mean {near!r}?)" in told


def test_a_member_of_its_own_begins_with_an_underscore() -> None:
    assert "begin a name of its own with _" in said(with_(wholly_other=1))
    demand_contract(with_(_wholly_other=1))


@pytest.mark.parametrize("name", [m for m in members(Target) if m != "accepts"])
def test_every_member_of_the_contract_is_needed(name: str) -> None:
    assert f"it has no {name}" in said(without(name))


@pytest.mark.parametrize(
    ("name", "method", "says"),
    [
        ("check", lambda self, network: [], "check(network) cannot be called as check("),
        ("lower", lambda self, network, chip: 0, "called as lower(network, scheme, chip)"),
        ("place", lambda self, program, chip, more: 0, "called as place(program, chip)"),
        ("quantise", lambda self, network, chip: 0, "called as quantise(network, chip,"),
        ("passes", lambda self, chip: (), "called as passes(chip, allow)"),
        ("dequantised", lambda self: {}, "dequantised() cannot be called as dequantised(program)"),
        ("place", 3, "place is of type int, expected a method"),
        ("chips", ["whole1"], "chips is of type list, expected a Mapping"),
        ("shown", "whole1", "shown is of type str, expected a Sequence"),
        ("name", 3, "name is of type int, expected a str"),
        ("kit", "folder", "kit is of type str, expected a Path"),
        ("silicon", 3, "silicon is of type int, expected a str"),
        ("engines", {"sim": lambda program: 0}, "its engine 'sim' cannot be called as an Engine"),
        ("engines", {"sim": 3}, "its engine 'sim' cannot be called as an Engine"),
    ],
)  # fmt: skip
def test_another_signature_or_type_is_named(name: str, method: Any, says: str) -> None:
    assert says in said(with_(**{name: method}))


def test_more_parameters_with_defaults_and_other_names_are_fine() -> None:
    demand_contract(with_(place=lambda self, p, c, more=0: 0, lower=lambda self, *parts: 0))


def test_an_ability_of_which_a_part_is_missing_is_named() -> None:
    told = said(with_(image=lambda self, bundle: 0, boards=lambda self, bundle: 0))
    assert "it has image, boards, but no flash (Flashing)" in told


def test_all_faults_are_told_at_once() -> None:
    told = said(with_(dequantized=1, place=3, shown="x"))
    assert told.count(";") == 2


def test_every_ability_has_members_that_no_other_has() -> None:
    named = [m for ability in ABILITIES for m in members(ability)]
    assert len(named) == len(set(named))
    assert not set(named) & set(members(Target))
    assert members(Flashing) == ["image", "boards", "flash"]
    assert members(HasStepSums) == ["summed"]


def test_a_member_that_is_checked_later_may_be_absent_and_not_unlike() -> None:
    demand_members(without("accepts"), Target, ABILITIES, late=("accepts",))
    assert "accepts" in said(with_(accepts=3))


# --- where it is loaded -------------------------------------------------------------

misspelt = with_(chips={"spelt1": {}}, dequantized=lambda self, program: {})


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_broken", {})
    monkeypatch.setattr(plugins, "_sound", {})
    entry = EntryPoint("spelt", f"{__name__}:misspelt", GROUP)
    found = plugins.entry_points(group=GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [*found, entry])


@pytest.mark.usefixtures("installed")
def test_a_target_with_a_misspelt_ability_is_broken_and_the_others_are_not() -> None:
    with pytest.warns(plugins.PluginWarning, match="did you mean 'dequantised'"):
        assert "loihi" in targets()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "spelt" not in targets()
    with pytest.raises(MissingError, match="dequantized"):
        target_of_chip("spelt")
