"""Where reports go: files that a person named, and what GitHub reads of a job."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from buildx_tasks.errors import VerifyError
from buildx_tasks.language.positions import Positions
from buildx_tasks.language.sources import PYPROJECT
from buildx_tasks.machine.files import PUBLIC, write_file
from buildx_tasks.reports.jobs import SUMMARY
from buildx_tasks.verification.passed import failures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.reports.timeline import Shown
    from buildx_tasks.verification.results import Report
    from buildx_tasks.workspace import Workspace


def conclude(
    report: Report, files: Mapping[str, str], workspace: Workspace, plan: Plan | None = None
) -> None:
    """Hand a report on: into ``files`` by kind, and to GitHub, with what others want to know of it.

    ``plan`` is what was built of it, None for what was found in registries.

    Raises:
        VerifyError: cells failed, or something could not be written; all else is done before.
        EngineError: the engine does not give an image any more.

    """
    shown = None
    if plan and (any(files.values()) or os.environ.get(SUMMARY)):
        from buildx_tasks.publishing.described import described
        from buildx_tasks.reports.recalled import newest_of

        report = described(workspace, plan, report)
        shown = newest_of(workspace, report) if files.get("html") else None
    declared = workspace.file if workspace.file.exists() else None
    faults = [*write(report, files, shown), *report.unrecorded, *tell_github(report, declared)]
    faults[:0] = failures(report)
    if faults:
        raise VerifyError("\nerror: ".join(faults))


def write(report: Report, wanted: Mapping[str, str], shown: Shown | None = None) -> list[str]:
    """Write the reports that have a path; each whole or not at all. Return what could not be written.

    ``wanted`` maps kinds to paths, ``""`` for none; ``shown`` is the build that the images are of.
    """
    from buildx_tasks.reports import jsonreport, junit, page, sarif, timeline_page

    def html(report: Report) -> str:
        return page.text(report, timeline_page.section(shown) if shown else None)

    texts = {"junit": junit.text, "json": jsonreport.text, "html": html, "sarif": sarif.text}
    faults = []
    for kind, path in wanted.items():
        if not path:
            continue
        try:
            write_file(Path(path), texts[kind](report), PUBLIC)
        except OSError as error:
            faults.append(
                f"{path} cannot be written: {error.strerror}; make room or name another file, "
                "and verify again"
            )
    return faults


def tell_github(report: Report, file: Path | None) -> list[str]:
    """Add to the job's summary and print annotations, where GitHub Actions runs this.

    Return what could not be written.
    Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    """
    from buildx_tasks.reports import github

    if os.environ.get("GITHUB_ACTIONS") == "true":
        for command in github.annotations(report, *_lines(file)):
            print(command, flush=True)
    summary = os.environ.get(SUMMARY)
    if summary:
        try:
            with Path(summary).open("a", encoding="utf-8") as stream:
                stream.write(github.summary(report, taken=stream.tell()))
        except OSError as error:
            return [f"{summary} cannot be written: {error.strerror}; make room, and verify again"]
    return []


def _lines(file: Path | None) -> tuple[str, Callable[[str], int]]:
    """Return a file as annotations name it, and what gives the line of a target's table in it."""
    if file is None:
        return "", lambda _: 1
    positions = Positions(file.read_text("utf-8-sig"))
    prefix = ("tool", "buildx-tasks") if file.name == PYPROJECT else ()
    shown = os.path.relpath(file, os.environ.get("GITHUB_WORKSPACE") or Path.cwd())
    return shown, lambda target: positions.key((*prefix, "target", target, "verify")).line
