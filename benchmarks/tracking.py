"""How well the trained trackers still track on the chips: a section of docs/covariance.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nrf_deploy.bundle import Bundle
from nrf_models.covariant import shipped as models

TRACKERS = {"lif-tracker": models.lif, "li-tracker": models.li}
VELOCITIES = (0.08, 0.16, 0.32, 0.64, 1.28, 2.56)
SCENES, STEPS, SETTLED = 6, 160, 60
TEXT = """\
## Does the tracker still track?

Mean distance in pixels from the true place, over {scenes} scenes of each velocity (pixels a step),
for the float model and for the emulated chip, compiled as trained with 8 bits.

{table}

On Loihi 2 the integers cost next to nothing of it, which is why both tests are needed: tracking is
blind to what the covariance test sees. On the emulator's default machine the LI tracker loses
much at slow speeds, where its potentials are smallest; we think that its payloads are too coarse
there, and have not shown it. 0.08 and 2.56 pixels a step lie outside what the trackers were
trained on.
"""


def measured(name: str, chip: str, bundle: Bundle) -> list[dict[str, Any]]:
    """A row for the float model, and one for the chip."""
    rows = []
    for engine, said in (("reference", "float"), ("emulator", chip)):
        away = []
        for v in VELOCITIES:
            errors = []
            for seed in range(SCENES):
                recording, truth = TRACKERS[name].demo_truth(100 + seed, STEPS, v)
                found = models.followed(bundle, recording, engine)
                errors.append(np.linalg.norm(found - truth, axis=-1)[SETTLED:].mean())
            away.append(float(np.mean(errors)))
        rows.append({"tracker": name, "run by": said, "away": away})
    return rows


def section(rows: list[Mapping[str, Any]]) -> str:
    """The float row of a tracker stands once: it is the same whatever the chip."""
    head = f"| tracker | run by | {' | '.join(f'{v:g}' for v in VELOCITIES)} |"
    lines = [head, f"|---|---|{'---|' * len(VELOCITIES)}"]
    for row in rows:
        cells = " | ".join(f"{x:.2f}" for x in row["away"])
        lines.append(f"| {row['tracker']} | {row['run by']} | {cells} |")
    table = "\n".join(dict.fromkeys(lines))
    return TEXT.format(table=table, scenes=SCENES)
