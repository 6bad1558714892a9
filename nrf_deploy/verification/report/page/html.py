"""Elements of HTML and SVG as text, in which no text of a file is markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from nrf_deploy.diagnostics.text import printable, shorten

VOID = frozenset({"br", "img", "meta", "wbr"})
NAME = 60
"""Length above which a name is shortened in the middle: its ends distinguish it."""


class Markup(str):
    """Text that is HTML. Any other text is escaped when it is put into an element."""

    __slots__ = ()


Child = object  # Markup, text, a number, None (nothing), or an iterable of these


def tag(element: str, /, *children: Child, **attributes: object) -> Markup:
    """Return <element attributes>children</element>.

    An attribute that is None or False is left out, one that is True has no value. A trailing
    underscore is removed (`class_`), others become hyphens (`stroke_width`, `aria_label`).
    """
    pairs = "".join(_attribute(k, v) for k, v in attributes.items() if v is not None)
    if element in VOID:
        return Markup(f"<{element}{pairs}>")
    return Markup(f"<{element}{pairs}>{join(children)}</{element}>")


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
    raise TypeError(f"a child is {type(child).__name__}; expected text, a number or a list")


def _attribute(key: str, value: object) -> str:
    name = key.rstrip("_").replace("_", "-")
    if isinstance(value, bool):
        return f" {name}" if value else ""
    return f' {name}="{escape(printable(_attribute_text(value)))}"'


def _attribute_text(value: object) -> str:
    """Return an attribute's value; coordinates to a hundredth, the same on every machine."""
    return f"{round(value, 2):g}" if isinstance(value, float) else str(value)


def name(text: str, limit: int = NAME) -> str:
    """Return a name from a file as printable text for one line."""
    return shorten(printable(text), limit)


def table(
    caption: str,
    header: Sequence[str],
    rows: Iterable[Sequence[Child]],
    align: str,
    *,
    foot: Sequence[Child] | None = None,
) -> Markup:
    """Return a table that scrolls separately; a row begins with its name; `align` as in text.py."""
    sides = [None if a == "l" else "n" for a in align]
    heads = [tag("th", h, scope="col", class_=s) for h, s in zip(header, sides, strict=True)]

    def row(cells: Sequence[Child]) -> Markup:
        first, *rest = cells
        cells_of = [tag("td", c, class_=s) for c, s in zip(rest, sides[1:], strict=True)]
        return tag("tr", tag("th", first, scope="row", class_=sides[0]), cells_of)

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
    """Return a block that may be wider than a screen and scrolls, also by the keyboard."""
    return tag("div", children, class_="scroll", tabindex=0, role="region", aria_label=label)


def section(key: str, title: str, *children: Child) -> Markup:
    head = f"{key}-head"
    return tag("section", tag("h2", title, id=head), children, id=key, aria_labelledby=head)


def details(summary: str, *children: Child) -> Markup:
    return tag("details", tag("summary", summary), children)
