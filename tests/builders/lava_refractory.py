"""Runs in Lava's environment: networks of its float LIFRefractory, for test_loihi_refractory."""

import json
import sys
from pathlib import Path

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.dense.process import Dense
from lava.proc.io.source import RingBuffer
from lava.proc.lif.process import LIFRefractory


def run(job):
    """Return u, v and spikes of each step; a spike sets the end of a period to now + period."""
    frames = np.array(job["frames"])
    size = frames.shape[1]
    source = RingBuffer(data=frames.T.astype(float))
    into, back = (Dense(weights=np.array(w, float)) for w in job["weights"])
    neurons = LIFRefractory(
        shape=(size,),
        du=job["du"],
        dv=0.0,
        vth=job["vth"],
        bias_mant=np.full(size, float(job["bias"])),
        refractory_period=job["period"],
    )
    source.s_out.connect(into.s_in)
    into.a_out.connect(neurons.a_in)
    neurons.s_out.connect(back.s_in)
    back.a_out.connect(neurons.a_in)
    said = {"u": [], "v": [], "s": []}
    for step in range(1, len(frames) + 1):
        neurons.run(condition=RunSteps(1), run_cfg=Loihi2SimCfg(select_tag="floating_pt"))
        said["u"].append(neurons.u.get().tolist())
        said["v"].append(neurons.v.get().tolist())
        end = neurons.refractory_period_end.get()
        said["s"].append((end == step + job["period"]).astype(int).tolist())
    neurons.stop()
    return said


def main(folder):
    jobs = json.loads((folder / "asked.json").read_text())
    (folder / "answered.json").write_text(json.dumps([run(job) for job in jobs]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
