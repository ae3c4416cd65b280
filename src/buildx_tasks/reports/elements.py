"""Elements of the page: all text in them is escaped, and shown without control characters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Union
from xml.etree import ElementTree as ET

from buildx_tasks.reports import Outcome, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildx_tasks.platforms import Platform

Child = Union[str, ET.Element, None]


def el(tag: str, /, *children: Child, **attributes: str) -> ET.Element:
    """Return an element; ``class_`` and ``aria_label`` stand for what Python cannot spell."""
    named = {name.rstrip("_").replace("_", "-"): visible(text) for name, text in attributes.items()}
    element = ET.Element(tag, named)
    for child in children:
        if isinstance(child, ET.Element):
            element.append(child)
        elif child and len(element):
            element[-1].tail = (element[-1].tail or "") + visible(child)
        elif child:
            element.text = (element.text or "") + visible(child)
    return element


def symbol(of: Outcome) -> ET.Element:
    """Return the sign of an outcome, which the page's head defines: each has a shape of its own."""
    use = el("use", href=f"#ui.{of}")
    return el("svg", use, class_=f"symbol is-{of}", aria_hidden="true")


def quiet(words: str) -> ET.Element:
    """Return text that is heard and not seen."""
    return el("span", words, class_="quiet")


def where(platform: Platform | None) -> list[Child]:
    """Return a platform as a column is called; ``index`` for the whole image."""
    if platform is None:
        return ["index"]
    system, _, machine = str(platform).partition("/")
    return [el("span", f"{system}/", class_="system"), machine]


def problems(lines: Sequence[str], most: int | None = None) -> ET.Element:
    """Return problems as a list; beyond ``most`` they are only counted."""
    items = [el("li", line) for line in lines[:most]]
    if most and len(lines) > most:
        items.append(el("li", f"and {len(lines) - most:,} more", class_="more"))
    return el("ul", *items, class_="problems")
