"""The picture shows every field, and the command that draws it needs no torch."""

from __future__ import annotations

import base64
import subprocess
import sys
import xml.etree.ElementTree as Xml
import zlib
from pathlib import Path

import numpy as np
import pytest

from nrf_models.covariant.receptive_fields import PAPER, Field, family, time_constants
from nrf_research.__main__ import main
from nrf_research.field_picture import LEVELS, LINES, VELOCITIES, _tiles, picture

ROOT = Path(__file__).parents[2]
CONFIGS = Path(__file__).parents[2] / "models/nrf_models/covariant/configs"
PICTURE = Path(__file__).parents[2] / "docs/pictures/fields.svg"
SVG = "{http://www.w3.org/2000/svg}"
LADDER = time_constants(43.8, 2, 4)


def parts(drawn: str, kind: str) -> list[Xml.Element]:
    return Xml.fromstring(drawn).findall(f"{SVG}{kind}")


def words(drawn: str) -> list[str]:
    return [t.text or "" for t in parts(drawn, "text")]


def test_all_fields_of_the_paper_are_there() -> None:
    drawn = picture(PAPER, LADDER)
    said = words(drawn)
    assert any("144 fields" in w for w in said)
    for order in (
        "m = 0 along, n = 0",
        "m = 1 along, n = 0",
        "m = 0 along, n = 1",
        "m = 1 along, n = 1",
    ):
        assert sum(order in w for w in said) == 1
    assert [said.count(f"s = {s}") for s in (1, 2, 4, 8)] == [4, 4, 4, 4]
    assert said.count("135°") == 4 * 2
    assert len(parts(drawn, "image")) == 4 + 2 * len(VELOCITIES)
    assert len(parts(drawn, "polyline")) == 2 * len(LADDER)
    assert "(0.5, 0.25)" in said


def test_nothing_leaves_the_page() -> None:
    root = Xml.fromstring(picture(PAPER, LADDER))
    width, height = (float(v) for v in root.attrib["viewBox"].split()[2:])
    for image in root.findall(f"{SVG}image"):
        assert float(image.attrib["x"]) + float(image.attrib["width"]) <= width
        assert float(image.attrib["y"]) + float(image.attrib["height"]) <= height
    assert max(float(t.attrib["y"]) for t in root.findall(f"{SVG}text")) < height


def test_tiles_share_one_scale_of_colours() -> None:
    strong, weak = np.zeros((2, 3, 3))
    strong[1, 1], weak[1, 1] = -2.0, 1.0
    tiles = _tiles([[strong, weak, None]])
    assert tiles.shape == (5, 13)
    assert tiles[2, [2, 6, 10]].tolist() == [0, LEVELS + round(LEVELS / 2), LEVELS]
    assert (tiles[0] == LINES).all()


def test_the_conventions_differ_in_the_picture() -> None:
    assert picture(PAPER, LADDER) == picture(PAPER, LADDER)
    images = [
        [i.attrib["href"] for i in parts(picture(PAPER, LADDER, c), "image")]
        for c in ("sigma", "published")
    ]
    assert [a == b for a, b in zip(*images, strict=True)][:4] == [True, False, False, False]


@pytest.mark.parametrize("times", [(4.0,), (4.0, 7.0, 30.0), (8.0, 4.0)])
def test_times_that_are_no_ladder_have_no_limit_kernel(times: tuple[float, ...]) -> None:
    drawn = picture(family((1.0, 2.0), (1.0,), 4), times)
    assert len(parts(drawn, "polyline")) == len(times)
    assert not any("limit" in w for w in words(drawn))


def test_a_family_need_not_be_a_product() -> None:
    drawn = picture([Field(1.0), Field(2.0, 0.5, 1.5), Field(1.0, along=2)], LADDER)
    assert "m = 2 along, n = 0 across" in words(drawn)


def test_the_command_draws_a_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fields", str(CONFIGS / "li-theory.toml"), "-o", str(tmp_path / "f.svg")]) == 0
    said = capsys.readouterr()
    assert "12 fields, 4 time constants" in said.out
    assert said.err == ""
    assert "s = 0.5" in words((tmp_path / "f.svg").read_text())


def test_the_command_says_what_is_cut_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fields", str(CONFIGS / "paper-lif.toml"), "-o", str(tmp_path / "f.svg")]) == 0
    said = capsys.readouterr().err
    assert "COVARIANT-TRUNCATED" in said
    assert "140 of 144 fields" in said


def pixels(image: Xml.Element) -> bytes:
    data = base64.b64decode(image.attrib["href"].split(",", 1)[1])
    at = data.index(b"IDAT")
    return zlib.decompress(data[at + 4 : at + 4 + int.from_bytes(data[at - 4 : at], "big")])


def test_the_picture_in_the_docs_is_this_one() -> None:
    """But for a pixel that another machine rounds otherwise."""
    kept, drawn = PICTURE.read_text("utf-8"), picture(PAPER, LADDER)
    assert words(kept) == words(drawn)
    for ours, theirs in zip(parts(drawn, "image"), parts(kept, "image"), strict=True):
        a, b = (np.frombuffer(pixels(i), np.uint8) for i in (ours, theirs))
        assert a.shape == b.shape
        assert np.count_nonzero(a != b) <= 0.001 * a.size


def test_drawing_needs_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from nrf_research.__main__ import main; "
        f"main(['fields', '-o', {str(tmp_path / 'f.svg')!r}]); sys.exit('torch' in sys.modules)"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], stdout=subprocess.DEVNULL, cwd=ROOT / "models"
        ).returncode
        == 0
    )
