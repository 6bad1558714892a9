"""The plug-in's options, which pytest loads at each start; all else is imported when needed.

    pytest --nrf-bundle B.nrfb --nrf-input REC --nrf-bin 1e-3    each layer of a bundle is a test
    pytest --nrf-target CHIP                                     each case of the kits is a test

See docs/conformance.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

ASKING = ("nrf_bundle", "nrf_input", "nrf_target", "nrf_kit")
SEVERAL = ("--nrf-bundle", "--nrf-input", "--nrf-labels", "--nrf-target", "--nrf-kit")
"""Options that may be given several times. Any other is refused if the command line repeats it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("nrf-deploy", "models and back ends, verified by nrf-deploy")
    for name, metavar, about in (
        ("bundle", "B.nrfb", "a test for each layer of this bundle; can be given several times"),
        ("input", "REC", "recording for the bundle: one for all, or one for each in order"),
        ("target", "CHIP", "a test for each conformance case of this chip (nrf-deploy targets)"),
        ("kit", "FOLDER", "with --nrf-target: also the cases of this kit"),
        ("labels", "L.csv", "what the inputs show, for task limits: one for all, or one for each"),
    ):
        group.addoption(f"--nrf-{name}", action="append", default=[], metavar=metavar, help=about)
    group.addoption("--nrf-engine", default="emulator", metavar="E", help="the engine in question")
    group.addoption(
        "--nrf-against",
        default="reference",
        metavar="E",
        help="the engine to trust, or a recording of one layer from silicon (.npz)",
    )
    group.addoption("--nrf-layer", metavar="NAME", help="the layer that such a recording is of")
    group.addoption(
        "--nrf-behind",
        type=int,
        default=0,
        metavar="N",
        help="steps by which such a recording is behind the model (default 0)",
    )
    group.addoption(
        "--nrf-limit", metavar="X", help="largest relative error of a layer's spike count"
    )
    group.addoption("--nrf-exact", action="store_true", help="every spike must be equal")
    group.addoption(
        "--nrf-limits", metavar="L.toml", help="limits by metric and layer (docs/report-schema.md)"
    )
    group.addoption("--nrf-bin", type=float, metavar="S", help="seconds of one step, for events")
    group.addoption("--nrf-merge", choices=["polarity", "all"], help="count polarities together")
    group.addoption("--nrf-clip", type=int, metavar="N", help="bring values above N down to N")
    group.addoption("--nrf-crop", metavar="X,Y,W,H", help="a window of the sensor")
    group.addoption("--nrf-downsample", type=int, metavar="N", help="make one pixel of N x N")
    group.addoption(
        "--nrf-origin",
        choices=["first", "zero"],
        help="where step 0 begins: at the first event (default), or at t = 0 of the file's clock",
    )
    group.addoption("--nrf-layout", metavar="NAME", help="order of columns, such as x,y,t,p")
    group.addoption("--nrf-part", metavar="NAME@N", help="one recording of a file of several")
    group.addoption("--nrf-from", type=float, metavar="S", help="begin S seconds after the origin")
    group.addoption("--nrf-until", type=float, metavar="S", help="end S seconds after the origin")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Collect only what our options select if no paths are given, and both otherwise."""
    _refuse_repeated(config.invocation_params.args)
    if not any(config.getoption(name) for name in ASKING):
        _refuse_idle(config.invocation_params.args)
        return
    if not config.getoption("nrf_bundle"):
        _refuse_of_bundles(config.invocation_params.args)
    from .collect import Collected

    config.pluginmanager.register(Collected(config), "nrf_deploy_collected")
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args = []


def _refuse_of_bundles(words: Sequence[str]) -> None:
    """Refuse options about a bundle if only a target is selected."""
    if idle := [name for name in _given(words) if name not in (*SEVERAL, "--nrf-engine")]:
        raise pytest.UsageError(
            f"{', '.join(idle)} would change nothing for a target: give --nrf-bundle B.nrfb too, "
            "or leave it out"
        )


def _refuse_idle(words: Sequence[str]) -> None:
    """Refuse options about a bundle or a target if neither is selected."""
    if idle := list(_given(words)):
        raise pytest.UsageError(
            f"{', '.join(idle)} without --nrf-bundle or --nrf-target asks for nothing: give "
            "--nrf-bundle B.nrfb --nrf-input REC, or --nrf-target CHIP"
        )


def _given(words: Sequence[str]) -> Counter[str]:
    """Count the uses of each option of ours on the command line."""
    before_paths = list(words)[: [*words, "--"].index("--")]
    names = (str(word).partition("=")[0] for word in before_paths)
    return Counter(name for name in names if name.startswith("--nrf-"))


def _refuse_repeated(words: Sequence[str]) -> None:
    """Refuse an option given twice. One in addopts may be overridden, like pytest's options."""
    for name, times in _given(words).items():
        if name not in SEVERAL and times > 1:
            raise pytest.UsageError(f"{name} is given twice; expected once")
