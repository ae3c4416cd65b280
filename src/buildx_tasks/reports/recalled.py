"""A project and an id in; the recorded build with all that is shown of it, out."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from buildx_tasks import platforms
from buildx_tasks.building.hints import hints
from buildx_tasks.errors import BuildxTasksError, EngineError, listed
from buildx_tasks.machine.files import PUBLIC, write_file
from buildx_tasks.planning.selection import make_plan
from buildx_tasks.records import builds, comparison, timeline
from buildx_tasks.reports.timeline import Shown, only

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from buildx_tasks.records.builds import Build
    from buildx_tasks.reports.timeline import Hints
    from buildx_tasks.verification.results import Report
    from buildx_tasks.workspace import Workspace

PREVIOUS = "previous"
_RANKED = 10


def recalled(
    workspace: Workspace, identity: str = "", against: str = "", targets: Collection[str] = ()
) -> Shown:
    """Return a recorded build, the last one where no id is given, compared with another one or ``""``.

    ``against`` is an id, or ``previous``: the last build before it that had one of its cells. With
    ``targets`` the last one that had cells of these is meant, and only those are shown.

    Raises:
        EngineError: there is no such record, or it cannot be read.

    """
    known = builds.recent(workspace.root)
    if not known:
        raise EngineError("no build is recorded yet; run invoke build")
    build = builds.read(workspace.root, identity or _newest(workspace, known, targets))
    compared = None
    if against:
        other = _before(workspace, build, known) if against == PREVIOUS else against
        compared = comparison.compared(builds.read(workspace.root, other), build)
    whole = shown(workspace, build)._replace(comparison=compared)
    return only(whole, targets) if targets else whole


def _newest(workspace: Workspace, known: Sequence[str], targets: Collection[str]) -> str:
    """Return the id of the last build that had cells of some targets, of any without."""
    if not targets:
        return known[0]
    for build in _readable(workspace, known):
        if any(cell.id.partition("@")[0] in targets for cell in build.cells):
            return build.id
    raise EngineError(f"no build of {listed(targets)} is recorded; run invoke build")


def _readable(workspace: Workspace, known: Sequence[str]) -> Iterator[Build]:
    for identity in known:
        with suppress(BuildxTasksError):  # damaged, or another version's
            yield builds.read(workspace.root, identity)


def shown(workspace: Workspace, build: Build) -> Shown:
    """Return what is shown of a recorded build."""
    ranked = timeline.ranking(build, _RANKED)
    return Shown(timeline.of(build), ranked, _hints(workspace, build))


def newest_of(workspace: Workspace, report: Report) -> Shown | None:
    """Return the last build that made cells of a report; None where none is recorded that can be read."""
    cells = {result.id for result in report.results}
    with suppress(BuildxTasksError):
        for build in _readable(workspace, builds.recent(workspace.root)):
            if build.outcome == builds.BUILT and cells.intersection(c.id for c in build.cells):
                return shown(workspace, build)
    return None


def _before(workspace: Workspace, build: Build, known: list[str]) -> str:
    cells = {one.id for one in build.cells}
    for other in _readable(workspace, [one for one in known if one < build.id]):
        if cells.intersection(one.id for one in other.cells):
            return other.id
    raise EngineError(
        f"no build before {build.id} with one of its cells is recorded; build it again"
    )


def _hints(workspace: Workspace, build: Build) -> Hints:
    """Return lint's findings about the Dockerfiles as they are now; none where they are not there."""
    emulated: dict[str, bool] = {}
    for cell in build.cells:
        emulated[cell.id.partition("@")[2]] = cell.is_emulated
    here = platforms.host_platform()
    names = dict.fromkeys(cell.id.partition("@")[0] for cell in build.cells)
    wanted = [name for name in names if name in workspace.config.target]
    with suppress(BuildxTasksError):
        if wanted:
            return hints(
                workspace.root,
                make_plan(workspace.config, wanted),
                lambda p: not emulated.get(str(p), not platforms.runs_natively(p, here)),
            )
    return {}


def write_page(shown: Shown, path: str) -> None:
    """Write a build's timeline as one HTML page.

    Raises:
        EngineError: it cannot be written.

    """
    from buildx_tasks.reports import timeline_page

    try:
        write_file(Path(path), timeline_page.text(shown), PUBLIC)
    except OSError as error:
        raise EngineError(
            f"{path} cannot be written: {error.strerror}; make room or name another file"
        ) from None
