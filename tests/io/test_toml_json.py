"""The readers of TOML and JSON: limits that hold before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from nrf_deploy.compiler.quantize.rules import parse_rules
from nrf_deploy.diagnostics.findings import InputError
from nrf_deploy.io.toml_json import (
    DEPTH,
    JSON_VALUES,
    TOML_DOTS,
    TOML_LIMIT,
    FormatError,
    parse_json,
    parse_toml,
)
from nrf_deploy.verification import Limits, parse_limits
from nrf_emulator.settings import full_name

HOSTILE_TOML = [
    pytest.param("x = 1" + 5000 * "0", "thousands of digits", id="digits"),
    pytest.param("x = 1" + 400 * "0", "64 bits", id="400 digits"),
    pytest.param("x = 0x1" + 5000 * "0", "64 bits", id="hexadecimal digits"),
    pytest.param("x = " + 3000 * "[", "deep", id="arrays"),
    pytest.param("x = " + 3000 * "{x = ", "deep", id="tables"),
    pytest.param(".".join(20_000 * ["x"]) + " = 1", "8 dots", id="key"),
    pytest.param(" . ".join(20 * ['"x"']) + " = 1", "8 dots", id="quoted key"),
    pytest.param("[" + ".".join(20 * ["x"]) + "]", "8 dots", id="header"),
    pytest.param("x = {" + ".".join(20 * ["x"]) + " = 1}", "8 dots", id="key in a table"),
    pytest.param('x = """' + 16_000 * '\\"""', "no end", id="text"),
    pytest.param("#" + TOML_LIMIT * "x", "65,536 bytes", id="size"),
    pytest.param(b"x = '\xff'", "utf-8", id="encoding"),
    pytest.param(b"x = 1\x00", "line 1", id="control"),
]


@pytest.mark.parametrize(("text", "why"), HOSTILE_TOML)
def test_hostile_toml_is_one_refusal(text: bytes | str, why: str) -> None:
    with pytest.raises(FormatError, match=why):
        parse_toml(text)


@pytest.mark.parametrize(("text", "why"), HOSTILE_TOML)
def test_limits_schemes_and_machines_refuse_it_by_their_code(
    text: bytes | str, why: str, tmp_path: Path
) -> None:
    machine = tmp_path / "machine.toml"
    machine.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match="LIMITS-MALFORMED"):
        parse_limits(text, Limits(exact=False))
    with pytest.raises(InputError, match="SCHEME-MALFORMED"):
        parse_rules(text)
    with pytest.raises(InputError, match=r"EMULATOR-FILE-MALFORMED|INPUT-TOO-LARGE"):
        full_name(str(machine))


@pytest.mark.parametrize("base", ["[]", "{}", "1", '"nowhere"', "[[1]]"])
def test_a_machine_on_no_known_base_is_refused(base: str, tmp_path: Path) -> None:
    path = tmp_path / "machine.toml"
    path.write_text(f"base = {base}\n")
    with pytest.raises(InputError, match="EMULATOR-KEY"):
        full_name(str(path))


def test_what_files_hold_is_read() -> None:
    key = ".".join((TOML_DOTS + 1) * ["x"])
    dotted = "# " + 3 * key + f'\ntext = \'{3 * key}\'\nmore = """\n{3 * key}\n"""\n'
    numbers = (
        "list = [1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5, 0.5]\nleast = -9223372036854775808"
    )
    table = parse_toml(f"{key} = 1\n{dotted}{numbers}")
    assert table["text"] == 3 * key
    assert table["list"][-1] == 0.5
    assert table["least"] == -(2**63)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param(100_000 * "[", "deep", id="arrays"),
        pytest.param((DEPTH + 1) * "[" + (DEPTH + 1) * "]", "deep", id="a few arrays too many"),
        pytest.param(5000 * "1", "thousands of digits", id="digits"),
        pytest.param("[" + 400 * "1" + "]", "64 bits", id="400 digits"),
        pytest.param("1e999", "too large", id="exponent"),
        pytest.param('{"a": [NaN]}', "NaN", id="nan"),
        pytest.param('{"a": {"b": 1, "b": 2}}', "twice", id="key"),
        pytest.param(b'"\xff"', "utf-8", id="encoding"),
        pytest.param(b"[" + JSON_VALUES * b"[]," + b"[]]", "values", id="values"),
    ],
)
def test_hostile_json_is_one_refusal(text: bytes | str, why: str) -> None:
    with pytest.raises(FormatError, match=why):
        parse_json(text)


def test_json_has_a_limit_of_its_own_for_every_reader() -> None:
    assert parse_json(b'{"a": [1, -2, 0.5, null, "x"]}') == {"a": [1, -2, 0.5, None, "x"]}
    with pytest.raises(FormatError, match="3 bytes"):
        parse_json(b"[10]", limit=3)
    with pytest.raises(FormatError, match="at most 2"):
        parse_json(b"[1,2,3]", values=2)
