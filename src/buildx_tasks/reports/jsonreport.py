"""The whole report as JSON, in a form that stays: ``version`` is raised where a key changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from buildx_tasks.reports import counts, differences, outcome

if TYPE_CHECKING:
    from buildx_tasks.verification.results import CellResult, CheckResult, Report

VERSION = 1


def text(report: Report) -> str:
    """Return :func:`data` as indented JSON."""
    from buildx_tasks.text import json_text

    return json_text(data(report))


def data(report: Report) -> dict[str, Any]:
    """Return the report as plain data; nothing is shortened.

    ==================== ========================================================================
    ``version``          1; other keys may be added without raising it
    ``ok``               false where anything failed
    ``started``          when it began: UTC, ISO 8601
    ``seconds``          wall time
    ``tools``            names to versions
    ``commit``           of the tree, with ``-dirty`` where it had changes; ``""`` without git
    ``tags``             the tags of each target
    ``sizes``            of each platform: compressed bytes, those of what is published, the difference
    ``counts``           how many results there are of each ``outcome``
    ``results``          one for each cell and each whole image
    ``….id``             ``hello@linux/arm64``; ``hello`` for the whole image
    ``….target``         its name
    ``….platform``       ``linux/arm64``; null for the whole image
    ``….digest``         of the platform's manifest, of the index for the whole image
    ``….outcome``        ok, FAIL, xfail (fails as is known), skip, unchecked (nothing is expected)
    ``….seconds``        wall time
    ``….since``          when it was verified, if it is unchanged and was not run again; else ``""``
    ``….checks``         one for each check
    ``….checks.name``    its name; ``kind`` is what it looks at (run, service, binaries, …)
    ``….checks.status``  ok, FAIL, xfail, skip
    ``….checks.reason``  why it is skipped or known to fail
    ``….checks.problems`` one line for each thing that is not as expected
    ``….checks.facts``   what was measured
    ``….checks.stdout``  what the container wrote; ``stderr`` likewise
    ``….checks.enter``   the command that enters the container that was kept
    ==================== ========================================================================
    """
    return {
        "version": VERSION,
        "ok": not report.failed,
        "started": report.started,
        "seconds": round(report.seconds, 3),
        "tools": {name: _encodable(version) for name, version in report.tools.items()},
        "commit": report.commit,
        "tags": {name: list(tags) for name, tags in report.tags.items()},
        "sizes": differences.data(report.differences),
        "counts": counts(report),
        "results": [_result(result) for result in report.results],
    }


def _result(result: CellResult) -> dict[str, Any]:
    return {
        "id": result.id,
        "target": result.target,
        "platform": str(result.platform) if result.platform else None,
        "digest": result.digest,
        "outcome": outcome(result),
        "seconds": round(result.seconds, 3),
        "since": result.since,
        "checks": [_check(check) for check in result.checks],
    }


def _check(check: CheckResult) -> dict[str, Any]:
    return {
        "name": _encodable(check.name),
        "kind": check.kind,
        "status": check.status,
        "seconds": round(check.seconds, 3),
        "reason": _encodable(check.reason),
        "problems": [_encodable(line) for line in check.problems],
        "facts": [_encodable(line) for line in check.facts],
        "stdout": _encodable(check.stdout),
        "stderr": _encodable(check.stderr),
        "enter": _encodable(check.enter),
    }


def _encodable(text: str) -> str:
    # A lone surrogate, as undecodable output can leave one, has no place in UTF-8.
    return text.encode("utf-8", "replace").decode()
