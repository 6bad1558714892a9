"""Fixtures that several test files share."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def shared() -> Path:
    """Recordings and conformance data that are not ours to ship."""
    if not SHARED.is_dir():
        pytest.skip(f"the folder {SHARED.name}/ beside the checkout is absent: it holds recordings")
    return SHARED
