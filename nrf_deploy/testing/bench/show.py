"""Text of a measurement."""

from __future__ import annotations

from .measure import Measured


def seconds_text(seconds: float) -> str:
    if seconds < 0.9995:
        return f"{1000 * seconds:.3g} ms"
    return f"{seconds:.3g} s"


def ratio_text(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 9.95 else f"{ratio:,.0f}"


def measured_text(m: Measured) -> str:
    ends = f"{seconds_text(m.seconds.least)} to {seconds_text(m.seconds.most)}"
    known = {None: "", True: " (as published)", False: " (NOT what was published)"}
    lines = [
        m.case,
        f"  network          {m.neurons:,} neurons, {m.steps:,} steps",
        f"  firings          {m.firings:,}{known[m.published]}",
        f"  synaptic events  {m.synaptic_events:,}",
        f"  time             {seconds_text(m.seconds.middle)} (of {m.repeats} runs: {ends})",
        f"  a second         {m.synaptic_events / m.seconds.middle:.3g} synaptic events",
    ]
    if m.against:
        lines.append("  peer           steps   its time    times ours (least, most)  agrees in")
    for a in m.against:
        spread = f"{ratio_text(a.ratio.least)}, {ratio_text(a.ratio.most)}"
        lines.append(
            f"  {a.peer:<12} {a.steps:>7,}   {seconds_text(a.seconds.middle):>8}"
            f"    {ratio_text(a.ratio.middle):>7} ({spread})".ljust(61)
            + f"  {a.agrees}"
        )
    lines += [f"  {peer}: not run: {why}" for peer, why in m.missing.items()]
    return "\n".join(lines) + "\n"
