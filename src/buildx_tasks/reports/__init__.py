"""What a verification is handed on as: JUnit XML, Markdown for GitHub, JSON, an HTML page.

Each module turns a :class:`~buildx_tasks.verification.results.Report` into text, from its data
alone; whoever wants a file writes that text.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal, NamedTuple

from buildx_tasks.text import MISLEADING

if TYPE_CHECKING:
    from buildx_tasks.platforms import Platform
    from buildx_tasks.verification.results import CellResult, CheckStatus, Report

Outcome = Literal["ok", "FAIL", "xfail", "skip", "unchecked"]

# In the order in which counts are given; the words are what people read.
WORDS: dict[Outcome, str] = {
    "ok": "passed",
    "FAIL": "failed",
    "xfail": "known failure",
    "skip": "skipped",
    "unchecked": "unchecked",
}
UNCHECKED = "buildx.toml says nothing to expect here: add [target.NAME.verify]"

_REPLACEMENT = 0xFFFD
# Control characters become their pictures (␛, ␀); what could turn the order of a line around, and
# what neither UTF-8 nor XML holds, becomes the replacement character.
_VISIBLE = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"},
    0x7F: 0x2421,
    **dict.fromkeys((*range(0x80, 0xA0), *map(ord, MISLEADING)), 0xFFFD),
    **dict.fromkeys((*range(0xD800, 0xE000), 0xFFFE, 0xFFFF), _REPLACEMENT),
}


class Note(NamedTuple):
    """One reason for a skip or a known failure; it is given for these checks of these cells (ids)."""

    status: CheckStatus
    reason: str
    checks: tuple[str, ...]
    ids: tuple[str, ...]


def outcome(result: CellResult) -> Outcome:
    """Return a result's status; xfail where all is well but for what is known to fail."""
    if result.status == "ok" and any(check.status == "xfail" for check in result.checks):
        return "xfail"
    return result.status


def counts(report: Report) -> dict[Outcome, int]:
    """Return how many cells and images there are of each outcome; those of none are left out."""
    found = Counter(map(outcome, report.results))
    return {name: found[name] for name in WORDS if found[name]}


def headline(report: Report) -> str:
    """Return what all comes to, as in ``1 of 14 cells failed``; a whole image counts as a cell."""
    total = plural(len(report.results), "cell")
    if report.failed:
        return f"{len(report.failed)} of {total} failed"
    passed = counts(report).get("ok", 0)
    if passed == len(report.results):
        return f"all {total} passed"
    return f"{passed} of {total} passed, none failed"


def targets(report: Report) -> list[str]:
    """Return the names of the targets, in the report's order."""
    return list(dict.fromkeys(result.target for result in report.results))


def platforms(report: Report) -> list[Platform | None]:
    """Return the platforms in the report's order; None, the whole image, comes last."""
    found = dict.fromkeys(result.platform for result in report.results)
    return sorted(found, key=lambda platform: platform is None)


def notes(report: Report) -> list[Note]:
    """Return why checks are skipped or known to fail, known failures first, each reason once."""
    by_check: dict[tuple[CheckStatus, str, str], list[str]] = {}
    for result in report.results:
        for check in result.checks:
            if check.status in {"xfail", "skip"}:
                key = check.status, check.reason, check.name
                by_check.setdefault(key, []).append(result.id)
    found: dict[tuple[CheckStatus, str, tuple[str, ...]], list[str]] = {}
    for (status, reason, name), ids in by_check.items():
        found.setdefault((status, reason, tuple(ids)), []).append(name)
    listed = [
        Note(status, reason, tuple(names), ids) for (status, reason, ids), names in found.items()
    ]
    return sorted(listed, key=lambda note: note.status != "xfail")


def visible(text: str) -> str:
    """Return text without control characters: what a program wrote is shown, never acted on."""
    return text.replace("\r\n", "\n").translate(_VISIBLE)


def tail(text: str, lines: int, characters: int) -> str:
    """Return the end of a text, where a program says why it failed: at most so much of it."""
    return "\n".join(text.rstrip("\n").split("\n")[-lines:])[-characters:]


def plural(number: int, noun: str) -> str:
    """Return ``1 check``, ``2 checks``, ``1,234 lines``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def moment(started: str) -> str:
    """Return an ISO 8601 time (UTC) as people read it: ``2026-11-25 02:37 UTC``."""
    return f"{started[:16].replace('T', ' ')} UTC"


def duration(seconds: float) -> str:
    """Return ``< 0.1 s``, ``0.9 s``, ``48 s`` or ``2 min 5 s``."""
    if seconds < 0.1:
        return "< 0.1 s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
