"""Replies of vendors' workers: a shell script stands in for the vendor's interpreter."""

from __future__ import annotations

import json
import shlex
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from .bundles import zipped
from .case import MISSING, TARGET, USAGE, Box, Case, Family
from .samples import Sample
from .values import TEXTS, Rng, anything, array, chance, damaged, integer, npy, pick, pickled

Arrays = dict[str, np.ndarray[Any, Any]]
SCRIPT = "#!/bin/sh\nfor last; do :; done\n{}\n"


def stand_in(folder: Path, action: str) -> None:
    """Let every SDK be installed, with an interpreter that does `action` and no more; in the
    script "$last" is the folder of the reply."""
    from nrf_deploy.engines.sdk import environments, worker

    python = folder / "stand-in"
    python.write_text(SCRIPT.format(action))
    python.chmod(0o755)
    for module in (environments, worker):
        setattr(module, "installed_python", lambda sdk: python)  # noqa: B010 - two modules


COPY = 'cp -a "{}/in/reply/." "$last/"'
MISBEHAVIOUR = {
    "exits": "exit {n}",
    "dies": "kill -{n} $$",
    "talks and dies": "printf '\\033[31mred\\033[0m\\001 \\377\\n'; exit 3",
    "talks without end": "yes nonsense | head -c 30000000; exit 1",
    "says nothing": "exit 0",
    "hangs": "sleep 600",
    "hangs and will not end": "trap '' TERM; sleep 600 & wait; sleep 600",
    "leaves a child": "sleep 600 & exit 0",
    "replies by a pipe": "mkfifo \"$last/reply.json\"",
    "replies by an endless device": "ln -s /dev/zero \"$last/reply.json\"",
    "replies by a link": "ln -s /etc/hostname \"$last/reply.json\"",
    "replies by a folder": "mkdir \"$last/reply.json\"",
    "replies without end": "echo '{}' > \"$last/reply.json\"; truncate -s 9G \"$last/reply.json\"",
    "arrays by a pipe": "echo '{}' > \"$last/reply.json\"; mkfifo \"$last/arrays.npz\"",
    "arrays by a device": "echo '{}' > \"$last/reply.json\"; ln -s /dev/zero \"$last/arrays.npz\"",
    "arrays by a folder": "echo '{}' > \"$last/reply.json\"; mkdir \"$last/arrays.npz\"",
}  # fmt: skip


def misbehaves(box: Box) -> Case:
    """Write a worker that crashes, hangs, floods its log or replies without a file."""
    rng = box.rng
    name = pick(rng, sorted(MISBEHAVIOUR))
    if name.startswith("hangs") and chance(rng, 0.7):
        name = "exits"  # waiting is slow, and one kind of hang is like another
    action = MISBEHAVIOUR[name].replace("{n}", str(int(pick(rng, (1, 2, 6, 9, 11, 15)))))
    sample, engine = _subject(box)
    words, _ = _call(box, sample, engine)
    return _case(words, f"{engine} {name}", action)


def odd_replies(box: Box) -> Case:
    """Change arrays, names, shapes or JSON of a sound reply."""
    rng = box.rng
    sample, engine = _subject(box)
    words, states = _call(box, sample, engine)
    reply, arrays = _sound(sample, engine, words, states, rng)
    raw: dict[str, bytes] = {}
    done = [_edit(rng, arrays, raw, reply) for _ in range(int(pick(rng, (0, 1, 1, 1, 2))))]
    text = json.dumps(reply).encode()
    if chance(rng, 0.15):
        text = pick(rng, (b"", b"[1]", b"{oops", b"\xff\xfe", b'{"a":' * 100_000, b"[" * 10**6,
                          damaged(rng, text), json.dumps(anything(rng)).encode(),
                          b'{"refused": {"what": "\x1b[31m"}}', b'{"refused": 3}',
                          b'{"refused": {"what": "\\u001b[31mno\\u0007"}}',
                          b'{"missing": {"what": ["x"]}}', b"9" * 5000))  # fmt: skip
        done.append(f"reply.json {text[:30]!r}")
    members = {f"{k}.npy": npy(v) for k, v in arrays.items()} | raw
    how = zipfile.ZIP_DEFLATED if chance(rng, 0.1) else zipfile.ZIP_STORED
    data = zipped(members, how)
    if chance(rng, 0.08):
        data = damaged(rng, data)
        done.append("bytes of arrays.npz")
    box.put("reply/reply.json", text)
    if arrays or raw:
        box.put("reply/arrays.npz", data)
    return _case(words, f"{engine}, {sample.name}: {'; '.join(done) or 'sound'}",
                 COPY.format(shlex.quote(str(box.folder))))  # fmt: skip


def _case(words: tuple[str, ...], about: str, action: str) -> Case:
    refusals = frozenset({1, USAGE, TARGET, MISSING})
    return Case(words, about, refusals, frozenset({1}), reply=action,
                environ={"NRF_DEPLOY_TIMEOUT": "30" if "sleep" not in action else "1"})  # fmt: skip


def _subject(box: Box) -> tuple[Sample, str]:
    rng = box.rng
    engine = pick(rng, ("lava", "lava", "sinabs", "sinabs", "samna"))
    names = {"lava": "loihi2", "sinabs": "speck2b", "samna": "speck2b"}
    suiting = [s for s in box.samples.compiled if s.name.endswith(f"@{names[engine]}")]
    return pick(rng, suiting), engine


def _call(box: Box, sample: Sample, engine: str) -> tuple[tuple[str, ...], bool]:
    """Return the words, and whether states are recorded."""
    bundle = box.put("b.nrfb", sample.bundle.read_bytes())
    if engine == "samna":
        more = pick(box.rng, (("--dry-run",), ("--dry-run", "--image", "out/x.img"), ()))
        return ("flash", bundle, *more), False
    pair = (bundle, "--input", box.put("in.npz", sample.recording.read_bytes()))
    if chance(box.rng, 0.5):
        states = chance(box.rng, 0.5)
        more = ("--states",) if states else ()
        return ("run", *pair, "--engine", engine, "-o", "out/o.npz", *more), states
    return ("verify", *pair, "--against", engine), True


# --- a sound reply ----------------------------------------------------------------


def _sound(
    sample: Sample, engine: str, words: tuple[str, ...], states: bool, rng: Rng
) -> tuple[Any, Arrays]:
    """Return the sound reply, computed by the plain emulator."""
    if engine == "samna":
        rows = np.stack([rng.integers(0, 5, 9) for _ in range(5)], axis=1)
        if "--dry-run" not in words:
            return {"boards": ["speck2bDevKit:1"]}, {"read": np.arange(9)}
        return {}, {"words": rng.integers(0, 2**20, 40).astype(np.uint64), "writes": rows}
    import nrf_deploy as nd
    from nrf_deploy.bundle import pipeline
    from nrf_deploy.bundle.inputs import recording_for
    from nrf_deploy.engines.emulator import golden

    bundle = nd.load(sample.bundle)
    given, _ = recording_for(bundle.network, sample.recording)
    program = bundle.program
    names = [p.name for p in program.populations]
    rules: Any = pipeline.target_of(bundle).arithmetics[
        "loihi" if engine == "lava" else "speck.steps"
    ]
    trace = golden.run(program, rules, given, names, names, given.steps + program.latency)
    asked = list(program.outputs) if words[0] == "run" else names
    reply: Any = {} if engine == "lava" else {"answers": [{}]}
    arrays: Arrays = {}
    for number, name in enumerate(names):
        key = f"0/{name}" if engine == "lava" else f"0/{number}"
        if name in asked:
            out = trace.outputs[name]
            arrays |= {f"{key}/output/{part}": getattr(out, part)
                       for part in ("step", "index", "value")}  # fmt: skip
            if states:
                arrays |= {f"{key}/{v}": x for v, x in trace.states[name].items()}
    return reply, arrays


def _edit(rng: Rng, arrays: Arrays, raw: dict[str, bytes], reply: Any) -> str:
    if not arrays or chance(rng, 0.15):
        reply[pick(rng, ("answers", "tree", "verdicts", "boards", *TEXTS))] = anything(rng)
        return "a field of reply.json"
    name = pick(rng, sorted(arrays))
    match int(rng.integers(9)):
        case 0:
            del arrays[name]
            return f"{name} deleted"
        case 1:
            arrays[pick(rng, ("x", "0/x", "1/hidden/output/step"))] = np.arange(3)
            return "a foreign array"
        case 2:
            del arrays[name]
            raw[f"{name}.npy"] = pick(rng, (pickled(), b"", npy(np.array(["a"]))))
            return f"{name} is not an array of numbers"
        case 3 if arrays[name].size:
            arrays[name] = arrays[name].astype(float) + pick(rng, (0.5, np.nan, np.inf))
            return f"{name} of fractions"
        case 4:
            value = integer(rng) % 2**62
            held = arrays[name].astype(np.int64)
            arrays[name] = np.append(held.reshape(-1), value)
            return f"{name} ends in {value}"
        case 5:
            arrays[name] = np.arange(5) - 2
            return f"{name} of five"
    arrays[name], what = array(rng, arrays[name])
    return f"{name}: {what}"


FAMILIES = (
    Family("reply", "arrays and JSON of a worker's reply", odd_replies, 750, 24),
    Family("worker", "workers that misbehave", misbehaves, 150, 4),
)
