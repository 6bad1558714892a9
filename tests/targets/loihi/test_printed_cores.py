"""Our counting of cores against the tables that Intel's compiler printed, row by row."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tests.builders.printed_cores import DOCUMENT, PRINTED, Row, document, rows

DENSE_PILOTNET = {"fc 2560->100", "fc 100->50", "fc 50->10", "fc 10->1"}
CONVOLUTIONS = {"conv0", "conv1", "conv2", "conv3", "conv4"}
OXFORD = {"256->200", "200->256"}


@pytest.fixture(scope="module")
def found() -> dict[str, Row]:
    if not PRINTED.is_file():
        pytest.skip("shared/ is absent beside the checkout: it holds the printed tables")
    return {row.layer: row for row in rows(json.loads(PRINTED.read_text("utf-8")))}


def agree(found: dict[str, Row], column: str) -> set[str]:
    return {name for name, row in found.items() if row.ours[column] == row.printed[column]}


def test_every_row_is_compared(found: dict[str, Row]) -> None:
    assert set(found) == {"input", *CONVOLUTIONS, *DENSE_PILOTNET, *OXFORD}


def test_the_printed_pieces_of_convolutions_and_their_number_follow_from_one_rule(
    found: dict[str, Row],
) -> None:
    maps = {"input", *CONVOLUTIONS}
    assert maps <= agree(found, "Neurons")
    assert maps <= agree(found, "cores")


@pytest.mark.parametrize(("inputs", "outputs"), [(2560, 100), (100, 50), (50, 10), (10, 1)])
def test_the_printed_parts_of_dense_layers_come_from_splitting_again_and_again(
    found: dict[str, Row], inputs: int, outputs: int
) -> None:
    parts = 1
    while (need := inputs * math.ceil(math.ceil(outputs / parts) / 4)) > 12000:
        parts *= math.ceil(need / 12000)
    assert parts == found[f"fc {inputs}->{outputs}"].printed["cores"]


def test_axons_agree_but_for_the_input(found: dict[str, Row]) -> None:
    assert agree(found, "AxonIn") == set(found) - {"input"}
    assert agree(found, "AxonMap") == set(found) - {"input"}
    assert found["input"].ours["AxonMap"] == 2 * found["input"].printed["AxonMap"]


def test_words_of_dense_layers_agree_at_8_bits_but_for_oxford(found: dict[str, Row]) -> None:
    assert agree(found, "SynMem") == {"input", *DENSE_PILOTNET}
    for name in OXFORD:
        assert 0.79 < found[name].ours["SynMem"] / found[name].printed["SynMem"] < 1


def test_words_of_convolutions_are_never_counted_too_low(found: dict[str, Row]) -> None:
    for name in CONVOLUTIONS:
        assert 1 <= found[name].ours["SynMem"] / found[name].printed["SynMem"] <= 3.2
    assert [3 in found[f"conv{i}"].bits for i in range(5)] == [True, True, True, False, False]


def test_no_layer_takes_more_cores_than_the_compiler_gave_it(found: dict[str, Row]) -> None:
    for row in found.values():
        assert row.cores <= row.printed["cores"], row.layer


def test_the_document_shows_today_s_tables(found: dict[str, Row]) -> None:
    text = Path(DOCUMENT).read_text("utf-8")
    assert text == document(text, list(found.values())), (
        "run: python tests/builders/printed_cores.py"
    )
