"""Checks of rules against the network and the chip: no rule is ignored silently."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from nrf_deploy.diagnostics.findings import Finding, error
from nrf_deploy.ir.layer_view import layers
from nrf_deploy.ir.network import Network, Population
from nrf_deploy.ir.recording import Recording

from .rules import GENERAL_METHODS, LayerRules, Rules, keys_of, nearest


def misplaced(rules: Rules, network: Network, calibration: Recording | None) -> Iterator[Finding]:
    """Yield an error for each layer, setting or data that rules need and that does not exist."""
    populations = [n.name for n in network.of(Population)]
    connections = [k.node.name if k.node else k.name for k in layers(network).links]
    for name, own in rules.layers.items():
        if name not in connections and name not in populations:
            yield error(
                "SCHEME-LAYER",
                f"the scheme refers to layer {name!r}, which does not exist in the network",
                fix=nearest(name, [*connections, *populations]),
            )
            continue
        here = {"decay"} if name in populations else set(keys_of(LayerRules)) - {"decay"}
        for key in keys_of(LayerRules):
            if getattr(own, key) is not None and key not in here:
                kind = "neurons" if name in populations else "a connection"
                yield error(
                    "SCHEME-LAYER",
                    f"the scheme sets {key} of {name!r}, which is {kind}",
                    layer=name,
                    fix=f"set only {', '.join(sorted(here))} of it",
                )
    errors = [rules.error, *(own.error for own in rules.layers.values())]
    if calibration is None and "spikes" in errors:
        yield error(
            "SCHEME-NO-DATA",
            'the scheme sets error = "spikes", and there are no data to count spikes on',
            fix='give a recording with --calibrate, or use error = "weights"',
        )


def foreign_methods(rules: Rules, methods: Collection[str], chip: str) -> Iterator[Finding]:
    """Yield an error for each method that neither every chip nor this one has."""
    known = GENERAL_METHODS | set(methods)
    layers: dict[str | None, str | None] = {n: own.method for n, own in rules.layers.items()}
    for layer, method in {None: rules.method, **layers}.items():
        if method is not None and method not in known:
            yield error(
                "SCHEME-CHIP",
                f"the scheme sets method = {method!r}, which {chip} does not have",
                layer=layer,
                why="a method of this name belongs to other chips",
                fix=f"choose one of: {', '.join(sorted(known))}; or leave method out",
            )


USUAL = {"decay": "nearest", "exponent": 0, "per_channel": False}
"""Values that are accepted on a chip without the setting."""


def unheard(rules: Rules, lacking: Mapping[str, str]) -> Iterator[Finding]:
    """Yield an error for each setting that a chip does not have; `lacking` holds the reasons."""
    for layer, own in ((None, rules), *rules.layers.items()):
        for key, why in lacking.items():
            value = vars(own).get(key)
            if value not in (None, USUAL[key]):
                yield error(
                    "SCHEME-CHIP",
                    f"the scheme sets {key} = {value!r}, which this chip does not support",
                    layer=layer,
                    why=why,
                    fix=f"leave {key} out of the scheme for this chip",
                )
