"""Environments of the peers, one each, under the cache folder."""

from __future__ import annotations

from pathlib import Path

from nrf_deploy.engines.sdk.sdk import Sdk

HERE = Path(__file__).parent


def _sdk(name: str, about: str, python: str, module: str) -> Sdk:
    return Sdk(
        name=name,
        about=about,
        python=python,
        requirements=HERE / f"requirements_{name}.txt",
        worker=HERE / f"worker_{name}.py",
        optional=True,
        module=module,
    )


SANAFE = _sdk("sanafe", "SANA-FE 2.2.9: energy and latency of an architecture", "3.11", "sanafe")
NENGO = _sdk("nengo", "nengo-loihi 1.1.0: its integer emulator", "3.10", "nengo_loihi")
SINABS = _sdk(
    "sinabs",
    "sinabs 3.1.3 on torch 2.13.0: convolutions batched over time",
    "3.11",
    "sinabs",
)
SCIPY = _sdk("scipy", "a plain program on scipy.sparse 1.16.3", "3.11", "scipy")
