"""Rules held against the network and the chip that they are meant for: nothing is ignored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nrf_deploy.diagnostics.findings import Finding, error
from nrf_deploy.ir.layer_view import layers
from nrf_deploy.ir.network import Network, Population
from nrf_deploy.ir.recording import Recording

from .rules import LayerRules, Rules, keys_of, nearest


def misplaced(rules: Rules, network: Network, calibration: Recording | None) -> Iterator[Finding]:
    """What the rules ask for that is not there: a layer, a setting of its kind, data."""
    populations = [n.name for n in network.of(Population)]
    connections = [k.node.name if k.node else k.name for k in layers(network).links]
    for name, own in rules.layers.items():
        if name not in connections and name not in populations:
            yield error(
                "SCHEME-LAYER",
                f"the scheme sets a layer {name!r}, which the network has not",
                fix=nearest(name, [*connections, *populations]),
            )
            continue
        here = {"decay"} if name in populations else set(keys_of(LayerRules)) - {"decay"}
        for key in keys_of(LayerRules):
            if getattr(own, key) is not None and key not in here:
                what = "neurons" if name in populations else "a connection"
                yield error(
                    "SCHEME-LAYER",
                    f"the scheme sets {key} of {name!r}, which is {what}",
                    layer=name,
                    fix=f"here {', '.join(sorted(here))} may be set",
                )
    asked = [rules.error, *(own.error for own in rules.layers.values())]
    if calibration is None and "spikes" in asked:
        yield error(
            "SCHEME-NO-DATA",
            'the scheme wants the error "spikes", and there are no data to count spikes on',
            fix='give a recording with --calibrate, or use error = "weights"',
        )


USUAL = {"decay": "nearest", "exponent": 0, "per_channel": False}
"""What asks for nothing on a chip that does not have it."""


def unheard(rules: Rules, lacking: Mapping[str, str]) -> Iterator[Finding]:
    """What the rules ask for that a chip does not have; `lacking` says of each such key why."""
    for layer, own in ((None, rules), *rules.layers.items()):
        for key, why in lacking.items():
            asked = vars(own).get(key)
            if asked not in (None, USUAL[key]):
                yield error(
                    "SCHEME-CHIP",
                    f"the scheme asks for {key} = {asked!r}, which is not to be had here",
                    layer=layer,
                    why=why,
                    fix=f"leave {key} out of the scheme for this chip",
                )
