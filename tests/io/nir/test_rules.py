"""Features without a field in NIR are read back unchanged or refused, never dropped."""

from __future__ import annotations

import argparse
import dataclasses
import io
from collections.abc import Callable
from dataclasses import MISSING, dataclass
from itertools import chain, product
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy import neurons
from nrf_deploy.cli import shared_options
from nrf_deploy.diagnostics.findings import InputError, UsageError
from nrf_deploy.io.nir import read, write
from nrf_deploy.io.nir.beyond import FIELDS, WORDS, nir_fields, say
from nrf_deploy.io.nir.rules import RULE_WORDS
from nrf_deploy.io.nir.write import encode
from nrf_deploy.io.rule_options import RuleOptions
from nrf_deploy.ir.network import Population
from nrf_deploy.neurons import Integrator, Leaky, LinearLeak, Part, Spikes, Value, base
from tests.builders.populations import DT, FAULTY, around, populations

AT = "node/nodes/n/metadata"
ONE = np.ones(3, np.float32)
FLOORED = Spikes(threshold=ONE, floor=-ONE, per_step="many", reset="subtract", fires="at")


def held() -> Population:
    """Return neurons with a membrane, numbers and a word that NIR has no field for."""
    return Population(name="n", membrane=LinearLeak(r=ONE, leak=ONE / 4), rule=FLOORED)


def same(a: Part, b: Part, at: str = "") -> None:
    """Require equal types, words and numbers; a neutral number can be a scalar or an array."""
    assert type(a) is type(b), at
    assert a.described() == b.described(), at
    for f in dataclasses.fields(a):
        x, y = getattr(a, f.name), getattr(b, f.name)
        if isinstance(x, Part):
            same(x, y, f"{at}.{f.name}")
        elif "unit" in f.metadata and x is not None:
            x, y = (np.broadcast_to(v, ONE.shape) for v in (x, y))
            assert np.array_equal(x, y), f"{at}.{f.name}"
        else:
            assert x == y, f"{at}.{f.name}"


def errors(data: bytes) -> list[str]:
    with pytest.raises(InputError) as refused:
        read(io.BytesIO(data))
    return sorted({f.code for f in refused.value.findings if f.severity == "error"})


def changed(data: bytes, change: Callable[[h5py.Group], None]) -> bytes:
    """Return a file whose metadata of the neurons were changed."""
    stream = io.BytesIO(data)
    with h5py.File(stream, "r+") as file:
        change(file[AT])
    return stream.getvalue()


def put(key: str, value: Any) -> Callable[[h5py.Group], None]:
    def change(metadata: h5py.Group) -> None:
        if key in metadata:
            del metadata[key]
        text = isinstance(value, str)
        metadata.create_dataset(key, data=value, dtype=h5py.string_dtype() if text else None)

    return change


def without(key: str) -> Callable[[h5py.Group], None]:
    def change(metadata: h5py.Group) -> None:
        del metadata[key]

    return change


# --- round trip ----------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(populations())
def test_every_population_comes_back_with_its_features_and_numbers(node: Population) -> None:
    data = encode(around(node))
    network, findings = read(io.BytesIO(data))
    back = network["n"]
    assert type(back) is Population
    assert back.features == node.features
    same(node.membrane, back.membrane)
    same(node.rule, back.rule)
    assert {f.code for f in findings} <= {"NIR-THRESHOLD-RESET"}
    assert encode(network) == data, "the second writing differs"


@settings(max_examples=100, deadline=None)
@given(populations())
def test_a_node_has_metadata_of_ours_only_where_nir_falls_short(node: Population) -> None:
    plain = {"reset=subtract", "reset_to", "fires=at", "rectified"}
    short = node.membrane.near is not None or bool(node.features - plain)
    assert (say(node).get("nrf.version") == "1") is short
    with h5py.File(io.BytesIO(encode(around(node)))) as file:
        keys = {k for k in file.get(AT, {}) if k.startswith("nrf")}
    assert bool(keys) is short


def test_the_writer_warns_of_what_other_readers_do_not_see(tmp_path: Path) -> None:
    (found,) = write(around(held()), tmp_path / "m.nir")
    assert (found.severity, found.code, found.layer) == ("warning", "NIR-FOREIGN", "n")
    assert "other readers of this file see a plain IF" in found.what
    assert "nrf.floor, nrf.leak, nrf.membrane, nrf.per_step" in found.why
    plain = Population(name="n", membrane=Integrator(r=ONE), rule=Spikes(threshold=ONE))
    assert write(around(plain), tmp_path / "m.nir") == []


def test_nir_reads_a_file_with_metadata_of_ours(tmp_path: Path) -> None:
    import nir

    write(around(held()), tmp_path / "m.nir")
    graph = nir.read(tmp_path / "m.nir")
    assert type(graph.nodes["n"]) is nir.IF
    assert np.array_equal(graph.nodes["n"].metadata["nrf.floor"], -ONE)
    back, _ = read(graph)
    node = back["n"]
    assert type(node) is Population
    same(held().membrane, node.membrane)
    same(held().rule, node.rule)


# --- refusals ------------------------------------------------------------------

UNKNOWN, WRONG = ["NIR-RULE-UNKNOWN"], ["NIR-RULE"]


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        (put("nrf.version", "2"), ["NIR-RULE-VERSION"]),
        (put("nrf.version", 1), ["NIR-RULE-VERSION"]),
        (without("nrf.version"), ["NIR-RULE-VERSION"]),
        (put("nrf.membrane", "Resonator"), UNKNOWN),
        (put("nrf.membrane", "Leaky"), UNKNOWN),
        (put("nrf.membrane", 3.0), UNKNOWN),
        (without("nrf.membrane"), UNKNOWN),  # an Integrator has no leak
        (without("nrf.leak"), WRONG),
        (put("nrf.Floor", ONE), UNKNOWN),
        (put("nrf.", ONE), UNKNOWN),
        (put("nrf.floor.tau", ONE), UNKNOWN),
        (put("nrf.threshold", ONE), UNKNOWN),
        (put("nrf.reset", "subtract"), UNKNOWN),
        (put("nrf.rectified", "yes"), UNKNOWN),
        (put("nrf.per_step", "several"), UNKNOWN),
        (put("nrf.per_step", 2), UNKNOWN),
        (put("nrf.floor", "low"), WRONG),
        (put("nrf.floor", [1.0, np.nan, 0.0]), WRONG),
        (put("nrf.floor", [1.0, np.inf, 0.0]), WRONG),
        (put("nrf.floor", [1.0, 2.0]), WRONG),
        (put("nrf.floor", np.ones((3, 3))), WRONG),
        (put("nrf.floor", np.ones(0)), WRONG),
        (put("reset", "late"), WRONG),  # not with many spikes a step
        (put("NRF.floor", ONE), ["NIR-METADATA-UNKNOWN"]),
        (put("nrf_floor", ONE), ["NIR-METADATA-UNKNOWN"]),
    ],
)
def test_metadata_that_are_not_understood_are_refused(
    change: Callable[[h5py.Group], None], codes: list[str]
) -> None:
    assert errors(changed(encode(around(held())), change)) == codes


def test_a_version_that_is_not_stated_is_asked_for() -> None:
    data = changed(encode(around(held())), without("nrf.version"))
    with pytest.raises(InputError, match=r"nrf\.version is not stated") as refused:
        read(io.BytesIO(data))
    (found,) = (f for f in refused.value.findings if f.code == "NIR-RULE-VERSION")
    assert found.fix == "state nrf.version = '1' beside it"


@settings(max_examples=100, deadline=None)
@given(populations(), st.data())
def test_a_changed_file_is_refused_and_never_another_network(
    node: Population, data: st.DataObject
) -> None:
    said = say(node)
    if not said:
        return
    key = data.draw(st.sampled_from(sorted(said)))
    value = said[key]
    if isinstance(value, str):
        other: Any = data.draw(st.sampled_from(["", "?", value + "s", 1.5]))
    else:
        bad = np.array(value, np.float64)
        bad.flat[data.draw(st.integers(0, bad.size - 1))] = data.draw(
            st.sampled_from([np.nan, np.inf, *FAULTY.get(unit_of(node, key), ())])
        )
        other = data.draw(st.sampled_from([bad, np.ones(2), "?"]))
    file = encode(around(node))
    renamed = changed(changed(file, without(key)), put(f"{key}_", value))
    assert {code.removesuffix("-DT") for code in errors(changed(file, put(key, other)))} <= {
        "NIR-RULE", "NIR-RULE-UNKNOWN", "NIR-RULE-VERSION", "NIR-TAU",
    }  # fmt: skip
    assert set(errors(renamed)) <= {"NIR-RULE", "NIR-RULE-UNKNOWN", "NIR-RULE-VERSION"}


def unit_of(node: Population, key: str) -> Any:
    part: Any = None
    *inside, name = key.removeprefix("nrf.").split(".")
    if inside:
        part = getattr(node.rule, inside[0])
    else:
        part = node.membrane if hasattr(node.membrane, name) else node.rule
    return part.__dataclass_fields__[name].metadata["unit"]


def test_a_version_alone_is_refused() -> None:
    """The rule of the version was lost on the way."""
    plain = Population(name="n", membrane=Integrator(r=ONE), rule=Spikes(threshold=ONE))
    file = encode(around(plain))
    assert errors(changed(file, put("nrf.version", "1"))) == WRONG


@pytest.mark.parametrize(
    "where", ["node/metadata", "node/nodes/w/metadata", "node/nodes/y/metadata"]
)
def test_metadata_of_neurons_are_refused_where_no_neurons_are(where: str) -> None:
    stream = io.BytesIO(encode(around(held())))
    with h5py.File(stream, "r+") as file:
        group = file.require_group(where)
        group["nrf.version"], group["nrf.floor"] = "1", ONE
    assert errors(stream.getvalue()) == ["NIR-METADATA-UNKNOWN"]


def test_the_options_still_contradict_what_a_file_states() -> None:
    file = io.BytesIO(encode(around(held())))
    with pytest.raises(InputError, match="NIR-RESET-CONFLICT"):
        read(file, reset="value")
    network, _ = read(file, reset="subtract", fires="at")
    assert network["n"].features == held().features  # type: ignore[attr-defined]


def test_the_options_take_every_word_of_the_rule() -> None:
    """They stand in the parser too, which must not load numpy."""
    parser = argparse.ArgumentParser()
    shared_options.add_rule(parser)
    words = {a.dest: str(a.metavar).split("|") for a in parser._actions}
    assert {key: tuple(words[key]) for key in RULE_WORDS} == RULE_WORDS
    assert set(words) == {"help", *RuleOptions.__annotations__}


def test_neurons_that_nobody_registered_are_not_written() -> None:
    @dataclass(frozen=True, eq=False, kw_only=True)
    class Resonator(Leaky):
        pass

    node = Population(name="n", membrane=Resonator(tau=ONE, r=ONE, v_leak=ONE), rule=Value())
    with pytest.raises(UsageError, match="NIR-UNSAYABLE"):
        encode(around(node))


# --- parts ---------------------------------------------------------------------


@dataclass(frozen=True, eq=False, kw_only=True)
class Fading(Part):
    tau: base.Array = base.number("time")
    jump: base.Array = base.number("amount")
    wait: base.Array | float = base.number("steps", default=0.0)
    takes: Literal["base", "all"] = base.choice("which threshold is taken", "base")


@dataclass(frozen=True, eq=False, kw_only=True)
class Tiring(Spikes):
    fading: Fading | None = base.choice("spikes that fade", None)
    sharp: bool = base.choice("an edge", False)


@pytest.fixture
def tiring(monkeypatch: pytest.MonkeyPatch) -> Population:
    """Neurons with a part, in a registry that knows it."""
    monkeypatch.setattr(neurons, "PARTS", (*neurons.PARTS, Fading))
    monkeypatch.setitem(FIELDS, Tiring, FIELDS[Spikes])
    monkeypatch.setitem(WORDS, Tiring, WORDS[Spikes])
    monkeypatch.setattr(
        "nrf_deploy.io.nir.neuron_builders.POPULATIONS",
        {kind: (m, Tiring if m.nir[1] == kind else Value)
         for m in neurons.MEMBRANES if m.near is None for kind in m.nir},
    )  # fmt: skip
    fading = Fading(tau=8 * ONE, jump=ONE / 2, takes="all")
    membrane = Leaky(tau=4 * ONE, r=ONE, v_leak=0 * ONE)
    return Population(
        name="n", membrane=membrane, rule=Tiring(threshold=ONE, fading=fading, sharp=True)
    )


def test_a_part_comes_back_with_its_fields(tiring: Population) -> None:
    assert sorted(say(tiring)) == [
        "nrf.fading", "nrf.fading.jump", "nrf.fading.takes", "nrf.fading.tau", "nrf.sharp",
        "nrf.version",
    ]  # fmt: skip
    back, _ = read(io.BytesIO(encode(around(tiring))))
    same(tiring.rule, back["n"].rule)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        (put("nrf.fading", "Rising"), UNKNOWN),
        (without("nrf.fading"), UNKNOWN),
        (without("nrf.fading.tau"), WRONG),
        (put("nrf.fading.tau", -ONE), ["NIR-TAU"]),
        (put("nrf.fading.tau", DT / 2 * ONE), ["NIR-TAU-DT"]),
        (put("nrf.fading.jump", -ONE), WRONG),
        (put("nrf.fading.wait", ONE / 2), WRONG),
        (put("nrf.fading.wait", -ONE), WRONG),
        (put("nrf.fading.takes", "none"), UNKNOWN),
        (put("nrf.fading.more", ONE), UNKNOWN),
        (put("nrf.sharp", "maybe"), UNKNOWN),
    ],
)
def test_a_part_that_is_not_understood_is_refused(
    tiring: Population, change: Callable[[h5py.Group], None], codes: list[str]
) -> None:
    assert errors(changed(encode(around(tiring)), change)) == codes


# --- the registry --------------------------------------------------------------


def every() -> list[type[Part]]:
    return [*neurons.MEMBRANES, *neurons.RULES, *neurons.PARTS]


@pytest.mark.parametrize("cls", every(), ids=lambda cls: cls.__name__)
def test_every_field_has_a_form_in_a_file(cls: type[Part]) -> None:
    """It is a number with a unit, one of the words of a Literal, yes or no, or a part."""
    hints = get_type_hints(cls)
    for f in dataclasses.fields(cls):
        hint = hints[f.name]
        parts = set(get_args(hint)) & set(neurons.PARTS)
        assert "unit" in f.metadata or get_origin(hint) is Literal or hint is bool or parts, f.name


@pytest.mark.parametrize(
    ("membrane", "rule"), list(product(neurons.MEMBRANES, neurons.RULES)), ids=lambda t: t.__name__
)
def test_a_name_in_a_file_means_one_field(membrane: Any, rule: Any) -> None:
    names = [f.name for f in chain(dataclasses.fields(membrane), dataclasses.fields(rule))]
    assert len(set(names)) == len(names)
    assert not {"version", "membrane"} & set(names)
    assert rule in FIELDS
    assert rule in WORDS


@pytest.mark.parametrize("membrane", neurons.MEMBRANES, ids=lambda t: t.__name__)
def test_a_membrane_has_the_fields_of_the_node_that_it_is_written_as(membrane: Any) -> None:
    needed = {f.name for f in dataclasses.fields(membrane) if f.default is MISSING}
    assert set(nir_fields(membrane)) <= needed
    assert membrane.near is None or membrane.near.near is None
