"""All SARIF reports of a verification as one, a run for each cell and tool.

Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.verification.results import Report

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def text(report: Report) -> str:
    """Return the whole as indented JSON.

    Each run is as its tool wrote it, but for ``automationDetails.id``, which begins with cell and check
    (``app@linux/arm64/vulnerabilities/``), so that no two runs stand for each other.
    """
    from buildx_tasks.text import json_text

    return json_text({"$schema": _SCHEMA, "version": "2.1.0", "runs": list(_runs(report))})


def _runs(report: Report) -> Iterator[dict[str, Any]]:
    for result in report.results:
        for check in result.checks:
            for run in check.sarif:
                details = run.get("automationDetails")
                details = details if isinstance(details, dict) else {}
                own = f"{result.id}/{check.name}/{details.get('id', '')}"
                yield {**run, "automationDetails": {**details, "id": own}}
