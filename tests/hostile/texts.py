"""Small texts: TOML of limits, schemes and machines, CSV of labels, options of every verb."""

from __future__ import annotations

import json
from typing import Any

from .case import INPUT, MISSING, TARGET, USAGE, Box, Case, Family
from .values import TEXTS, Rng, anything, chance, damaged, integer, number, pick

LIMITS: dict[str, Any] = {
    "exact": False, "spike_count_error": 0.1, "value_error": 0.1, "mismatches": 0.5,
    "victor_purpura": 0.5, "van_rossum": 0.5, "cosine": 0.5,
    "layers": {"hidden": {"cosine": 0.2}, "last": {"exact": False}},
}  # fmt: skip
SCHEME: dict[str, Any] = {
    "error": "weights", "method": "fit", "decay": "nearest", "weight_bits": 8,
    "per_channel": True,
    "layers": {"w": {"weight_bits": 6, "gain": 127.5}, "v": {"method": "max", "exponent": 0}},
}  # fmt: skip
MACHINE: dict[str, Any] = {
    "base": "emulator", "about": "mine", "weight_bits": 8, "decay_bits": 12, "state_bits": 24,
    "threshold_bits": 20, "sum_bits": 24, "message_bits": 16, "fraction_bits": 6,
    "rounding": "zero", "message_rounding": "nearest", "overflow": "wrap", "reset": "both",
    "leak": "exponential", "fires": "both", "latency": 0, "neurons": 100, "weights": 1000,
    "memory_bytes": 10_000, "longest_delay": 5,
}  # fmt: skip
CHOSEN = ("zero", "floor", "nearest", "wrap", "saturate", "both", "above", "at", "subtractive",
          "exponential", "spikes", "weights", "fit", "max", "anchored")  # fmt: skip


def toml(held: dict[str, Any], at: str = "") -> str:
    """Write a value as TOML; a value without a form in TOML is written as is."""
    flat = [f"{_key(k)} = {_word(v)}" for k, v in held.items() if not isinstance(v, dict)]
    inner = [(f"{at}.{_key(k)}" if at else _key(k), v) for k, v in held.items()
             if isinstance(v, dict)]  # fmt: skip
    return "\n".join([*flat, *(f"[{name}]\n{toml(v, name)}" for name, v in inner)]) + "\n"


def _key(key: str) -> str:
    return key if key.isidentifier() and key.isascii() else json.dumps(key)


def _word(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) if "\ud800" not in value else '"?"'
    if isinstance(value, list):
        return f"[{', '.join(map(_word, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k)} = {_word(v)}" for k, v in value.items()) + "}"
    return {True: "true", False: "false", None: "nan"}.get(value, str(value)) if (
        value is None or isinstance(value, bool)) else str(value)  # fmt: skip


RAW = (
    "cosine = 1" + "0" * 400, "x = " + "9" * 5000, "x = " + "[" * 3000, "x." * 20_000 + "y = 1",
    "gain = 1" + "0" * 400, "x = 1e999999", "x = 0x" + "f" * 3000, "x = 1979-05-27T07:32:00Z",
    "[[layers]]\nx = 1", "layers = 3", "base = []", "base = {}", 'base = "x"', "a = 1\na = 2",
    "[a]\n[a]", "\x00", "\ufeffx = 1", "x = '''" + "A" * 70_000 + "'''", "'" + "B" * 3000 + "' = 1",
    "[" + "a." * 50 + "b]", "x = {" * 500, "x = nan", "x = -inf", "weight_bits = 8.0",
    "weight_bits = true", "[layers.'']\ngain = 1", '[layers."\\u0000"]\ngain = 1',
    "x = [" + "1," * 30_000 + "]", "# " + "c" * 70_000, "\r", "x = \"\\ud800\"",
)  # fmt: skip


def toml_files(box: Box) -> Case:
    """Write limits, a scheme or a machine with values of another kind, size or name."""
    rng = box.rng
    kind = pick(rng, ("limits", "scheme", "machine"))
    table = {"limits": LIMITS, "scheme": SCHEME, "machine": MACHINE}[kind]
    held = {k: dict(v) if isinstance(v, dict) else v for k, v in table.items()}
    done = []
    for _ in range(int(pick(rng, (1, 1, 2, 4)))):
        place = held
        if kind != "machine" and chance(rng, 0.4) and isinstance(held.get("layers"), dict):
            inner = [v for v in held["layers"].values() if isinstance(v, dict)]
            place = pick(rng, inner) if inner and chance(rng, 0.7) else held["layers"]
        key = pick(rng, (*place, "x", *TEXTS)) if chance(rng, 0.3) else pick(rng, (*place, "x"))
        if key in place and chance(rng, 0.2):
            del place[key]
        else:
            place[key] = _value(rng, place.get(key))
        done.append(f"{key} = {place.get(key)!r:.40}")
    text = toml(held)
    if chance(rng, 0.2):
        text += pick(rng, RAW) + "\n"
    elif chance(rng, 0.15):
        text = pick(rng, RAW) + "\n"
    data = text.encode("utf-8", "surrogatepass")
    if chance(rng, 0.2):
        data = damaged(rng, data)
    return _toml_case(box, kind, data, f"{kind}: {'; '.join(done)}")


def _value(rng: Rng, old: Any) -> Any:
    match int(rng.integers(6)):
        case 0:
            return integer(rng, old if isinstance(old, int) else None)
        case 1:
            return number(rng)
        case 2:
            return pick(rng, (*CHOSEN, *TEXTS))
        case 3:
            return anything(rng)
        case 4:
            return int(rng.integers(0, 34))
    return chance(rng, 0.5)


def _toml_case(box: Box, kind: str, data: bytes, about: str) -> Case:
    rng = box.rng
    refusals = frozenset({USAGE, INPUT, TARGET})
    plain = box.samples.plain
    if kind == "limits":
        bundle = box.put("plain.nrfb", plain.bundle.read_bytes())
        recording = box.put("in.npz", plain.recording.read_bytes())
        words = ("verify", bundle, "--input", recording, "--limits", box.put("l.toml", data))
        return Case((*words, "--report", "out/r.json"), about, frozenset({1, USAGE, INPUT}),
                    frozenset({1}))  # fmt: skip
    model = box.put("m.nir", (box.samples.root / "bundles" / "small.nir").read_bytes())
    if kind == "scheme":
        chip = pick(rng, ("loihi2", "emulator", "loihi1"))
        words = ("compile", model, "--target", chip, "--scheme", box.put("s.toml", data))
        if chance(rng, 0.3):
            words = (*words, "--calibrate", box.put("in.npz", plain.recording.read_bytes()))
        return Case((*words, "-o", "out/b.nrfb"), about, refusals)
    machine = box.put("chip.toml", data)
    if chance(rng, 0.5):
        return Case(("check", model, "--target", machine), about, refusals)
    return Case(("compile", model, "--target", machine, "-o", "out/b.nrfb"), about, refusals)


# --- labels ---------------------------------------------------------------------

CELLS = (
    *TEXTS, "1e400", "-0", "0x10", "1_000", "९", "inf", "nan", "1e5", "99999999999999999999",
    "9" * 5000, '"', '"a', 'a"b', "\r", "a\rb", "Q" * 140_000, "step", "class",
)  # fmt: skip


def labels(box: Box) -> Case:
    """Write cells, columns and quotes of a file of labels."""
    rng = box.rng
    form = pick(rng, ("class", "step", "t", "two"))
    head = {"class": ["class"], "step": ["step", "x", "y"], "t": ["t", "x", "y"],
            "two": ["step", "x0", "y0", "x1", "y1"]}[form]  # fmt: skip
    rows = [head]
    for k in range(1 if form == "class" else 6):
        rows.append(["1"] if form == "class" else [str(k * 3), *["1.5"] * (len(head) - 1)])
    done = []
    for _ in range(int(rng.integers(1, 4))):
        plain = ("2", "0", "31.5", " 4", "1e1", "60", str(integer(rng)), str(number(rng)))
        row, cell = pick(rng, rows), pick(rng, plain if chance(rng, 0.6) else CELLS)
        if row and chance(rng, 0.75):
            row[int(rng.integers(len(row)))] = cell
        elif chance(rng, 0.5):
            row.append(cell)
        else:
            rows.insert(int(rng.integers(len(rows))), [])
        done.append(repr(cell)[:30])
    text = pick(rng, ("\n", "\n", "\r\n", "\r", "\n\n")).join(",".join(row) for row in rows)
    data = text.encode("utf-8", "surrogatepass")
    if chance(rng, 0.15):
        data = damaged(rng, data)
    plain = box.samples.plain
    bundle = box.put("plain.nrfb", plain.bundle.read_bytes())
    recording = box.put("in.npz", plain.recording.read_bytes())
    words = ("verify", bundle, "--input", recording, "--labels", box.put("l.csv", data))
    return Case((*words, "--report", "out/r.html"), f"{form}: {', '.join(done)}",
                frozenset({1, USAGE, INPUT}), frozenset({1}), ("out/r.html",))  # fmt: skip


# --- options --------------------------------------------------------------------

NUMBERS = (
    "0", "-1", "1", "2", "3", "1e-3", "1e300", "1e-300", "1e400", "-1e300", "nan", "inf", "-inf",
    "0x10", "1_0", "1e3", "٣", "4" * 40, "9" * 5000, "", " ", "1.5", "1e9", "1e18", "-0",
    str(2**31), str(2**63), str(2**62), "1e-9", "5e-324", "1e-6", "0.1",
)  # fmt: skip
WINDOWS = ("0,0,5,4", "0,0,0,0", "-1,0,5,4", "4,3,1,1", "9" * 40 + ",0,1,1",
           "0,0," + "9" * 40 + ",4", "0,0,1", "a,b,c,d", "0,0,5,4,5", f"{2**62},0,4,4",
           "0,0,70000,70000")  # fmt: skip
OPTIONS: dict[str, tuple[str, ...]] = {
    "--bin": NUMBERS, "--clip": NUMBERS, "--crop": WINDOWS, "--downsample": NUMBERS,
    "--from": NUMBERS, "--until": NUMBERS, "--merge": ("polarity", "all", "x", ""),
    "--layer": ("hidden", "last", "x", *TEXTS), "--engine": ("emulator", "reference", "x", *TEXTS),
    "--against": ("reference", "emulator", "x", *TEXTS), "--behind": NUMBERS, "--limit": NUMBERS,
    "--decay": ("euler", "exact", "x"), "--dt": NUMBERS, "--tick": NUMBERS, "--device": TEXTS,
    "--allow": ("linear-leak", "subtract-as-zero-reset", *TEXTS), "--target": (
        "loihi2", "emulator", "emulator:", "emulator:weight_bits=99", "emulator:x=1", "loihi2:x=1",
        "emulator:weight_bits=" + "9" * 5000, "emulator:" + "," * 300, *TEXTS),
    "--case": ("loihi.threshold", "x", *TEXTS), "--kit": ("in", "nowhere", *TEXTS),
    "--states": (), "--json": (), "--exact": (), "--cores": (), "--dry-run": (), "--attribute": (),
    "--repeats": NUMBERS, "--x": ("1",), "-o": ("out/x.npz", "out/x.nrfb", "in/plain.nrfb", ".",
        "out/no/x.npz", "/dev/null", "", "out/" + "n" * 300 + ".npz", "out/a\x1bb.npz"),
    "--report": ("out/r.html", "out/r.json", "out/r.txt", "in/in.npz"),
    "--junit": ("out/j.xml", "out/r.html", "in/l.toml"), "--image": ("out/i.img", "out/i.nrfb"),
    "--bisect": ("out/small", "in/plain"), "--limits": ("in/l.toml", "in/in.npz", "nowhere"),
    "--labels": ("in/l.csv", "in/in.npz"), "--scheme": ("in/s.toml", "in/in.npz"),
    "--calibrate": ("in/in.npz", "in/events.csv", "in/plain.nrfb"),
    "--origin": ("zero", "first", "x"),
    "--reset": ("value", "subtract", "hidden=value", "=value", "hidden=", "no=value", "x", *TEXTS),
    "--fires": ("above", "at", "last=at", "a=b=at", "x"), "--producer": ("nir", "x", *TEXTS),
    "--per-step": ("one", "many", "many:3", "many:0", "many:" + "9" * 5000, "hidden=many:x", "x"),
    "--floor": ("-1", "none", "nan", "-inf", "1e999", "hidden=-0.5", "x"),
    "--refractory": ("2", "none", "0", "-1", "9" * 5000, "last=1", "1.5", "x"),
}  # fmt: skip


def options(box: Box) -> Case:
    """Draw one to three options of a command with hostile values; the files are sound."""
    rng = box.rng
    plain = box.samples.plain
    box.put("plain.nrfb", plain.bundle.read_bytes())
    box.put("camera.nrfb", box.samples.camera.bundle.read_bytes())
    box.put("in.npz", plain.recording.read_bytes())
    box.put("m.nir", (box.samples.root / "bundles" / "small.nir").read_bytes())
    rows = "".join(f"{k * 700},{k % 5},{k % 4},{k % 2}\n" for k in range(60))
    box.put("events.csv", f"t,x,y,p\n{rows}".encode())
    box.put("l.toml", b"cosine = 0.5\n")
    box.put("s.toml", b"weight_bits = 8\n")
    box.put("l.csv", b"class\n1\n")
    camera = ("in/camera.nrfb", "--input", "in/events.csv", "--bin", "1e-3")
    steps = ("in/plain.nrfb", "--input", "in/in.npz")
    verbs: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
        (("run", *camera, "-o", "out/o.npz"), ("--layer", "--engine", "--states", "--decay")),
        (("run", *steps, "-o", "out/o.npz"), ("--layer", "--engine", "--states", "--decay")),
        (("verify", *camera), ("--against", "--layer", "--behind", "--limit", "--report")),
        (("verify", *steps), ("--against", "--layer", "--behind", "--limit", "--exact",
                              "--report", "--junit", "--bisect", "--limits", "--labels")),
        (("inspect", "in/events.csv"), ("--cores", "--dt")),
        (("inspect", "in/plain.nrfb"), ("--cores", "--dt")),
        (("check", "in/m.nir", "--target", "loihi2"), ("--allow", "--dt", "--scheme")),
        (("compile", "in/m.nir", "--target", "emulator", "-o", "out/b.nrfb"),
         ("--allow", "--dt", "--scheme", "--calibrate")),
        (("flash", "in/plain.nrfb", "--dry-run"), ("--image", "--device", "--tick")),
        (("conformance", "--target", "loihi2", "--case", "loihi.threshold"),
         ("--kit", "--engine", "--junit")),
        (("targets",), ()),
        (("export", "in/m.nir", "--target", "loihi2", "--as", "lava", "out/lava"), ("--dt",)),
    )  # fmt: skip
    words, own = pick(rng, verbs)
    reading = ("--bin", "--clip", "--crop", "--downsample", "--from", "--until", "--merge",
               "--origin")  # fmt: skip
    held = list(words)
    for _ in range(int(pick(rng, (1, 1, 2, 3)))):
        option = pick(rng, (*own, *reading)) if chance(rng, 0.85) else pick(rng, tuple(OPTIONS))
        if option in held and OPTIONS[option]:  # a second one is another kind of mistake
            held[held.index(option) + 1] = pick(rng, OPTIONS[option])
            continue
        held += [option, pick(rng, OPTIONS[option])] if OPTIONS[option] else [option]
    if chance(rng, 0.1):
        held[int(rng.integers(len(held)))] = pick(rng, (*TEXTS, "--help", "in", "nowhere"))
    held = [w.encode("utf-8", "replace").decode().replace("\x00", "") for w in held]
    refusals = frozenset({1, USAGE, INPUT, TARGET, MISSING})
    pages = tuple(w for w in held if w.startswith("out/") and w.endswith((".html", ".xml")))
    return Case(tuple(held), "options", refusals, frozenset({1}), pages)


FAMILIES = (
    Family("toml", "limits, schemes, machines", toml_files, 1200, 42),
    Family("labels", "CSV of labels", labels, 350, 12),
    Family("options", "options of the command line", options, 1000, 36),
)
