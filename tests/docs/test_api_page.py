"""docs/api.md is what tools/api_page.py makes of the docstrings, and reads well."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nrf_deploy as nd

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text()


def test_the_page_is_current() -> None:
    tool = [sys.executable, str(ROOT / "tools" / "api_page.py"), "--check"]
    done = subprocess.run(tool, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_public_name_has_its_place() -> None:
    headings = re.findall(r"^### nd\.(\w+)|^- \*\*nd\.(\w+)\*\*", PAGE, re.M)
    assert sorted(a or b for a, b in headings) == [n for n in nd.__all__ if n != "__version__"]


def test_no_address_or_object_of_this_run_is_in_it() -> None:
    assert not re.search(r" at 0x|<function|<class|<object", PAGE)


def test_every_table_and_code_block_is_whole() -> None:
    assert PAGE.count("```") % 2 == 0
    for row in re.findall(r"^\|.*$", PAGE, re.M):
        assert row.endswith("|")
        assert row.replace("\\|", "").count("|") == 3
