"""The page docs/performance.md, written from the stored measurements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import Any

from picture import picture

from nrf_deploy.testing.bench.measure import ratio_text, seconds_text

Found = Mapping[str, Any]
LOOP = "C loop"


def document(measured: Found) -> str:
    parts = [
        *_head(measured),
        *_table(measured),
        *_batches(measured),
        *_limit(measured),
        *_peers(measured),
        *_curves(measured),
        *_method(),
    ]
    return "\n".join(parts) + "\n"


def paragraph(text: str) -> str:
    return "\n".join(wrap(text, 96, break_long_words=False))


def _head(measured: Found) -> Iterator[str]:
    m = measured["machine"]
    yield "# How fast it is"
    yield ""
    yield paragraph(
        "Written by `make bench` (benchmarks/report.py); no figure here was typed by hand."
    )
    yield ""
    yield f"**Measured** {measured['date']}. {measured['note']}".rstrip()
    yield ""
    yield paragraph(
        f"**Machine** {m['cpu']}, {m['cores']} cores, {m['memory_gb']:.0f} GB; {m['caches']}; "
        f"{m['system']}. One core of it adds {m['adds_a_second']:.3g} times a second (16 "
        f"bits, in the first cache) and moves {m['bytes_a_second'] / 1e9:.3g} GB a second "
        "through memory."
    )
    yield ""


def _table(measured: Found) -> Iterator[str]:
    yield "## The emulator and its peers"
    yield ""
    yield paragraph(
        "One thread of the emulator. *Times ours* is how much longer the other takes for the "
        "same steps of the same input: middle (least, most) of the rounds. Where an answer "
        "can be compared it was, before anything was timed."
    )
    yield ""
    for case in measured["cases"]:
        yield f"### {case['case']}: {measured['about'][case['case']]}"
        yield ""
        yield _sentence(case)
        if case.get("apart"):
            yield "Measured on its own, after the others."
        yield ""
        if case["against"]:
            yield "| | steps | its time | times ours | agrees in |"
            yield "|---|---|---|---|---|"
        for a in case["against"]:
            r = a["ratio"]
            spread = f"{ratio_text(r['least'])}, {ratio_text(r['most'])}"
            if r["least"] <= 0:
                yield f"| {a['peer']} | {a['steps']:,} | lost in its start | | {a['agrees']} |"
                continue
            yield (
                f"| {a['peer']} | {a['steps']:,} | {seconds_text(a['seconds']['middle'])} "
                f"| **{ratio_text(r['middle'])}** ({spread}) | {a['agrees']} |"
            )
        yield ""
        for peer, why in case["missing"].items():
            yield f"Not run: {peer}: {why}."
        yield ""
    for case, why in measured["lacking"].items():
        yield f"Not measured: {case}: {why}."
        yield ""


def _sentence(case: Found) -> str:
    s = case["spread"]
    ends = f"{seconds_text(s['least'])} to {seconds_text(s['most'])}"
    published = {None: "", True: ", as published", False: ", NOT as published"}[case["published"]]
    return (
        f"{case['neurons']:,} neurons, {case['steps']:,} steps, {case['firings']:,} firings"
        f"{published}, {case['synaptic_events']:,} synaptic events. The emulator takes "
        f"**{seconds_text(s['middle'])}** ({ends} in {case['repeats']} runs): "
        f"{case['synaptic_events'] / s['middle']:.3g} synaptic events and "
        f"{case['neurons'] * case['steps'] / s['middle']:.3g} neuron updates a second. "
        f"The first run, planning and (with a cold cache) compiling included, took "
        f"{seconds_text(case['first_s'])}."
    )


def _batches(measured: Found) -> Iterator[str]:
    yield "## A second thread"
    yield ""
    yield paragraph(
        "Recordings side by side on one engine (`run_batch`), one thread and then two, in "
        "rounds; the gain is taken within a round: middle (least, most). The two cores share "
        "a cache and a memory, and other guests of the host can take from either."
    )
    yield ""
    yield "| case | recordings | one thread | two threads | gain |"
    yield "|---|---|---|---|---|"
    for b in measured["batches"]:
        middle, least, largest = b["gain"]
        times = " | ".join(seconds_text(b[threads]) for threads in ("one", "two"))
        gain = f"**{middle:.2f}** ({least:.2f}, {largest:.2f})"
        yield f"| {b['case']} | {b['recordings']} | {times} | {gain} |"
    yield ""


def _limit(measured: Found) -> Iterator[str]:
    m = measured["machine"]
    yield "## What the limit is"
    yield ""
    yield "![roofline](performance/roofline.svg)"
    yield ""
    yield paragraph(
        "A synaptic event is one addition; no core adds faster than the flat roof. A neuron "
        "update reads and writes a potential and a sum; if they come from memory in every "
        "step, the slope is the limit. A point above the slope had its states in a cache, or "
        "at rest. What lies between a case and the roof is neuron updates, and events whose "
        "rows of weights are too short to fill a vector. The C loop says what plain code "
        "makes of the machine."
    )
    yield ""
    yield "| case | additions a byte of state | reached of the roof | C loop / emulator |"
    yield "|---|---|---|---|"
    for case in measured["cases"]:
        x = case["synaptic_events"] / case["state_bytes"]
        roof = min(m["adds_a_second"], x * m["bytes_a_second"])
        speed = case["synaptic_events"] / case["spread"]["middle"]
        loop = [ratio_text(a["ratio"]["middle"]) for a in case["against"] if a["peer"] == LOOP]
        yield f"| {case['case']} | {x:.2g} | {100 * speed / roof:.3g} % | {', '.join(loop)} |"
    yield ""
    yield "More than 100 %: the states did not travel through memory, or rested."
    yield ""


def _peers(measured: Found) -> Iterator[str]:
    yield "## Who the peers are"
    yield ""
    for name, about in measured["peers"].items():
        yield f"- **{name}**: {about}"
    yield ""
    yield paragraph(
        "What can be compared: the C loop, scipy, nengo-loihi's emulator and Lava must give "
        "every spike of every layer. Sinabs has no step of delay between layers: its layer k "
        "is compared k steps later; its leak is a float, so it takes no case that has one. "
        "SANA-FE gives the number of its firings, which is also what it publishes."
    )
    yield ""


def _curves(measured: Found) -> Iterator[str]:
    yield "## How time and memory grow"
    yield ""
    for curve in measured["curves"]:
        yield f"### {curve['name']}"
        yield ""
        yield f"{curve['about'].capitalize()}."
        yield ""
        yield f"![{curve['name']}](performance/{curve['name']}.svg)"
        yield ""
        names = list(curve["lines"])
        yield f"| {curve['x']} | {' | '.join(n + ', ' + curve['y'] for n in names)} |"
        yield "|" + "---|" * (1 + len(names))
        for row in zip(*curve["lines"].values(), strict=True):
            yield f"| {row[0][0]:,g} | {' | '.join(f'{y:.3g}' for _, y in row)} |"
        yield ""


def _method() -> Iterator[str]:
    yield "## How it is measured"
    yield ""
    yield paragraph(
        "Each case runs on the emulator several times, from the initial state and without "
        "recording; its time is the median. Then, in rounds, each peer runs once, "
        "right after the emulator on the same steps; a ratio is taken within "
        "its round, so that a slow moment of the machine counts for both. Building a network "
        "is not part of any time. Lava's time is that of a whole call less that of a "
        "call of one step. Where a round's "
        "difference is not above 0, its time is lost in the noise of its start. "
        "Slow peers get only the first steps, as the tables say."
    )
    yield ""
    yield paragraph(
        "Again: `make bench`, or one case: `nrf-deploy bench yardstick --peers --install`."
    )


def pictures(measured: Found) -> dict[str, str]:
    drawn = {"roofline": _roofline(measured)}
    for c in measured["curves"]:
        lines = {name: [(x, y) for x, y in points] for name, points in c["lines"].items()}
        drawn[c["name"]] = picture(c["about"].capitalize(), c["x"], c["y"], lines)
    return drawn


def _roofline(measured: Found) -> str:
    m = measured["machine"]
    ours, loops, names = [], [], []
    for case in measured["cases"]:
        x = case["synaptic_events"] / case["state_bytes"]
        y = case["synaptic_events"] / case["spread"]["middle"]
        ours.append((x, y))
        names.append((x, y, case["case"]))
        loops += [
            (x, case["synaptic_events"] / a["seconds"]["middle"])
            for a in case["against"]
            if a["peer"] == LOOP
        ]
    ridge = m["adds_a_second"] / m["bytes_a_second"]
    low, high = min(x for x, _ in ours) / 2, max(ridge * 2, *(2 * x for x, _ in ours))
    roof = [(low, low * m["bytes_a_second"]), (ridge, m["adds_a_second"])]
    roof.append((high, m["adds_a_second"]))
    return picture(
        "What one core can do, and what is reached",
        "synaptic additions a byte of state",
        "synaptic additions a second",
        {"the machine's roof": roof},
        {"emulator": ours, "C loop": loops},
        names,
    )
