"""The shipped conformance programs are bundles: every verb takes them, or says why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from nrf_deploy.cli.main import main
from tests.builders.crafted_bundles import kit


def test_run_takes_a_program_that_no_model_stands_behind(tmp_path: Path) -> None:
    program = kit("loihi.sparse")
    out = tmp_path / "o.npz"
    given = program.with_name("input.npz")
    assert main(["run", str(program), "--input", str(given), "-o", str(out)]) == 0
    assert out.exists()


def test_a_program_without_a_placement_has_no_image(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["flash", str(kit("speck.events.threshold")), "--dry-run"]) == 4
    said = capsys.readouterr().err
    assert "SPECK-UNPLACED" in said
    assert "'n'" in said
