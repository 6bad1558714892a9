"""The HTML report in a real Chromium: accessible by axe-core's rules, in light and in dark.

`make report-check` fetches what is needed.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.builders.report_pages import case

AXE = Path(__file__).parents[3] / "build/report/node_modules/axe-core/axe.min.js"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--virtual-time-budget=60000",
)  # fmt: skip
SCHEMES = {"dark": 0, "light": 1}
WIDTHS = {"wide": 1280, "narrow": 500}  # Chromium makes no narrower window
ASK = """
document.querySelectorAll("details").forEach(d => d.open = true);
axe.run({resultTypes: ["violations"]}).then(found => {
  const said = document.createElement("pre");
  said.id = "axe-said";
  said.textContent = JSON.stringify({
    rules: found.passes.length + found.violations.length,
    violations: found.violations.map(v => [v.id, v.help, v.nodes.map(n => n.html)]),
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    tall: [...document.querySelectorAll("thead th")].map(h => h.getBoundingClientRect().height)
      .filter(height => height > 70).length,
    broken: [...document.querySelectorAll("image")].filter(i => !i.getBBox().width).length,
  });
  document.body.append(said);
});
"""


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium is here to open the page: make report-check")
    return found


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.exists():
        pytest.skip("axe-core is not here to check the page: make report-check")
    return AXE.read_text()


@pytest.fixture(scope="module")
def page() -> str:
    return case().page()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing(
    browser: str, axe: str, page: str, tmp_path: Path, scheme: str, width: str
) -> None:
    """On a copy in which scripts may run: the page itself allows none."""
    copy = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    assert copy != page
    scripts = f"<script>{axe}</script><script>{ASK}</script>"
    said = _asked(browser, copy.replace("</body>", f"{scripts}</body>"), tmp_path, scheme, width)
    assert said["violations"] == []
    assert said["rules"] > 20
    assert said["dark"] == (scheme == "dark")
    assert said["overflow"] <= 0, "only tables and pictures scroll sideways, not the page"
    assert said["broken"] == 0
    assert said["tall"] == 0, "the head of a column is not broken letter by letter"


def test_the_page_itself_runs_no_script(browser: str, page: str, tmp_path: Path) -> None:
    script = "<script>document.body.append('a script ran')</script>"
    made = page.replace("</body>", f"{script}</body>")
    assert "</details>a script ran" not in _shown(browser, made, tmp_path)
    assert "<script>" in _shown(browser, made, tmp_path)
    assert "made by nrf-deploy" in _shown(browser, page, tmp_path)


def test_on_paper_nothing_stays_closed_and_no_table_is_cut(
    browser: str, page: str, tmp_path: Path
) -> None:
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is absent to read what was printed: apt-get install poppler-utils")
    assert "<details>" in page, "something is closed on the screen"
    printed = _printed(browser, page, tmp_path)
    said = " ".join(printed.split())
    assert "made by nrf-deploy" in said
    assert "Every node of the model" in said
    assert "Parts of this page" not in said
    sheets = [sheet for sheet in printed.split("\f") if sheet.strip()]
    assert 2 <= len(sheets) <= 12
    last = [[line for line in sheet.splitlines() if line.strip()][-1].strip() for sheet in sheets]
    assert not set(last) & {"The model", "The chip", "Metrics", "Both runs", "Error by layer"}


def _printed(browser: str, made: str, folder: Path) -> str:
    """Return its text on paper, with a form feed after each sheet."""
    (folder / "page.html").write_text(made)
    pdf = folder / "page.pdf"
    words = [browser, *QUIET, f"--user-data-dir={folder / 'profile'}", "--no-pdf-header-footer",
             f"--print-to-pdf={pdf}", (folder / "page.html").as_uri()]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert pdf.exists(), done.stderr
    text = ["pdftotext", "-layout", str(pdf), "-"]
    return subprocess.run(text, capture_output=True, text=True, check=True).stdout


def _asked(browser: str, made: str, folder: Path, scheme: str, width: str) -> dict[str, Any]:
    shown = _shown(
        browser,
        made,
        folder,
        f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
        f"--window-size={WIDTHS[width]},900",
    )
    found = re.search(r'<pre id="axe-said">(.*?)</pre>', shown, re.DOTALL)
    assert found, "axe-core did not answer"
    answer: dict[str, Any] = json.loads(html.unescape(found[1]))
    return answer


def _shown(browser: str, made: str, folder: Path, *options: str) -> str:
    """Return the document of the browser after all scripts."""
    (folder / "page.html").write_text(made)
    words = [browser, *QUIET, f"--user-data-dir={folder / 'profile'}", *options, "--dump-dom"]
    address = (folder / "page.html").as_uri()
    done = subprocess.run([*words, address], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout
