"""Benchmarks where no networks are installed, as in an installation from the wheel."""

from __future__ import annotations

import json

import pytest

from nrf_deploy.cli.main import main
from nrf_deploy.testing.bench import case

MISSING = 5


@pytest.mark.parametrize("words", [[], ["yardstick"], ["--peers"]])
def test_it_says_where_the_networks_are(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(case, "loaded", lambda *group: {})
    assert main(["bench", "--json", *words]) == MISSING
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert finding["code"] == "BENCH-NONE"
    assert "pip install -e . -e benchmarks/peers" in finding["fix"]
