"""Text of the inputs at the first mismatch, as sentences or as a table."""

from __future__ import annotations

from collections.abc import Iterator

from nrf_deploy.compare.comparison import Arrival, Divergence
from nrf_deploy.diagnostics.text import table, wrap

SHOWN = 8
IN_WORDS = 2  # inputs in sentences; more are a table
JOINED = ".in"  # follows a layer's name in that of the population that joins its inputs
RELAY = "~"  # ends the name of a population that implements a delay of the model


def sentences(d: Divergence) -> Iterator[str]:
    """Yield the inputs with the largest weights, the number of others, and what is unknown."""
    heaviest, more = _heaviest(d)
    if heaviest:
        texts = (
            f"{a.value} from {a.source!r} {a.neuron}, sent at step {a.step}"
            f"{'' if a.weight is None else f', weight {a.weight}'}"
            for a in heaviest
        )
        yield f"There arrived {'; '.join(texts)}{f'; and {more:,} more' if more else ''}."
    yield from _unknown(d)


def paragraphs(d: Divergence) -> Iterator[str]:
    """Yield the same for a terminal."""
    heaviest, more = _heaviest(d)
    if len(heaviest) <= IN_WORDS:
        yield from map(wrap, sentences(d))
        return
    header = ("arrived from", "neuron", "sent at step", "value", "weight")
    rows = [
        (
            a.source,
            f"({','.join(map(str, a.neuron))})",
            str(a.step),
            str(a.value),
            "-" if a.weight is None else str(a.weight),
        )
        for a in heaviest
    ]
    yield table(header, rows, "llrrr") + (f"\nand {more:,} more" if more else "")
    yield from map(wrap, _unknown(d))


def _heaviest(d: Divergence) -> tuple[list[Arrival], int]:
    known = [a for a in d.arrivals if a.value is not None]
    known.sort(key=lambda a: -abs((a.value or 0) * (1 if a.weight is None else a.weight)))
    return known[:SHOWN], max(len(known) - SHOWN, 0)


def _unknown(d: Divergence) -> Iterator[str]:
    missing = [a for a in d.arrivals if a.value is None]
    waiting = dict.fromkeys(a.source.rstrip(RELAY) for a in missing if a.source.endswith(RELAY))
    if waiting:
        names = " and ".join(map(repr, waiting))
        yield (
            f"What came late from {names} is not listed: the steps that events wait for a delay "
            "of the model are not recorded."
        )
    for a in missing:
        if a.source.startswith(f"{d.layer}{JOINED}"):
            yield (
                f"What came through {a.source!r} is not listed: it joins the inputs of layer "
                f"{d.layer!r} on the chip (docs/semantics.md), and its events cannot be recorded."
            )
        elif not a.source.endswith(RELAY):
            yield f"What {a.source!r} sent there at step {a.step} was not recorded."
