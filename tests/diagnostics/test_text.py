"""Tables, numbers and progress as people see them."""

from __future__ import annotations

import io
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.diagnostics import text
from nrf_deploy.diagnostics.text import (
    Progress,
    duration,
    number,
    printable,
    shorten,
    size,
    table,
    wrap,
)

# --- tables -------------------------------------------------------------------


def test_a_table_aligns_names_left_and_numbers_right() -> None:
    assert table(("layer", "spikes"), [("one", 7), ("three", 1200)]) == "\n".join(
        [
            "layer  spikes",
            "-----  ------",
            "one         7",
            "three    1200",
        ]
    )


def test_the_alignment_can_be_given() -> None:
    assert table(("a", "b"), [("1,000", "x")], "rl").split("\n")[0] == "    a  b"


def test_a_table_without_rows_is_its_header() -> None:
    assert table(("layer", "spikes"), []) == "layer  spikes\n-----  ------"


def test_the_widest_text_is_shortened_in_the_middle() -> None:
    rows = [("a" * 60 + "z" * 60, "short", 123456789)]
    *_, row = table(("name", "kind", "n"), rows).split("\n")
    assert len(row) == 80
    assert row.startswith("aaa")
    assert "a…z" in row
    assert row.endswith("zz  short  123456789")


def test_a_name_can_have_a_line_of_its_own() -> None:
    name = "backbone." * 8 + "lif"
    shown = table(("layer", "n", "said"), [(name, 7, "short"), ("b", 1, "")], names=True)
    lines = shown.split("\n")
    assert lines[2] == name
    assert [line.split() for line in lines[3:]] == [["7", "short"], ["b", "1"]]
    assert max(map(len, lines)) <= 80
    longer = table(("layer", "n"), [("x" * 200, 10**60)], "lr", names=True).split("\n")
    assert "".join(longer[2:5]) == "x" * 200
    assert longer[5].strip() == str(10**60)


def test_a_number_is_never_shortened() -> None:
    assert str(10**90) in table(("name", "n"), [("x" * 100, 10**90)])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.text(), st.integers(0, 10**9), st.text()), max_size=4))
def test_a_table_fits_80_columns_whatever_the_names(rows: list[tuple[str, int, str]]) -> None:
    lines = table(("name", "n", "kind"), rows).split("\n")
    wrapped = any(" " in cell for *_, cell in rows)
    assert len(lines) == len(rows) + 2 or (wrapped and len(lines) > len(rows) + 2)
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("given", "width", "want"),
    [("layer", 5, "layer"), ("abcdefgh", 5, "ab…gh"), ("abcdefgh", 6, "abc…gh")],
)
def test_shortening_keeps_both_ends(given: str, width: int, want: str) -> None:
    assert shorten(given, width) == want


def test_control_characters_are_shown_not_sent() -> None:
    assert printable("a\x1b[2Jb\nc é…") == "a\\x1b[2Jb\\nc é…"


def test_a_paragraph_is_wrapped_and_indented() -> None:
    lines = wrap("word " * 40, "- ", "  ").split("\n")
    assert lines[0].startswith("- word")
    assert all(line.startswith("  word") for line in lines[1:])
    assert 70 < max(map(len, lines)) <= 80


# --- numbers ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "want"),
    [
        (0, "0"), (999, "999"), (0.5, "0.50"), (1000, "1.00 k"), (12_345, "12.3 k"),
        (999_499, "999 k"), (999_999, "1.00 M"), (1_234_567, "1.23 M"), (-1_234_567, "-1.23 M"),
        (4.0e9, "4.00 G"), (5e15, "5000 T"),
    ],
)  # fmt: skip
def test_numbers(value: float, want: str) -> None:
    assert number(value) == want


@pytest.mark.parametrize(
    ("value", "want"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (5 << 30, "5.00 GiB")]
)
def test_bytes(value: int, want: str) -> None:
    assert size(value) == want


@pytest.mark.parametrize(
    ("value", "want"),
    [
        (0, "0 s"), (1.5e-6, "1.50 µs"), (0.0123, "12.3 ms"), (0.9999, "1.00 s"), (12.34, "12.3 s"),
        (59.96, "1 min 00 s"), (200, "3 min 20 s"), (4000, "1 h 07 min"), (360_000, "100 h 00 min"),
    ],
)  # fmt: skip
def test_durations(value: float, want: str) -> None:
    assert duration(value) == want


def test_sentences_in_the_last_column_are_wrapped_whole() -> None:
    said = "a sentence of many words that does not fit beside the others " * 3
    lines = table(("name", "about"), [("x" * 20, said), ("y", "short")]).splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert "…" not in "".join(lines)
    assert " ".join(" ".join(lines[2:]).split()).startswith(f"{'x' * 20} a sentence of many words")
    assert lines[-1].split() == ["y", "short"]


# --- progress ----------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def screen(self) -> str:
        """Return the last line on a screen that applies every carriage return."""
        line = ""
        for part in self.getvalue().split("\r"):
            line = part + line[len(part) :]
        return line.rstrip()


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(text.time, "monotonic", clock.monotonic)
    return clock


def test_short_work_is_silent_in_a_pipe(clock: Clock) -> None:
    pipe = io.StringIO()
    with Progress("emulate", pipe) as progress:
        progress(1, 2)
        clock.now += 9
        progress(2, 2)
    assert pipe.getvalue() == ""


def test_long_work_tells_a_pipe_how_far_it_is_every_ten_seconds(clock: Clock) -> None:
    pipe = io.StringIO()
    with Progress(["chip", "model"], pipe) as progress:
        for done in range(26):
            progress(done, 50)
            clock.now += 1
        progress(0, 50)
        clock.now += 5
        progress(1, 50)
    told = pipe.getvalue().splitlines()
    assert told == [
        "chip: 20%, 40.0 s left",
        "chip: 40%, 30.0 s left",
        "model: 2%",
        "model: 100%",
    ]


def test_a_part_that_no_label_foresaw_has_its_own_name_and_clock(clock: Clock) -> None:
    terminal = Terminal()
    with Progress(["chip", "model"], terminal, waiting=["it compiles"]) as progress:
        clock.now += 100
        progress(4, 4)
        progress.part("causes of conv1")
        assert terminal.screen().startswith("causes of conv1 [.")
        clock.now += 2
        progress(1, 2)
        assert terminal.screen().startswith("causes of conv1 [###")
        assert terminal.screen().endswith("50%  2.00 s left")
    assert terminal.screen() == ""


def test_progress_goes_to_standard_error_and_is_silent_there_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Progress("emulate") as progress:
        progress(1, 1)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_sees_the_share_and_the_time_left(clock: Clock) -> None:
    terminal = Terminal()
    with Progress("emulate", terminal) as progress:
        clock.now += 10
        progress(1, 4)
        assert terminal.screen().startswith("emulate [####")
        assert terminal.screen().endswith("25%  30.0 s left")
        assert len(terminal.screen()) <= 80
    assert terminal.screen() == ""


def test_a_terminal_is_drawn_on_at_most_ten_times_a_second(clock: Clock) -> None:
    terminal = Terminal()
    with Progress("emulate", terminal) as progress:
        for done in range(1000):
            clock.now += 0.001
            progress(done, 1000)
        assert 5 <= terminal.getvalue().count("\r") <= 11


def test_the_bar_is_wiped_when_the_work_fails(clock: Clock) -> None:
    terminal = Terminal()

    def work() -> None:
        with Progress("emulate", terminal) as progress:
            progress(1, 4)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert terminal.getvalue()
    assert terminal.screen() == ""


def test_a_new_stage_starts_a_new_clock(clock: Clock) -> None:
    terminal = Terminal()
    with Progress("emulate", terminal) as progress:
        clock.now += 1000
        progress(4, 4)
        clock.now += 1
        progress(0, 4)
        clock.now += 1
        progress(1, 4)
        assert terminal.screen().endswith("3.00 s left")


def test_each_stage_has_its_own_label(clock: Clock) -> None:
    terminal = Terminal()
    with Progress(["chip", "model"], terminal) as progress:
        clock.now += 1
        progress(4, 4)
        assert terminal.screen().startswith("chip [")
        progress(0, 4)
        assert terminal.screen().startswith("model [")
        clock.now += 1
        progress(2, 4)
        assert terminal.screen().startswith("model [")


def test_no_time_left_is_named_before_a_tenth_is_done(clock: Clock) -> None:
    terminal = Terminal()
    with Progress("emulate", terminal) as progress:
        clock.now += 1
        progress(9, 100)
        assert "left" not in terminal.screen()
        clock.now += 1
        progress(10, 100)
        assert "left" in terminal.screen()


def test_nothing_known_about_the_length_is_no_error(clock: Clock) -> None:
    terminal = Terminal()
    with Progress("x" * 200, terminal) as progress:
        progress(0, 0)
        assert "0%" in terminal.screen()
        assert len(terminal.screen()) <= 80


def test_a_long_silence_at_the_start_of_a_stage_is_explained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bar comes with the first step; before it a newcomer would see nothing."""
    monkeypatch.setattr(Progress, "patience", 0.01)
    terminal = Terminal()

    def shown(line: str) -> bool:
        for _ in range(500):
            if terminal.screen() == line:
                return True
            time.sleep(0.01)
        return False

    with Progress(["chip", "model"], terminal, waiting=["it compiles", ""]) as progress:
        progress(0, 4)
        assert shown("it compiles")
        progress(1, 4)
        assert terminal.screen().startswith("chip [")
        progress(0, 4)
        assert terminal.screen().startswith("model [")
    assert terminal.screen() == ""


def test_a_quick_stage_says_nothing_of_waiting() -> None:
    terminal = Terminal()
    with Progress("chip", terminal, waiting=["it compiles"]) as progress:
        progress(1, 1)
    assert "compiles" not in terminal.getvalue()


def test_a_first_cell_takes_the_empty_cells_after_it() -> None:
    rows = [("a rather long name", "", "", "1"), ("short", "10", "200", "3")]
    told = table(("name", "b", "c", "d"), rows, "lrrr", width=24)
    assert told.split("\n")[2] == "a rather long name     1"
    assert max(map(len, told.split("\n"))) <= 24
    assert "…" in table(
        ("name", "b", "c", "d"), [("a rather long name", "1", "2", "3")], "lrrr", 20
    )


def test_a_paragraph_holds_no_control_character_and_no_line_of_a_name() -> None:
    """Names come from files: the first lines of a bundle, the states of a kit."""
    assert wrap("input a\x1b[2J\nverdict: passed") == "input a\\x1b[2J\\nverdict: passed"
