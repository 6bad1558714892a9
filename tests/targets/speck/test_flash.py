"""The way to a board: which one, in which order, and what is said when it goes wrong.

There is no board here. The worker runs against tests/builders/stand_in_samna.py, which behaves like
either generation of samna, with boards and failures as a test asks for them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from nrf_deploy.cli.main import main
from nrf_deploy.diagnostics.findings import Finding, MissingError, TargetError
from nrf_deploy.engines.sdk import environments
from nrf_deploy.engines.sdk.reply import Expected
from nrf_deploy.engines.sdk.sdk import Sdk
from nrf_deploy.engines.sdk.worker import Reply, run_worker
from nrf_deploy.ir.network import Array
from nrf_speck.configuration.word_stream import BIAS, NEURON, WEIGHT
from nrf_speck.samna import boards as samna_boards
from nrf_speck.samna import client
from tests.builders.speck_configurations import SOUND

STAND_IN = Path(__file__).parents[2] / "builders" / "stand_in_samna.py"
VALUES = {WEIGHT: "WeightValue", BIAS: "BiasValue", NEURON: "NeuronValue"}
BOARDS = {
    "speck2b": "Speck2bTestboard:7",
    "dynapcnn": "DynapcnnDevKit:7",
    "speck2e": "Speck2eDevKit:7",
    "speck2f": "Speck2fModuleDevKit:7",
}
TICK = 1e-3


@dataclass(frozen=True)
class Bench:
    """A table with boards on it; `done` is what happened to them."""

    ask: Callable[..., None]
    log: Path

    @property
    def done(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    log, said = tmp_path / "log", tmp_path / "said.json"

    def ask(chip: str, boards: list[str] | None = None, fault: str = "") -> None:
        held = samna_boards.Contents.of(replace(SOUND, chip=chip))
        memory = [
            [VALUES[kind], core, address, value]
            for (kind, core, address), value in zip(
                held.places.tolist(), held.values.tolist(), strict=True
            )
            if kind != NEURON
        ]
        names = [BOARDS[chip]] if boards is None else boards
        answer = {
            "old": chip in ("speck2b", "dynapcnn"),
            "boards": [name.split(":") for name in names],
            "fault": fault,
            "worker": str(client.sdk.worker),
            "log": str(log),
            "memory": memory,
        }
        said.write_text(json.dumps(answer))

    def call(
        sdk: Sdk,
        request: Mapping[str, Any],
        expected: Expected,
        arrays: Mapping[str, Array] | None = None,
        timeout_s: float = 0,
    ) -> Reply:
        patience = 1.0 if json.loads(said.read_text())["fault"] == "hangs" else 30.0
        python = Path(sys.executable)
        return run_worker(sdk.name, python, STAND_IN, request, expected, arrays or {}, patience)

    monkeypatch.setenv("STAND_IN", str(said))
    monkeypatch.setattr(samna_boards, "call", call)
    monkeypatch.setattr(samna_boards, "installed_python", lambda sdk: Path(sys.executable))
    monkeypatch.setattr(samna_boards, "SETTLE_S", 0.0)
    monkeypatch.setattr(samna_boards, "ANSWER_S", 0.5)
    return Bench(ask, log)


def refused(run: Callable[[], Any]) -> Finding:
    with pytest.raises(MissingError) as failed:
        run()
    assert failed.value.exit_code == 5
    (finding,) = failed.value.findings
    return finding


@pytest.mark.parametrize("chip", BOARDS)
def test_a_board_is_loaded_its_states_written_and_all_of_it_read_back(
    chip: str, bench: Bench
) -> None:
    bench.ask(chip)
    done = samna_boards.flash(replace(SOUND, chip=chip), BOARDS[chip], TICK)
    assert done.sound
    assert done.findings == ()
    assert done.read == done.written
    assert done.written["neuron states"] == sum(c.initial.size for c in SOUND.cores)
    assert done.written["weights"] == sum(c.weights.size for c in SOUND.cores)
    steps = [what for what in bench.done if not what.startswith("stop")]
    assert steps[:5] == ["validate", f"open {BOARDS[chip]}", "apply", "clock True", "clock 1000 Hz"]
    assert steps[5] == f"write {done.written['neuron states']} WriteNeuronValue"
    assert steps[-1] == "close"


@pytest.mark.parametrize("chip", ["speck2b", "speck2f"])
def test_boards_are_listed_and_those_of_other_chips_told_apart(chip: str, bench: Bench) -> None:
    bench.ask(chip, [*BOARDS.values(), "Davis 346:1"])
    found = samna_boards.boards(chip)
    assert found.suiting == (BOARDS[chip],)
    assert "Davis 346:1" in found.others
    assert len(found.others) == 4


def test_two_boards_of_a_kind_have_names_of_their_own(bench: Bench) -> None:
    bench.ask("speck2b", ["Speck2bTestboard:0", "Speck2bTestboard:0"])
    assert len(set(samna_boards.boards("speck2b").suiting)) == 2


def test_the_real_samna_lists_what_is_plugged_in() -> None:
    there = environments.status(client.sdk)
    if not there.installed:
        pytest.skip(f"samna is not installed: {there.todo}")
    found = samna_boards.boards("speck2b")
    assert all(":" in name for name in (*found.suiting, *found.others))
    assert "speck2b" in found.looked


# --- what goes wrong ---------------------------------------------------------------


@pytest.mark.parametrize("chip", ["speck2b", "speck2f"])
def test_a_configuration_that_samna_refuses_opens_no_board(chip: str, bench: Bench) -> None:
    bench.ask(chip, fault="invalid")
    finding = refused(lambda: samna_boards.flash(replace(SOUND, chip=chip), BOARDS[chip], TICK))
    assert finding.code == "SDK-REFUSED"
    assert finding.why == "Layer[0] is wrong"
    assert bench.done == ["validate"]


def test_a_configuration_that_we_refuse_does_not_even_start_samna(bench: Bench) -> None:
    first, second = SOUND.cores
    cyclic = replace(SOUND, cores=(first, replace(second, destinations=first.destinations)))
    with pytest.raises(TargetError):
        samna_boards.flash(cyclic, "Speck2bTestboard:7", TICK)
    assert bench.done == []


@pytest.mark.parametrize(
    ("field", "what"),
    [
        ("leak_internal_slow_clk_enable", "this samna has no cnn_layers.0.leak_internal"),
        ("enable", "this samna has no cnn_layers.0.destinations.0.enable"),
    ],
)
def test_a_field_that_the_newer_samna_lost_is_named(field: str, what: str, bench: Bench) -> None:
    bench.ask("speck2f", fault=field)
    finding = refused(
        lambda: samna_boards.flash(replace(SOUND, chip="speck2f"), BOARDS["speck2f"], TICK)
    )
    assert what in finding.what
    assert bench.done == []


def test_a_cell_that_reads_as_another_value_is_named(bench: Bench) -> None:
    bench.ask("speck2b", fault="memory")
    done = samna_boards.flash(SOUND, BOARDS["speck2b"], TICK)
    (finding,) = done.findings
    assert not done.sound
    assert finding.code == "FLASH-DIFFERS"
    assert "weights of core 0 at 0 read" in finding.why
    assert done.read["weights"] == done.written["weights"] - 2
    assert bench.done[-1] == "close"


def test_a_board_that_stops_answering_is_said_to_be_unread(bench: Bench) -> None:
    bench.ask("speck2b", fault="silent")
    done = samna_boards.flash(SOUND, BOARDS["speck2b"], TICK)
    assert [f.code for f in done.findings] == ["FLASH-UNREAD"]
    assert sum(done.read.values()) < 20
    assert bench.done[-1] == "close"


@pytest.mark.parametrize(
    ("fault", "code"),
    [("dies", "SDK-CRASHED"), ("garbage", "SDK-REPLY-BAD"), ("hangs", "SDK-TIMEOUT")],
)
def test_a_samna_that_dies_hangs_or_prints_garbage_is_one_finding(
    fault: str, code: str, bench: Bench
) -> None:
    bench.ask("speck2b", fault=fault)
    finding = refused(lambda: samna_boards.flash(SOUND, BOARDS["speck2b"], TICK))
    assert finding.code == code


@pytest.mark.parametrize("fault", ["garbage", "hangs"])
def test_so_it_is_when_boards_are_listed_and_none_is_touched(fault: str, bench: Bench) -> None:
    bench.ask("speck2b", fault=fault)
    refused(lambda: samna_boards.boards("speck2b"))
    assert bench.done == []


def test_a_board_that_cannot_be_opened_is_said_to_be_so(bench: Bench) -> None:
    bench.ask("speck2b", fault="open")
    finding = refused(lambda: samna_boards.flash(SOUND, BOARDS["speck2b"], TICK))
    assert "cannot be opened" in finding.what


def test_a_board_that_went_away_is_said_to_be_gone(bench: Bench) -> None:
    bench.ask("speck2b", ["Speck2bTestboard:8"])
    finding = refused(lambda: samna_boards.flash(SOUND, BOARDS["speck2b"], TICK))
    assert "is gone" in finding.what


@pytest.mark.parametrize("tick", [1.0, 1e-5])
def test_a_leak_clock_that_the_board_has_not_is_refused(tick: float, bench: Bench) -> None:
    with pytest.raises(TargetError, match="tick="):
        samna_boards.flash(SOUND, BOARDS["speck2b"], tick)
    assert bench.done == []


def test_the_newer_samna_is_installed_by_its_name_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    built: list[str] = []
    monkeypatch.setattr(environments, "install", lambda sdk, progress: built.append(sdk.name))
    main(["sdk", "install"])
    assert "samna-new" not in built
    capsys.readouterr()
    main(["sdk", "install", "samna-new"])
    assert built[-1] == "samna-new"
    (row,) = (line for line in capsys.readouterr().out.splitlines() if "samna-new  " in line)
    assert "optional" in row or "installed" in row


def test_without_samna_it_is_said_what_finds_boards(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NRF_DEPLOY_CACHE", str(tmp_path))
    finding = refused(lambda: samna_boards.boards("speck2f"))
    assert finding.code == "SDK-MISSING"
    assert "boards of speck2f are found by samna-new" in finding.what
    assert finding.fix
