"""Covariance in time, and tracking, on the chips: writes docs/covariance.md.

    python benchmarks/covariant.py

The front end and the trained trackers are compiled for each chip; each goes through the test
of `verify --covariance`, and the trackers follow a disc at several velocities, as the float
model and as the emulated chip see it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import nrf_deploy as nd
from nrf_deploy import shipped
from nrf_deploy.bundle import Bundle
from nrf_deploy.verification.covariance import covariance
from nrf_models.covariant import shipped as models

CHIPS = ("loihi2", "emulator")
TRACKERS = {"lif-tracker": models.lif, "li-tracker": models.li}
VELOCITIES = (0.08, 0.16, 0.32, 0.64, 1.28, 2.56)
SCENES, STEPS, SETTLED, TYPICAL = 6, 160, 60, 80
PAGE = Path(__file__).parents[1] / "docs" / "covariance.md"
TEXT = """\
# Covariant in time, on a chip

A network whose temporal channels form a ladder of time constants is *covariant*: a scene that
runs S times slower gives, in the channel with S times the time constant, the response that the
faster channel gave. On a chip this breaks in places that a tracking error does not show. The test
stretches the input by empty steps (step t goes to step S t) and compares the next slower channel
with the faster one, spike by spike. In real arithmetic, with exponential decay, both are equal to
the last spike; so every deviation is precision, or a wrong discretisation.

`nrf-deploy verify B.nrfb --input REC --covariance` does it for any bundle whose model has such
channels; they are found by their numbers. This page is written by `benchmarks/covariant.py`.

Columns: {legend}.

{tables}

What this says. **Forward Euler costs far more than the chip's integers**: a model that is trained
with v += (dt/tau)(i - v) keeps 1 - dt/tau of its potential in a step, and 1 - dt/(S tau) to the
power S is another number. `--allow exact-decay` writes other time constants, so that the same
step keeps exp(-dt/tau), and `decay = "anchored"` in the scheme rounds the slowest decay and
derives the others from it. Binning real timestamps anew (the last column) moves single spikes
whatever the network does: look at it for what a camera would show, not for precision.

A leaky integrator that follows another one sums a curve in steps, so deeper LI layers are
covariant only nearly, even in real arithmetic (column 1); spiking layers are exactly.

## Does the tracker still track?

Mean distance in pixels from the true place, over {scenes} scenes of each velocity (pixels a step),
for the float model and for the emulated chip, compiled as trained with 8 bits.

{tracking}

On Loihi 2 the integers cost next to nothing of it, which is why both tests are needed: tracking is
blind to what the covariance test sees. On the emulator's default machine the LI tracker loses
much at slow speeds, where its potentials are smallest; we think that its payloads are too coarse
there, and have not shown it. 0.08 and 2.56 pixels a step lie outside what the trackers were
trained on.
"""


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    legend, tables, rows = "", [], []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("covariant-frontend", *TRACKERS):
            model = shipped.export(name, Path(folder) / f"{name}.nir")
            source = shipped.module(name)
            typical, given = source.demo_recording(1, TYPICAL), source.demo_recording(0, STEPS)
            for chip in CHIPS:
                print(f"{name} on {chip}", file=sys.stderr, flush=True)
                bundle = nd.compile(model, chip, typical)
                measured = covariance(bundle, given)
                table, legend = _table(measured)
                tables += [f"### {name}, {chip}", "", *table, ""]
                if name in TRACKERS:
                    rows += list(_tracking(name, chip, bundle))
    head = f"| tracker | run by | {' | '.join(f'{v:g}' for v in VELOCITIES)} |"
    tracking = "\n".join((head, f"|---|---|{'---|' * len(VELOCITIES)}", *rows))
    page = TEXT.format(
        legend=legend, tables="\n".join(tables).strip(), tracking=tracking, scenes=SCENES
    )
    PAGE.write_text(page, "utf-8")
    print(f"wrote {PAGE}")
    return 0


def _table(measured: object) -> tuple[list[str], str]:
    stages = measured.stages  # type: ignore[attr-defined]
    first = next(iter(stages.values()))
    lines = [f"| channel | S | depth | {' | '.join(str(k + 1) for k in range(len(stages)))} |"]
    lines.append(f"|---|---|---|{'---|' * len(stages)}")
    for k, d in enumerate(first):
        cells = " | ".join(f"{100 * s[k].error:.2f} %" for s in stages.values())
        lines.append(f"| {d.rung.faster} | {d.rung.stretch} | {d.rung.depth} | {cells} |")
    return lines, ", ".join(f"{k + 1} {name}" for k, name in enumerate(stages))


def _tracking(name: str, chip: str, bundle: Bundle) -> Iterator[str]:
    for engine, said in (("reference", "float"), ("emulator", chip)):
        cells = []
        for v in VELOCITIES:
            away = []
            for seed in range(SCENES):
                recording, truth = TRACKERS[name].demo_truth(100 + seed, STEPS, v)
                found = models.followed(bundle, recording, engine)
                away.append(np.linalg.norm(found - truth, axis=-1)[SETTLED:].mean())
            cells.append(f"{np.mean(away):.2f}")
        yield f"| {name} | {said} | {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
