"""The tests of covariance as text: a row is always told by its full names."""

from __future__ import annotations

import pytest

from nrf_deploy.verification.covariance.text_report import text
from nrf_deploy.verification.covariance.types import Covariance, Row, Trial

STAGES = ("float, kernels", "chip, kernels", "float, as trained", "chip, as compiled", "nearest")


def told(first: str, transform: str) -> list[str]:
    errors = dict.fromkeys(STAGES, 0.123456)
    row = Row(first, "other", transform, 1, 123_456, errors, causes={"kernel truncation": 0.1})
    test = Trial("affine", "Affine", "What it means.", (row, row))
    return text(Covariance("chip", {"affine": test}, ())).split("\n")


@pytest.mark.parametrize(
    ("first", "transform"),
    [
        ("lif.0", "turn 90°"),
        ("field_of_the_left_eye_lif.0", "turn by 22.5 deg"),
        ("blocks.0.the_neurons_of_the_field.3", "turn by 22.5 deg, scale by 1.41, shear by 0.25"),
    ],
)
def test_what_identifies_a_row_is_never_cut(first: str, transform: str) -> None:
    lines = told(first, transform)
    assert not any("…" in line for line in lines)
    assert max(map(len, lines)) <= max(80, len(f"{first}, {transform}"))
    assert sum(first in line and transform in line for line in lines) == 2
    assert sum("12.35" in line and "123,456" in line for line in lines) == 2
