"""What was looked at: one finding, and findings as JSON."""

from __future__ import annotations

from typing import Any, NamedTuple


class Finding(NamedTuple):
    """One thing looked at; ``fix`` is empty where nothing is to be done.

    What is ``ok`` has one where it is known to fail for somebody.
    """

    subject: str
    ok: bool
    found: str
    fix: str = ""


def failed(subject: str, error: Exception) -> Finding:
    """Return the finding that an error makes: its message ends with the fix."""
    found, _, fix = str(error).partition("; ")
    return Finding(subject, ok=False, found=found, fix=fix)


def as_json(findings: list[Finding]) -> dict[str, Any]:
    """Return the findings as JSON data: ``ok`` for the whole, and one object for each."""
    return {
        "ok": all(finding.ok for finding in findings),
        "findings": [finding._asdict() for finding in findings],
    }
