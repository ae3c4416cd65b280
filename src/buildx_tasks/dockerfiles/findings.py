"""What is to be changed in a Dockerfile: one finding, and findings as lines and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from buildx_tasks.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from buildx_tasks.platforms import Platform


class Finding(NamedTuple):
    """One thing to change; ``platform`` is None where it is the same for all platforms.

    ``line`` is 0 and ``stage`` empty where they are not known. A ``note`` is of what nothing can be
    done about: it fails nothing, unless one is strict.
    """

    code: str
    target: str
    platform: Platform | None
    file: str
    line: int
    stage: str
    message: str
    fix: str
    level: Literal["warning", "note"] = "warning"

    @property
    def place(self) -> str:
        """Where it is, as ``file:line``."""
        return f"{self.file}:{self.line}" if self.line else self.file

    @property
    def cell(self) -> str:
        """The cell that it is of, or the target that it is of on all platforms."""
        return f"{self.target}@{self.platform}" if self.platform else self.target


def merged(findings: Iterable[Finding]) -> dict[Finding, list[str]]:
    """Return findings with the cells that each is of; those that differ only in the platform are one."""
    found: dict[Finding, list[str]] = {}
    for one in findings:
        found.setdefault(one._replace(platform=None), []).append(one.cell)
    return found


def lines(findings: Iterable[Finding]) -> list[str]:
    """Return findings as lines for people: what is wrong where, and below it the fix."""
    found = []
    for one, cells in merged(findings).items():
        word = "note: " if one.level == "note" else ""
        line = f"{one.place}: {word}{one.code} {one.message} [{', '.join(cells)}]"
        found.append(printable(line))
        if one.fix:
            found.append(printable(f"  fix: {one.fix}"))
    return found


def summary(findings: Iterable[Finding]) -> dict[str, Any]:
    """Return findings as JSON data."""
    return {
        "findings": [
            {**one._asdict(), "platform": str(one.platform) if one.platform else None}
            for one in findings
        ]
    }
