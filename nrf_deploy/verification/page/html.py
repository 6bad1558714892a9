"""Elements of HTML and SVG as text, in which nothing that comes from a file is markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from ...text import printable, shorten

VOID = frozenset({"br", "img", "meta", "wbr"})
NAME = 60
"""A name longer than this is shortened in the middle: both ends tell it apart."""


class Markup(str):
    """Text that is HTML already. Any other text is escaped where it is put into an element."""

    __slots__ = ()


Child = object  # Markup, text, a number, None (nothing), or an iterable of these


def tag(element: str, /, *children: Child, **attributes: object) -> Markup:
    """<element attributes>children</element>.

    An attribute that is None or False is left out, one that is True has no value. A trailing
    underscore is taken off (`class_`), others become hyphens (`stroke_width`, `aria_label`).
    """
    given = "".join(_attribute(k, v) for k, v in attributes.items() if v is not None)
    if element in VOID:
        return Markup(f"<{element}{given}>")
    return Markup(f"<{element}{given}>{join(children)}</{element}>")


def join(children: Iterable[Child]) -> Markup:
    return Markup("".join(map(_child, children)))


def _child(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str | int | float):
        return escape(printable(str(child)))
    if isinstance(child, Iterable):
        return join(child)
    raise TypeError(f"{type(child).__name__} is no content of an element")


def _attribute(key: str, value: object) -> str:
    name = key.rstrip("_").replace("_", "-")
    if isinstance(value, bool):
        return f" {name}" if value else ""
    return f' {name}="{escape(printable(_said(value)))}"'


def _said(value: object) -> str:
    """Coordinates to a hundredth: enough for a pixel, and the same on every machine."""
    return f"{round(value, 2):g}" if isinstance(value, float) else str(value)


def name(text: str, most: int = NAME) -> str:
    """A name from a file, fit for one line."""
    return shorten(printable(text), most)


def table(
    caption: str,
    header: Sequence[str],
    rows: Iterable[Sequence[Child]],
    align: str,
    *,
    foot: Sequence[Child] | None = None,
) -> Markup:
    """A table that scrolls by itself, with its first cell a row's name; `align` as in text.py."""
    sides = [None if a == "l" else "n" for a in align]
    heads = [tag("th", h, scope="col", class_=s) for h, s in zip(header, sides, strict=True)]

    def row(cells: Sequence[Child]) -> Markup:
        first, *rest = cells
        held = [tag("td", c, class_=s) for c, s in zip(rest, sides[1:], strict=True)]
        return tag("tr", tag("th", first, scope="row", class_=sides[0]), held)

    return scrolled(
        caption,
        tag(
            "table",
            tag("caption", caption),
            tag("thead", tag("tr", heads)),
            tag("tbody", map(row, rows)),
            tag("tfoot", row(foot)) if foot is not None else None,
        ),
    )


def scrolled(label: str, *children: Child) -> Markup:
    """What may be wider than a screen: it scrolls alone, by the keyboard too."""
    return tag("div", children, class_="scroll", tabindex=0, role="region", aria_label=label)


def section(key: str, title: str, *children: Child) -> Markup:
    head = f"{key}-head"
    return tag("section", tag("h2", title, id=head), children, id=key, aria_labelledby=head)


def details(summary: str, *children: Child) -> Markup:
    return tag("details", tag("summary", summary), children)
