"""Rules of a scheme: the choices of the user; the compiler chooses the rest.

A file of rules is TOML:

    error = "spikes"          # minimised: "spikes" (needs --calibrate) or "weights"
    method = "fit"            # "fit", or "max": scale by the largest weight only; some
                              # chips have further ones, such as "sinabs" on Speck
    decay = "nearest"         # or "anchored": ladders of time constants keep their ratios
    weight_bits = 8           # without it, as many as the chip has
    per_channel = true        # one gain an output channel instead of one a layer

    [layers.conv1]            # by the name of the connection's node
    weight_bits = 6           # error, method and per_channel may stand here as well
    gain = 127.5              # one gain for the whole layer, as it is
    exponent = 0              # its weights count 2^exponent each, where several layers meet

    [layers.lif1]             # or by that of the neurons' node
    decay = "nearest"
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_type_hints

from nrf_deploy.diagnostics.argument_types import demand_text
from nrf_deploy.diagnostics.findings import (
    Finding,
    InputError,
    TargetError,
    UsageError,
    error,
    refuse,
)
from nrf_deploy.io.toml_json import toml_table

WAY = "docs/quantising.md shows its contents"
Minimised = Literal["spikes", "weights"]
Method = Literal["fit", "max", "sinabs"]
Decays = Literal["nearest", "anchored"]
CHOICES: dict[str, tuple[str, ...]] = {
    "error": get_args(Minimised),
    "method": get_args(Method),
    "decay": get_args(Decays),
}
GENERAL_METHODS = frozenset(("fit", "max"))
"""Methods of every chip; a target lists further ones (abilities.HasMethods)."""


@dataclass(frozen=True)
class LayerRules:
    """Rules of one layer; None: as for all layers.

    Attributes:
        error: The minimised error: "spikes" (needs calibration) or "weights".
        method: "fit", "max": scale by the largest weight, or a method of the chip.
        decay: "nearest", or "anchored": ladders of time constants keep their ratios.
        weight_bits: Bits of a weight, 1 to 24.
        per_channel: One gain an output channel in place of one a layer.
        gain: The gain of the layer, above 0.
        exponent: Its weights count 2**exponent each, 0 to 7, where several layers meet.
    """

    error: Minimised | None = None
    method: Method | None = None
    decay: Decays | None = None
    weight_bits: int | None = None
    per_channel: bool | None = None
    gain: float | None = None
    exponent: int | None = None


@dataclass(frozen=True)
class Rules:
    """Rules of a scheme: the choices of a user; the compiler chooses the rest.

    Attributes:
        error: The minimised error: "spikes" (needs calibration) or "weights". None: spikes
            with calibration, else weights.
        method: "fit", "max": scale by the largest weight, or a method of the chip.
        decay: "nearest", or "anchored": ladders of time constants keep their ratios.
        weight_bits: Bits of a weight, 1 to 24. None: as many as the chip has.
        per_channel: One gain an output channel in place of one a layer. None: where the chip
            allows it.
        layers: Rules of single layers, by the name of the connection or population.
    """

    error: Minimised | None = None
    method: Method = "fit"
    decay: Decays = "nearest"
    weight_bits: int | None = None  # None: as many as the chip has
    per_channel: bool | None = None  # None: where the chip allows it
    layers: Mapping[str, LayerRules] = field(default_factory=dict)

    def bits(self, layer: str, limit: int) -> int:
        """Return the bits of a weight: those of the rules, or the `limit` of the chip."""
        bits = self.requested_bits(layer)
        if bits is not None and bits > limit:
            raise TargetError(
                error(
                    "SCHEME-BITS",
                    f"the scheme asks for weights of {bits} bits",
                    layer=layer,
                    why=f"this chip has {limit}",
                    fix=f"set weight_bits to {limit} or less, or leave it out",
                )
            )
        return limit if bits is None else bits

    def requested_bits(self, layer: str) -> int | None:
        bits: int | None = self._of(layer, "weight_bits")
        return bits

    def channels(self, layer: str) -> bool | None:
        own: bool | None = self._of(layer, "per_channel")
        return own

    def fits(self, layer: str) -> bool:
        return self.method_of(layer) == "fit"

    def method_of(self, layer: str) -> str:
        return str(self._of(layer, "method"))

    def by_spikes(self, layer: str) -> bool:
        """Return whether spikes decide about a layer, if there are data."""
        return self.fits(layer) and self._of(layer, "error") != "weights"

    def anchored(self, layer: str) -> bool:
        return bool(self._of(layer, "decay") == "anchored")

    def gain(self, layer: str) -> float | None:
        return self._own(layer).gain

    def exponent(self, layer: str) -> int | None:
        return self._own(layer).exponent

    def _own(self, layer: str) -> LayerRules:
        return self.layers.get(layer, LayerRules())

    def _of(self, layer: str, key: str) -> Any:
        own = getattr(self._own(layer), key)
        return getattr(self, key) if own is None else own


NAMED: Mapping[str, Rules] = {"sinabs": Rules(method="sinabs")}
"""Rules that have a name: it stands for their file, in Python and with --scheme."""


def nearest(name: str, known: Iterable[str]) -> str:
    known = list(dict.fromkeys(known))
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(known)}"


def keys_of(cls: type) -> list[str]:
    return [f.name for f in dataclasses.fields(cls) if f.name != "layers"]


def parse_rules(text: bytes | str) -> Rules:
    """Return the rules in the text of a .toml file.

    Args:
        text: The text (docs/quantising.md).

    Returns:
        The Rules, for `scheme` of `compile`.

    Raises:
        InputError: A text that is not a scheme; `findings` names every mistake.
    """
    demand_text(text, "rules")
    table = toml_table(text, "the scheme", "SCHEME-MALFORMED", fix=WAY)
    layers = table.pop("layers", {})
    findings = list(_faults(table, Rules, "the scheme"))
    if not isinstance(layers, dict):
        findings.append(error("SCHEME-VALUE", "layers is not a table of layers"))
        layers = {}
    for name, own in layers.items():
        if isinstance(own, dict):
            findings += _faults(own, LayerRules, f"layer {name!r}")
        else:
            findings.append(error("SCHEME-VALUE", f"layers.{name} is not a table", layer=name))
    refuse(findings, InputError)
    return Rules(**table, layers={name: LayerRules(**own) for name, own in layers.items()})


def _faults(table: Mapping[str, Any], cls: type, where: str) -> Iterator[Finding]:
    hints = get_type_hints(cls)
    known = keys_of(cls)
    for key, value in table.items():
        if key not in known:
            yield error("SCHEME-KEY", f"{where} sets {key!r}", fix=nearest(key, known))
            continue
        kinds = (str,) if key in CHOICES else get_args(hints[key]) or (hints[key],)
        if type(value) is int and float in kinds:
            value = float(value)
        if type(value) not in kinds:
            wanted = " or ".join(k.__name__ for k in kinds if k is not type(None))
            what = f"{where}: {key} is {value!r}; expected {wanted}"
            yield error("SCHEME-VALUE", what)
        elif key in CHOICES and value not in CHOICES[key]:
            yield error(
                "SCHEME-VALUE",
                f"{where}: {key} = {value!r}",
                fix=f"choose one of: {', '.join(CHOICES[key])}",
            )
        elif key == "weight_bits" and not 1 <= value <= 24:
            yield error("SCHEME-VALUE", f"{where}: weight_bits = {value}", fix="use 1 to 24")
        elif key == "exponent" and not 0 <= value <= 7:
            yield error("SCHEME-VALUE", f"{where}: exponent = {value}", fix="use 0 to 7")
        elif key == "gain" and not 0 < value < float("inf"):
            yield error("SCHEME-VALUE", f"{where}: gain = {value}", fix="use a number above 0")


def demand_sound(rules: Rules) -> Rules:
    """Refuse rules built in Python that no file could hold: a file would be read differently."""
    findings = list(_faults(_table(rules), Rules, "the scheme"))
    for name, own in rules.layers.items():
        if isinstance(own, LayerRules):
            findings += _faults(_table(own), LayerRules, f"layer {name!r}")
        else:
            what = f"layers[{name!r}] is {own!r:.80}; expected LayerRules"
            findings.append(error("SCHEME-VALUE", what, layer=str(name)))
    refuse(findings, UsageError)
    return rules


def _table(rules: Rules | LayerRules) -> dict[str, Any]:
    return {k: v for k, v in vars(rules).items() if k != "layers" and v is not None}
