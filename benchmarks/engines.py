"""Run of the NIR paper's N-MNIST network on every engine, which writes docs/engines.md.

    python benchmarks/engines.py            write the document
    python benchmarks/engines.py --print    print only the table

The network and the recording are not ours to ship: NRF_DEPLOY_SHARED is the folder with them,
by default shared/ beside the checkout. Lava and sinabs must be installed (nrf-deploy sdk
install).
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import nrf_deploy as nd
from nrf_deploy.verification.engine_table.compare_engines import Engines, compare_engines
from nrf_deploy.verification.engine_table.text import engines_table

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "engines.md"
MODEL, RECORDING = "conformance/nir/cnn_sinabs.nir", "recordings/nmnist_sample.npz"
CHIPS = ("loihi2", "speck2b")
ENGINES = {("loihi2", "lava"), ("speck2b", "sinabs")}

TEXT = """\
# One network on every engine

The N-MNIST network of the NIR paper (five layers of integrate-and-fire neurons, trained in sinabs
by others) on a real recording of the camera, {events:,} events in {steps} steps of a millisecond.
Nothing was calibrated. `make conformance` runs it again and holds this page to it. The file does
not state how its neurons reset and fire. Here all engines run it as NIR defines its nodes; sinabs
trained it with a reset by subtraction and other rules ([speck.md](speck.md)), so the counts are not
those of its training.

```
rule="--producer nir"
nrf-deploy compile cnn_sinabs.nir --dt 1 $rule --target loihi2 -o loihi2.nrfb
nrf-deploy compile cnn_sinabs.nir --dt 1 $rule --target speck2b -o speck2b.nrfb
nrf-deploy verify loihi2.nrfb speck2b.nrfb --input nmnist_sample.npz --bin 1e-3
```

```
{table}
```

- **differ**: places (a neuron in a step) that are unlike the float reference. **parts at**: the
  first such step, and its neuron. A spike that is moved by one step differs in two places.
- **vendor**: the same against the simulator of the chip's vendor. **exact**: equal in every spike
  and every state of every neuron. In parentheses: that simulator has another arithmetic.
- **cosine**: of the neurons' mean activities with the reference's, as the NIR paper counts it.
- **class**: the neuron of the last layer that gives most, and its share of that layer's spikes.

## What it says

Our emulation of Loihi equals Intel's Lava, and our time steps of Speck (`steps`) equal SynSense's
sinabs, in every bit. Against the float model Loihi differs by what integers cost: a spike that
moves by a step in one layer moves others in the next, and so there are many mismatches while
counts and activities stay near. Time steps of Speck also let a neuron fire several times in a step,
where the model fires once.

Speck itself (`speck2b emulator`, the arithmetic speck.events) has no time steps. What arrives in
one millisecond is added event by event, so a neuron can pass its threshold before the events that
would have held it back. It gives more spikes than the model, up to {most:.1f} times as many in the
last layer, and decides on the same class. No simulator of the vendor's runs that arithmetic: sinabs
steps through time, and samna only checks and encodes configurations (docs/speck.md says what it
checks). What of it is assumed stands in [speck-arithmetic.md](speck-arithmetic.md).

The same table for your own model: `nrf-deploy verify A.nrfb B.nrfb --input REC`, for one bundle
`--engine all`. An engine that is not installed is left out and named; `--json` has every number.
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--print", action="store_true", help="print only the table")
    options = parser.parse_args()
    recording, engines = measured()
    if missing := ENGINES - {(row.chip, row.engine) for row in engines.rows}:
        print(f"not installed: {sorted(missing)}", file=sys.stderr)
        return 1
    if options.print:
        print(engines_table(engines))
    else:
        DOCUMENT.write_text(document(recording, engines), "utf-8")
    return 0


def measured() -> tuple[nd.Recording, Engines]:
    shared = Path(os.environ.get("NRF_DEPLOY_SHARED") or ROOT.parent / "shared")
    model = nd.read(shared / MODEL, dt=1, producer="nir")
    bundles = [nd.compile(model, chip) for chip in CHIPS]
    recording = nd.read_recording(shared / RECORDING, model, bin=1e-3)
    return recording, compare_engines(bundles, recording)


def document(recording: nd.Recording, engines: Engines) -> str:
    last = engines.layers[-1]
    (events,) = (r for r in engines.rows if r.arithmetic == "speck.events")
    return TEXT.format(
        events=len(recording.index),
        steps=recording.steps,
        table=engines_table(engines),
        most=events.spikes[last] / engines.spikes[last],
    )


if __name__ == "__main__":
    sys.exit(main())
