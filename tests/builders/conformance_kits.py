"""The shipped conformance kits, for the tests of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from nrf_deploy.testing.conformance import Kit, read_kit

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "nrf_deploy" / "testing" / "conformance" / "kit"
LOIHI, SPECK, FIXED = (
    ROOT / "targets" / name / "kit" for name in ("nrf_loihi", "nrf_speck", "nrf_emulator")
)
KITS = (MODELS, LOIHI, SPECK, FIXED)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@cache
def loihi_kit() -> Kit:
    return read_kit(LOIHI)
