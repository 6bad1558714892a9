"""Mismatches that quantising causes, on data that the quantiser did not use.

Three ways to choose the integers: the largest weight scaled to the grid (max), the fit by
weight error, and the fit by spikes on calibration data. Two networks: N-MNIST (calibrated
on the mirror image of the recording, judged on the recording) and the covariant front end
(calibrated on one generated scene, judged on others). A mismatch is a neuron and step in which
only one of model and chip spikes.

"In the network" a layer inherits the mismatches of the layers before it; "alone" each layer
receives the model's spikes, so that only its own integers count.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import nrf_deploy as nd
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.compiler.quantize.rules import Rules
from nrf_deploy.compiler.quantize.signals import Signals
from nrf_deploy.diagnostics.text import table
from nrf_deploy.io.recordings import read as read_recording
from nrf_deploy.ir.layer_view import layers
from nrf_deploy.ir.network import Network, Population
from nrf_deploy.ir.recording import Recording
from nrf_loihi.compile.task import mismatches, spikes

METHODS = {
    "max": Rules(method="max"),
    "weights": Rules(error="weights"),
    "spikes": Rules(error="spikes"),
}
BITS = (8, 6, 4)


@dataclass(frozen=True, eq=False)
class Case:
    """A network, its calibration data, and the data on which it is judged."""

    name: str
    network: Network
    seen: Recording
    unseen: Sequence[Recording]


@dataclass(frozen=True)
class Measured:
    """Mismatches by layer, and the seconds of compilation."""

    together: Mapping[str, int]
    alone: Mapping[str, int]
    seconds: float


def nmnist(shared: Path) -> Case:
    digits, _ = read_recording(
        shared / "recordings" / "nmnist_sample.npz", shape=(2, 34, 34), bin=1e-3
    )
    mirrored = Recording.from_dense(digits.dense()[:, :, :, ::-1], 1e-3)
    network = nd.read(
        shared / "conformance" / "nir" / "cnn_sinabs.nir", dt=1.0, producer="nir"
    ).network
    return Case("N-MNIST", network, mirrored, (digits,))


def frontend(judged: Sequence[int] = (0, 1, 2), calibrated: int = 100) -> Case:
    from nrf_models.covariant.frontend import demo_recording

    with tempfile.TemporaryDirectory() as folder:
        network = nd.export("covariant-frontend", Path(folder) / "m.nir").network
    unseen = tuple(demo_recording(seed) for seed in judged)
    return Case("covariant-frontend", network, demo_recording(calibrated), unseen)


def measure(case: Case, rules: Rules) -> Measured:
    begin = time.perf_counter()
    data = case.seen if rules.method == "fit" and rules.error == "spikes" else None
    bundle = nd.compile(case.network, "loihi2", data, rules)
    seconds = time.perf_counter() - begin
    together: dict[str, int] = {}
    isolated: dict[str, int] = {}
    for recording in case.unseen:
        for layer in nd.verify(bundle, recording).comparison.layers:
            together[layer.layer] = together.get(layer.layer, 0) + layer.mismatches
        for name, count in _alone(bundle, recording):
            isolated[name] = isolated.get(name, 0) + count
    return Measured(together, isolated, seconds)


def _alone(bundle: Bundle, recording: Recording) -> Iterator[tuple[str, int]]:
    """Yield each population's mismatches if its input is the model's spikes.

    The input begins with empty steps for its latency.
    """
    network = nd.check(bundle.network, bundle.chip).network
    view = layers(network)
    data = Signals(network, view, recording)
    for origin in bundle.program.origins:
        node = network[origin.node]
        assert type(node) is Population
        total = np.zeros((data.steps, *node.shape), np.int64)
        for link in view.into(origin.node):
            scheme = bundle.scheme.connections[link.name]
            total += data.sums(link, scheme.held, node.shape)
        silent = np.zeros((origin.latency, *node.shape), np.int64)
        params = bundle.program.population(origin.population).params
        fired = spikes(node, params, np.concatenate([silent, total]))[origin.latency :]
        yield origin.node, int(mismatches(fired, data.model[origin.node]).sum())


# --- a ladder of time constants ------------------------------------------------

LADDER = ("field", "pool")
RATIO = 2


def stretched(recording: Recording, by: int) -> Recording:
    """Stretch a recording: x'[S t] = x[t], with zeros between."""
    frames = recording.dense()
    out = np.zeros((len(frames) * by, *frames.shape[1:]), frames.dtype)
    out[::by] = frames
    return Recording.from_dense(out, recording.dt)


def covariance(bundle: Bundle, recording: Recording, engine: str) -> dict[str, tuple[int, int]]:
    """Return the mismatches of each pair of channels, and the faster one's spikes.

    The output of channel k at step t is that of channel k + n at step S t of the input that is
    stretched by S = RATIO^n.
    """
    late = {o.node: o.latency for o in bundle.program.origins} if engine == "emulator" else {}
    out: dict[str, tuple[int, int]] = {}
    for step in (1, 2):
        by = RATIO**step
        for kind in LADDER:
            differ, spikes_of = 0, 0
            names = {k: _named(bundle, kind, k) for k in range(3)}
            every = list(names.values())
            fast = nd.run(bundle, recording, engine, layer=every).outputs
            slow = nd.run(bundle, stretched(recording, by), engine, layer=every).outputs
            for k in range(3 - step):
                a, b = names[k], names[k + step]
                one = fast[a].dense()[late.get(a, 0) :]
                other = slow[b].dense()[late.get(b, 0) :]
                length = min(len(one), len(other) // by)
                there = np.zeros_like(other[: length * by])
                there[::by] = one[:length]
                differ += int((there != other[: length * by]).sum())
                spikes_of += int(one[:length].sum())
            out[f"{kind}, S = {by}"] = (differ, spikes_of)
    return out


def _named(bundle: Bundle, kind: str, k: int) -> str:
    """Return the population of a kind and channel; channels are in the order of their names."""
    names = sorted(o.node for o in bundle.program.origins if o.node.startswith(f"{kind}_lif"))
    return names[k]


def ladder(case: Case) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Return rows of mismatches between channels, and with the model, by rule of decay."""
    bundles = {
        rule: nd.compile(case.network, "loihi2", case.seen, Rules(decay=rule))
        for rule in ("nearest", "anchored")
    }
    spikes_by_rule = {
        "model, in floats": covariance(bundles["nearest"], case.unseen[0], "reference"),
        **{f"chip, {r}": covariance(b, case.unseen[0], "emulator") for r, b in bundles.items()},
    }
    first = [
        (name, *(f"{differ} of {spiked}" for differ, spiked in pairs.values()))
        for name, pairs in spikes_by_rule.items()
    ]
    second = []
    for rule, bundle in bundles.items():
        layers_of = nd.verify(bundle, case.unseen[0]).comparison.layers
        second.append((rule, *(f"{x.mismatches}" for x in layers_of)))
    return first, second


# --- the page -------------------------------------------------------------------


def rows(case: Case) -> list[tuple[str, ...]]:
    out = []
    for bits in BITS:
        for name, rules in METHODS.items():
            m = measure(case, replace(rules, weight_bits=bits))
            for where, counts in (("network", m.together), ("alone", m.alone)):
                numbers = [f"{x}" for x in (*counts.values(), sum(counts.values()))]
                out.append((f"{bits}", name, where, *numbers))
                print(case.name, bits, name, where, *numbers, f"{m.seconds:.1f} s", flush=True)
    return out


def page(cases: Sequence[Case], ladder_case: Case) -> str:
    parts = ["# The quantiser, measured\n", INTRODUCTION]
    with ProcessPoolExecutor(2) as pool:
        measured = list(pool.map(rows, cases))
    for case, rows_of in zip(cases, measured, strict=True):
        heads = ("bits", "by", "fed by", *_columns(case.network), "all")
        parts += [f"## {case.name}\n", f"```\n{table(heads, rows_of)}\n```\n"]
    first, second = ladder(ladder_case)
    pairs = [f"{kind}, S = {RATIO**n}" for n in (1, 2) for kind in LADDER]
    parts += [
        "## A ladder of time constants\n",
        LADDERS,
        f"```\n{table(('decays', *pairs), first)}\n```\n",
        "Against the model (differing places, same recording):\n",
        f"```\n{table(('decays', *_columns(ladder_case.network)), second)}\n```\n",
    ]
    return "\n".join(parts)


def _columns(network: Network) -> list[str]:
    return [short(name) for name in network.order if type(network[name]) is Population]


def short(name: str) -> str:
    """Convert field_lif.0 to field0, so that seven layers fit side by side."""
    return name.replace("_lif", "").replace(".", "").replace("_", "")


INTRODUCTION = """Places (a neuron in a step) where chip and model differ, on data that the
quantiser has not seen. The script is benchmarks/quantiser.py.

- by *max*: the largest weight is scaled to the grid; *weights*: fitted to the weights;
  *spikes*: fitted on calibration data.
- fed by *network*: what the layers before it really send on the chip; *alone*: the
  model's own spikes, so that only this layer's integers count.

N-MNIST: the recorded digit, calibrated on its mirror image. covariant-frontend: three
generated scenes, calibrated on a fourth.
"""

LADDERS = """The covariant front end has time constants of 4, 8 and 16 steps. An input that
is stretched S times, with zeros in between, should give a channel that is S times slower
what the faster one gave. Differing places, of the faster channel's spikes:
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the quantiser, and write its page.")
    parser.add_argument("--shared", type=Path, required=True, help="the folder of shared data")
    parser.add_argument("-o", "--output", type=Path, help="write the page here")
    options = parser.parse_args()
    if not (options.shared / "recordings").is_dir():
        print(f"{options.shared} has no folder recordings/", file=sys.stderr)
        return 5
    front = frontend()
    text = page([nmnist(options.shared), front], front)
    print(text)
    if options.output:
        options.output.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
