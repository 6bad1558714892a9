"""Options that state how the neurons of a .nir file reset and fire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:  # the command line imports this module, and must not load numpy
    from nrf_deploy.neurons.spikes import Fires, Reset

Producer = Literal["nir", "norse", "snntorch", "spikingjelly", "sinabs", "rockpool", "spyx"]
REST = ""
"""The name that stands for all layers that are not named."""
KEYS = ("reset", "fires", "per_step", "floor", "refractory")
"""The fields of a rule that a caller can state."""


class RuleOptions(TypedDict, total=False):
    """Options that state how neurons reset and fire, where the file does not.

    Each but the producer is a value for all spiking neurons, or a mapping of layers to values,
    in which the name "" stands for all other layers. None is a missing option.
    """

    producer: Producer | None
    reset: Reset | Mapping[str, Reset] | None
    fires: Fires | Mapping[str, Fires] | None
    per_step: str | Mapping[str, str] | None
    floor: float | Literal["none"] | Mapping[str, float | Literal["none"]] | None
    refractory: int | Literal["none"] | Mapping[str, int | Literal["none"]] | None
