"""The model card: its tables, figure and judgements come from the files beside it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is absent: pip install '.[models]'")

from nrf_models.covariant import checkpoint  # noqa: E402
from nrf_models.covariant.description import Block, Config, Tracker, Training  # noqa: E402
from nrf_models.covariant.networks import TrackerNet  # noqa: E402
from nrf_research import sweep  # noqa: E402
from nrf_research.card import card, files  # noqa: E402
from nrf_research.comparison import CLAIMS, PAPER, Claim, comparison, not_reproduced  # noqa: E402
from nrf_research.figure import figure  # noqa: E402
from nrf_research.sweep import LADDERS, Row, ladders, short, starts  # noqa: E402
from nrf_research.sweep_tables import spread, times  # noqa: E402
from nrf_research.sweep_tables import starts as starts_section  # noqa: E402
from tests.builders.training_commands import main  # noqa: E402

torch.set_num_threads(1)
WEIGHTS = Path(checkpoint.__file__).parent / "weights"
SMALL = Tracker(
    neuron="li", size=24, blocks=(Block(6, 7, pool=2, stride=2), Block(4, 3)), head=3, scales=(0.5,)
)
SHORT = Training(batches=1, batch=2, warm_up=4, steps=6, radii=(3.0, 5.0), threshold=0.5)
SVG = "{http://www.w3.org/2000/svg}"
TRAINED = (0.16, 1.28)


def test_what_is_shipped_is_what_the_files_say() -> None:
    for name, text in files(WEIGHTS).items():
        assert (WEIGHTS / name).read_text("utf-8") == text, f"run publish -o {WEIGHTS}"


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        ([1.0, 2.0], [2.1, 3.0], "yes"),
        ([2.1, 3.0], [1.0, 2.0], "no"),
        ([1.0, 2.2], [2.1, 3.0], "open"),
        ([1.0], [1.0], "open"),
    ],
)
def test_a_claim_holds_where_all_seeds_agree(
    ours: list[float], theirs: list[float], verdict: str
) -> None:
    claim = Claim("a beats b", "a", "b")
    assert claim.verdict({"a": {0.5: ours}, "b": {0.5: theirs}}, 0.5) == verdict


def test_every_claim_is_what_the_paper_measured() -> None:
    for claim in CLAIMS:
        better, worse = PAPER[claim.better], PAPER[claim.worse]
        assert all(a < b for a, b in zip(better, worse, strict=True))


def test_what_is_contradicted_is_said_and_what_is_open_is_not() -> None:
    curves = {name: {0.5: [at], 1.0: [at]} for name, at in zip(PAPER, range(1, 7), strict=True)}
    table = list(comparison(curves, [0.5, 1.0]))
    assert table[2] == "| eight frames beat one | 7.4 / 26.1 | 14.0 / 31.6 | no | no |"
    said = list(not_reproduced(curves, [0.5, 1.0]))
    assert said[0].startswith("- *eight frames beat one* is contradicted at 0.5 and 1:")
    assert len(said) == sum("no" in row for row in table[2:])
    right = {name: {0.5: [sum(PAPER[name])]} for name in PAPER}
    assert list(not_reproduced(right, [0.5])) == []


def test_the_figure_has_a_line_and_a_band_for_each_tracker() -> None:
    curves = {
        "li": {0.08: [4.0, 5.0], 0.32: [1.0, 1.2], 2.56: [3.0, 6.0]},
        "lif": {0.08: [8.0], 0.32: [2.0], 2.56: [9.0]},
    }
    trackers = {"li": Tracker(neuron="li"), "lif": Tracker(neuron="lif", space="uniform")}
    page = ElementTree.fromstring(figure(curves, trackers, TRAINED))
    assert page.attrib["role"] == "img"
    assert "li 4.5 at 0.08, 1.1 at 0.32, 4.5 at 2.56" in (page.findtext(f"{SVG}desc") or "")
    lines, bands = page.findall(f"{SVG}polyline"), page.findall(f"{SVG}polygon")
    assert len(lines) == len(bands) == 2
    assert ["stroke-dasharray" in line.attrib for line in lines] == [False, True]
    places = [[tuple(map(float, p.split(","))) for p in x.attrib["points"].split()] for x in lines]
    for line in places:
        assert [x for x, _ in line] == sorted(x for x, _ in line)
        assert all(60 <= x <= 530 and 40 <= y <= 344 for x, y in line)
    assert places[0][1][1] > places[0][0][1], "less error is lower on the page"
    assert all(a[1] > b[1] for a, b in zip(*places, strict=True))


def test_a_figure_escapes_the_names_that_it_is_given() -> None:
    curves = {"<b>&": {0.1: [1.0], 0.2: [2.0]}}
    page = ElementTree.fromstring(figure(curves, {"<b>&": Tracker()}, TRAINED))
    assert any(t.text == "<b>&" for t in page.iter(f"{SVG}text"))


def rows(configs: list[Config], seeds: int = 2) -> list[Row]:
    """Return errors that grow with the variant's place and a little with the seed."""
    return [
        Row(short(config, 60, seed), dict.fromkeys(("0.08", "0.16", "1.28"), k + 1 + seed / 10))
        for seed in range(seeds)
        for k, config in enumerate(configs)
    ]


def test_the_table_of_ladders_names_the_best() -> None:
    swept = rows(ladders(Config(SMALL, SHORT)))
    page = "\n".join(times(swept, [0.16, 1.28]))
    assert "after 60 batches" in page
    assert "Best in the last column: {1, 2, 4, 8} for li." in page
    assert "| li | 5.48, 10.95, 21.9, 43.8 | 4.0 (4.0-4.1) |" in page
    assert "| 4.05 (4.00-4.10) |" in page
    assert page.count("| li |") == len(LADDERS)
    assert list(times(swept[1 : len(LADDERS)], [0.16])) == [], "not every ladder was tried"


def test_the_table_of_starts_parts_kernels_from_time_constants() -> None:
    swept = rows(starts(Config(SMALL, SHORT)))
    page = "\n".join(starts_section(swept, [0.16]))
    assert "li, uniform time constants alone: 2.05 px where theory has 1.05 (+95 %)" in page
    assert "li, uniform kernels alone: 3.05 px" in page
    assert page.count("| li | ") == 4
    assert list(starts_section(rows([Config(SMALL, SHORT)]), [0.16])) == []
    baseline = Config(replace(SMALL, neuron="relu"), SHORT)
    assert "time constants alone" not in "\n".join(starts_section(rows(starts(baseline)), [0.16]))


def test_only_seeds_that_all_have_are_compared() -> None:
    swept = rows(starts(Config(SMALL, SHORT)), seeds=3)
    page = "\n".join(starts_section(swept[:-1], [0.16]))
    assert ", 2 seeds." in page
    assert "| li | theory | theory | 1.1 (1.0-1.1) |" in page
    assert list(starts_section(swept[1:4], [0.16])) == [], "not every start was tried"
    apart = [swept[0], swept[5], swept[10], swept[3]]
    assert list(starts_section(apart, [0.16])) == [], "no seed is common"


def test_sweeps_of_several_lengths_do_not_share_a_table() -> None:
    mixed = rows(ladders(Config(SMALL, SHORT)))
    mixed[0] = Row(short(mixed[0].config, 30, 0), mixed[0].errors)
    with pytest.raises(ValueError, match=r"\[30, 60\] batches"):
        list(times(mixed, [0.16]))


def test_a_spread_is_shown_where_there_is_one() -> None:
    assert spread([1.04]) == "1.0"
    assert spread([1.0, 3.0, 2.0]) == "2.0 (1.0-3.0)"


def test_a_sweep_goes_on_where_it_stopped_and_keeps_what_else_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, path = Config(SMALL, SHORT), tmp_path / "sweep.json"
    wanted = [short(c, 1, 0) for c in ladders(config)[:2]]
    first = sweep.sweep(wanted[:1], path)
    tried: list[Config] = []
    real = sweep._tried
    monkeypatch.setattr(sweep, "_tried", lambda c, d: (tried.append(c), real(c, d))[1])
    both = sweep.sweep(wanted, path)
    assert tried == wanted[1:]
    assert both[0] == first[0]
    assert [row.config for row in sweep.rows(path)] == wanted
    sweep.sweep([short(starts(config)[-1], 1, 0)], path)
    assert len(json.loads(path.read_text("utf-8"))) == 3


def test_a_tracker_without_memory_has_kernels_to_start_and_no_ladder() -> None:
    config = Config(replace(SMALL, neuron="relu"), SHORT)
    assert [c.tracker.space for c in starts(config)] == ["theory", "uniform"]
    with pytest.raises(ValueError, match="'relu' has no time constants"):
        ladders(config)


def test_publishing_tests_the_weights_and_writes_page_and_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = TrackerNet(SMALL)
    for seed in (0, 1):
        checkpoint.write(tmp_path / f"mine-{seed}.safetensors", Config(SMALL, SHORT), net)
    given = [str(p) for p in sorted(tmp_path.glob("*.safetensors"))]
    out = tmp_path / "out"
    assert main(["publish", *given, "-o", str(out), "--scenes", "2", "--threads", "1"]) == 0
    assert "wrote" in capsys.readouterr().out
    assert "| mine | 2 |" in (out / "README.md").read_text("utf-8")
    assert "Beside the paper" not in (out / "README.md").read_text("utf-8")
    ElementTree.parse(out / "errors.svg")
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    assert main(["publish", "-o", str(out), "--threads", "1"]) == 0
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_one_page_describes_one_recipe(tmp_path: Path) -> None:
    net = TrackerNet(SMALL)
    for k, training in enumerate((SHORT, replace(SHORT, seed=1), replace(SHORT, noise=0.5))):
        notes = {"errors": {"0.16": 1.0}, "scenes": 1}
        path = tmp_path / f"x-{k}.safetensors"
        checkpoint.write(path, Config(SMALL, training), net, notes=notes)
    with pytest.raises(ValueError, match="x-2 was trained by another recipe"):
        card(tmp_path)


def test_a_folder_without_trackers_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["publish", "-o", str(tmp_path)]) == 2
    assert "there is no tracker of one shape in the folder" in capsys.readouterr().err


def test_several_shapes_have_a_table_of_their_own(tmp_path: Path) -> None:
    """Their recipe is another; each outline has its row, beside the error of knowing nothing
    but the middle of all."""
    three = replace(SMALL, shapes=3)
    training = replace(SHORT, velocities=(0.3, 0.9))
    for name, tracker, recipe in (("one-0", SMALL, SHORT), ("three-0", three, training)):
        path = tmp_path / f"{name}.safetensors"
        checkpoint.write(path, Config(tracker, recipe), TrackerNet(tracker))
    out = tmp_path / "out"
    given = [str(p) for p in sorted(tmp_path.glob("*.safetensors"))]
    assert main(["publish", *given, "-o", str(out), "--scenes", "2", "--threads", "1"]) == 0
    page = (out / "README.md").read_text("utf-8")
    section = page[page.index("## Several shapes") : page.index("## What they are not")]
    assert "A disc, a square and a triangle, one output each" in section
    assert "0.3 to 0.9" in section.replace("\n", " ")
    table = {
        row.split("|")[1].strip(): [float(x) for x in row.split("|")[2:-1]]
        for row in section.splitlines()
        if row.startswith("| ") and "three-0" not in row
    }
    assert list(table) == ["disc", "square", "triangle", "all", "which is which unknown"]
    for k, whole in enumerate(table["all"]):
        each = [table[name][k] for name in ("disc", "square", "triangle")]
        assert whole == pytest.approx(sum(each) / 3, abs=0.11)


def test_the_command_prints_and_keeps_a_sweep(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, kept = tmp_path / "tiny.toml", tmp_path / "sweep.json"
    config.write_text(
        '[tracker]\nneuron = "lif"\nsize = 24\nhead = 3\nscales = [0.5]\n'
        "blocks = [{ features = 4, kernel = 7, pool = 2, stride = 2 }]\n"
        "[training]\nbatch = 1\nwarm_up = 2\nsteps = 3\nradii = [3.0, 5.0]\n"
    )
    call = [str(config), "-o", str(kept), "--batches", "1", "--seeds", "1", "--threads", "1"]
    assert main(["starts", *call]) == 0
    assert main(["times", *call]) == 0
    said = capsys.readouterr().out
    assert "after 1 batches" in said
    assert "lif      uniform  theory      0" in said
    assert len(sweep.rows(kept)) == 4 + len(LADDERS) - 1, "the usual ladder is one of the starts"
