"""The commands that train trackers, and those that compare them, behind one `main`."""

from __future__ import annotations

from collections.abc import Sequence

RESEARCH = {"times", "starts", "publish", "fields"}
"""Commands of `python -m nrf_research`; the others are of `python -m nrf_models.covariant`."""


def main(words: Sequence[str]) -> int:
    if words[0] in RESEARCH:
        from nrf_research.__main__ import main as run
    else:
        from nrf_models.covariant.__main__ import main as run
    return run(words)
