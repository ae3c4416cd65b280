"""How images differ from what is published in; a table, Markdown for a pull request, or JSON out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from buildx_tasks import sizes
from buildx_tasks.images.differences import growth_text
from buildx_tasks.reports import markdown
from buildx_tasks.reports.tables import print_table
from buildx_tasks.text import json_text, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildx_tasks.images.differences import Difference

HEADINGS = ("target", "platform", "size", "published", "difference", "digest")
_RIGHT = "size published difference"


def row(one: Difference) -> tuple[str, ...]:
    """Return a platform's row under :data:`HEADINGS`; nothing is escaped yet."""
    return (
        one.target,
        str(one.platform),
        _size(one.size, there=bool(one.digest)),
        _size(one.published_size, there=bool(one.published_digest)),
        growth_text(one),
        _verdict(one),
    )


def print_differences(found: Sequence[Difference], kind: str, *, full: bool = False) -> None:
    """Print a table, Markdown, or JSON."""
    if kind == "markdown":
        print(as_markdown(found), end="", flush=True)
    elif kind == "json":
        print(json_text(data(found)), end="", flush=True)
    else:
        print_table(HEADINGS, [row(one) for one in found], full=full)
        for line in lines(found):
            print(printable(line), flush=True)


def lines(found: Sequence[Difference]) -> Iterator[str]:
    """Yield what stands below the table: what each target is compared with, or why with nothing."""
    for target, reference, why in _compared_with(found):
        yield f"{target}: compared with {reference}" if reference else f"{target}: {why}"


def as_markdown(found: Sequence[Difference]) -> str:
    """Return a table for a pull request, and below it what each target is compared with."""
    rows = (
        (markdown.code(target), markdown.code(platform), *map(markdown.plain, others))
        for target, platform, *others in map(row, found)
    )
    below = [
        f"{markdown.code(target)}: compared with {markdown.code(reference)}"
        if reference
        else f"{markdown.code(target)}: {markdown.plain(why)}"
        for target, reference, why in _compared_with(found)
    ]
    table = markdown.table(HEADINGS, rows, _RIGHT)
    return "\n".join([*table, "", "<br>\n".join(below), ""])


def data(found: Sequence[Difference]) -> list[dict[str, Any]]:
    """Return plain data: one object for each platform, sizes in bytes, null where not known."""
    return [
        {
            "id": one.id,
            "target": one.target,
            "platform": str(one.platform),
            "size": one.size,
            "published": one.published_size,
            "difference": one.growth,
            "digest": one.digest,
            "published_digest": one.published_digest,
            "same": one.is_same,
            "reference": one.reference,
            "remark": printable(one.remark),
        }
        for one in found
    ]


def _compared_with(found: Sequence[Difference]) -> Iterator[tuple[str, str, str]]:
    for one in {one.target: one for one in found}.values():
        yield one.target, one.reference, one.remark


def _size(size: int | None, *, there: bool) -> str:
    if size is None:
        return "not known" if there else ""
    return sizes.text(size)


def _verdict(one: Difference) -> str:
    if one.is_fault:
        return "not known"
    if one.remark:
        return one.remark
    return "same" if one.is_same else "changed"
