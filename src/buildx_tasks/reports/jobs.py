"""A build in a job of GitHub Actions in; its table in the job's summary out."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from buildx_tasks.errors import BuildxTasksError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.workspace import Workspace

SUMMARY = "GITHUB_STEP_SUMMARY"  # the variable that names the file


@contextmanager
def told_github(workspace: Workspace) -> Iterator[None]:
    """Add what is built until this is left, however it is left, to the summary of GitHub's job.

    Does nothing elsewhere, or where nothing was built. What cannot be written is said.
    """
    path = os.environ.get(SUMMARY)
    if not path or workspace.commands.is_dry:
        yield
        return
    from buildx_tasks.records import builds

    before = builds.recent(workspace.root)[:1]
    try:
        yield
    finally:
        try:
            newest = builds.recent(workspace.root)[:1]
            if newest and newest != before:
                _append(Path(path), workspace, newest[0])
        except (BuildxTasksError, OSError) as error:
            print(
                f"warning: {path} has no table of the build: {error}", file=sys.stderr, flush=True
            )


def _append(path: Path, workspace: Workspace, identity: str) -> None:
    from buildx_tasks.reports import recalled, timeline_markdown

    with path.open("a", encoding="utf-8") as stream:
        stream.write(timeline_markdown.text(recalled.recalled(workspace, identity)))
