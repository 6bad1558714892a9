"""Small charts of bars in groups, as SVG."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

COLOURS = ("#9aa5b1", "#c8553d", "#1b6ca8", "#588157", "#7b4b94", "#d9a441", "#5f9ea0", "#8d6b5e")
WIDTH, LEFT, RIGHT, BAR, TOP = 640, 210, 76, 13, 40

Groups = Mapping[str, Mapping[str, float]]
"""Shares by group and bar; a bar has the same colour in every group."""


def bars(title: str, groups: Groups) -> str:
    """Draw horizontal bars, each with its number in per cent."""
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    largest = max((x for group in groups.values() for x in group.values()), default=0.0) or 1.0
    parts, y = [_text(0, 20, title, size=14, weight="bold")], TOP
    for group, shares in groups.items():
        parts.append(_text(0, y + 11, group, weight="bold"))
        y += BAR + 5
        for name, share in shares.items():
            long = max(share / largest * (WIDTH - LEFT - RIGHT), 0.5)
            colour = COLOURS[names.index(name) % len(COLOURS)]
            parts.append(_text(12, y + 11, name))
            parts.append(
                f'<rect x="{LEFT}" y="{y}" width="{long:.1f}" height="{BAR}" fill="{colour}"/>'
            )
            parts.append(_text(LEFT + long + 6, y + 11, f"{share:.2%}"))
            y += BAR + 3
        y += 9
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" '
        'font-family="sans-serif">'
    )
    ground = f'<rect width="{WIDTH}" height="{y}" fill="white"/>'
    return "\n".join([head, ground, *parts, "</svg>", ""])


def _text(x: float, y: float, words: str, size: int = 12, weight: str = "normal") -> str:
    style = f'font-size="{size}" font-weight="{weight}" fill="#333333"'
    return f'<text x="{x:.1f}" y="{y}" {style}>{escape(words)}</text>'
