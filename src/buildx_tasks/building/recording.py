"""A build in; what it does, told to who watches it and written into its record, out.

Where the progress is ours, bake is asked for its JSON and a person sees what ``audience`` makes of it.
Where it is buildx's own, the record is read afterwards from the engine, which keeps one of each build.
"""

from __future__ import annotations

import codecs
import os
import re
import sys
import time
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks import platforms
from buildx_tasks.builders import choice, emulators
from buildx_tasks.building.failures import failures, unbegun
from buildx_tasks.building.masking import masking
from buildx_tasks.building.replaying import BakeDone, replayed
from buildx_tasks.building.vertices import Vertices
from buildx_tasks.building.watched import CellState, Watched
from buildx_tasks.engine import statuses
from buildx_tasks.errors import BuildxTasksError
from buildx_tasks.records import builds
from buildx_tasks.records.builds import CellRecord, Ran, Recorder, Seen
from buildx_tasks.text import inert

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from invoke import Result

    from buildx_tasks.building.audience import Audience, Watcher
    from buildx_tasks.building.failures import Failure
    from buildx_tasks.building.standing import Standing
    from buildx_tasks.building.unchanged import Looked
    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.platforms import Native, Platform
    from buildx_tasks.workspace import Workspace

_LONGEST = 16_000_000  # bytes of a line; BuildKit's own limit of a message
_EXCERPT = 3  # lines that an excerpt of a Dockerfile has at least: its place, and two rules
_STARTING, _ENDING = "start docker buildx bake", "end docker buildx bake"
_WAITING = "wait for BuildKit, which runs no step"
_PLACE = re.compile(r"\S.*:\d+")
_PLUGIN = re.compile(r"[0-9a-f]{64}|github\.com/docker/buildx.*")
_VERSION = re.compile(r"v?\d+\.\d+\.\d+\S*")


class Means(NamedTuple):
    """With what is built, and who is told: ``native`` says what runs without an emulator."""

    standing: Standing
    native: Native
    progress: str
    audience: Audience | None = None
    looked: Looked | None = None

    @property
    def is_ours(self) -> bool:
        """Whether a person sees our own display, not buildx's."""
        # What a person has set for buildx holds for it still.
        return (
            self.audience is not None
            and self.progress == "auto"
            and not os.environ.get("BUILDKIT_PROGRESS")
        )

    @property
    def is_read(self) -> bool:
        """Whether bake is asked for its JSON."""
        return self.is_ours or self.progress in ("quiet", "rawjson")


class Recording:
    """The record of one build, of one bake or of several; ``failures`` are those of the last one."""

    def __init__(
        self, workspace: Workspace, means: Means, recorder: Recorder | None = None
    ) -> None:
        self._workspace = workspace
        self.means = means
        self._recorder = recorder
        self._bakes: list[Bake] = []
        self._parts: dict[str, dict[Platform, str]] = {}
        self.failures: tuple[Failure, ...] = ()

    def name_parts(self, parts: Mapping[str, Mapping[Platform, str]]) -> None:
        """Take note of targets that are cells of another one, by that and by platform."""
        for target, its in parts.items():
            self._parts.update({name: {p: f"{target}@{p}"} for p, name in its.items()})

    def bake(self, definition: Mapping[str, Any], targets: Sequence[TargetPlan]) -> Bake:
        """Return what watches the next bake, of these targets."""
        names = {
            one.name: self._parts.get(one.name) or {p: f"{one.name}@{p}" for p in one.platforms}
            for one in targets
        }
        means, listed = self.means, definition["target"]
        states = [
            CellState(name, is_emulated=not means.native(platform))
            for its in names.values()
            for platform, name in its.items()
        ]
        vertices = Vertices(listed, names, means.standing.readings, means.native)
        masked = masking(listed.values(), self._workspace.root)
        number = len(self._bakes) + 1
        began = self._recorder.epoch if self._recorder else 0.0
        watched = Watched(vertices, states, began, number, masked)
        self._bakes.append(Bake(self._workspace, means, self._recorder, watched, number))
        return self._bakes[-1]

    def tell_failures(self) -> list[str]:
        """Tell who watches what failed in the last bake; return the ids of the cells."""
        for bake in self._bakes[-1:]:
            found = list(failures(bake.watched, self._emulator))
            self.failures = tuple(found or unbegun(bake.watched, bake.excerpt))
            if not any(one.source for one in self.failures):
                bake.show_excerpt()
        if self.failures and self.means.audience:
            self.means.audience.failed(self.failures)
        return list(dict.fromkeys(name for one in self.failures for name in one.cells))

    def _emulator(self, platform: str) -> str:
        """Return name and version of what emulates a platform, where this machine's engine builds."""
        if not choice.is_engines_own(self.means.standing.builder):
            return ""
        with suppress(BuildxTasksError, OSError, ValueError):
            found = emulators.named(self._workspace.engine, [platforms.parse(platform)])
            return found[0][1].title if found else ""
        return ""


class Bake:
    """One bake of a build, run as it is to be shown, watched and recorded."""

    def __init__(
        self,
        workspace: Workspace,
        means: Means,
        recorder: Recorder | None,
        watched: Watched,
        number: int,
    ) -> None:
        self._workspace = workspace
        self._means = means
        self._recorder = recorder
        self._number = number
        self._rest = b""
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self._watcher: Watcher | None = None
        self._block: list[str] = []
        self.excerpt: list[str] = []  # of a Dockerfile, which a failure of ours may show
        self._began = time.time()
        self.watched = watched

    def run(self, argv: Sequence[str], *, tty: bool) -> Result:
        """Run bake; ``argv`` is as a person would type it."""
        commands, audience = self._workspace.commands, self._means.audience
        self._began = time.time()
        if not self._means.is_read:
            return commands.run(argv, tty=tty)
        at = list(argv).index("--progress") + 1
        asked = [*argv[:at], "rawjson", *argv[at + 1 :]]
        shows = self._means.is_ours and audience is not None
        is_built = False
        with audience.building(self.watched) if shows and audience else nullcontext() as watcher:
            self._watcher = watcher
            try:
                result = commands.run_read(asked, argv, self._told)
                self._line(self._rest)
                self._flush()
                is_built = result.ok
            finally:
                self._close(is_built=is_built)
        self._watcher = None  # its display is gone
        result.stderr = "\n".join((*self.watched.said, *self._errors()))
        return result

    def _errors(self) -> Iterator[str]:
        return (step.error for step in self.watched.steps.values() if step.error)

    def _close(self, *, is_built: bool) -> None:
        refused = () if is_built else unbegun(self.watched, self.excerpt)
        failed = [cell for one in refused for cell in one.cells]
        for event in self.watched.close(is_built=is_built, failed=failed):
            if self._watcher:
                self._watcher.happened(event)
        for text in self.watched.warnings() if self._watcher else ():
            self._watcher.said(f"warning: {text}")  # type: ignore[union-attr]
        self._note_rest(time.time())

    def _note_rest(self, end: float) -> None:
        """Record where the time went in which no step ran, as steps of their own."""
        if not self._recorder:
            return
        epoch, cells = self._recorder.epoch, tuple(self.watched.cells)
        for number, (started, ended) in enumerate(self.watched.rest(self._began, end)):
            name = _STARTING if started == self._began else _ENDING if ended == end else _WAITING
            seen = Seen(f"rest-{number}", name, vague=cells, bake=self._number)
            times = round(started - epoch, 3), round(ended - epoch, 3)
            self._recorder.write([seen, Ran(seen.digest, *times, bake=self._number)])

    def _told(self, data: bytes) -> None:
        if not data:
            if self._watcher:
                self._watcher.went_on()
            return
        if self._means.progress == "rawjson":
            sys.stderr.write(self._decode(data))
            sys.stderr.flush()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)
        if len(self._rest) > _LONGEST:
            self._rest = b""

    def _line(self, line: bytes) -> None:
        status = statuses.of_line(line)
        if status is not None:
            self.take(status)
        elif line.strip():
            text = self.watched.say(line.decode("utf-8", "replace").rstrip("\r"))
            if self._watcher or self._means.progress == "quiet":
                self._block.append(text)
                if not _is_excerpt(self._block):
                    self._flush()

    def _flush(self) -> None:
        """Show what buildx says, but not yet the lines of a Dockerfile: a failure of ours has them."""
        block, self._block = self._block, []
        if len(block) > _EXCERPT and _is_rule(block[-1]) and self._means.audience:
            self.excerpt = block
        else:
            self._show(block)

    def show_excerpt(self) -> None:
        """Show the lines of a Dockerfile that were kept back: no failure of ours has any."""
        self._show(self.excerpt)

    def _show(self, lines: Sequence[str]) -> None:
        for text in lines:
            if self._watcher:
                self._watcher.said(text)
            else:
                print(inert(text), file=sys.stderr, flush=True)

    def take(self, status: statuses.Status, target: str = "") -> None:
        """Take note of what BuildKit says."""
        lines, events = self.watched.take(status, target)
        if lines and self._recorder:
            self._recorder.write(lines)
        for event in events if self._watcher else ():
            self._watcher.happened(event)  # type: ignore[union-attr]

    def replay(self, facts: Mapping[str, Any], *, is_built: bool) -> None:
        """Read what a bake did whose progress was buildx's own, from the record of who built.

        ``facts`` are bake's metadata.
        """
        if self._means.is_read:
            return
        end, targets = time.time(), self.watched.vertices.targets
        bake = BakeDone(targets, self._began, facts)
        for name, status in replayed(self._workspace, self._means.standing.builder, bake):
            self.take(status, name)
        self.watched.close(is_built=is_built)
        self._note_rest(end)


def _is_rule(text: str) -> bool:
    return len(text) > 2 and not text.strip("-")


def _is_excerpt(lines: Sequence[str]) -> bool:
    """Say whether lines are the begin of an excerpt of a Dockerfile, which is not yet at its end."""
    if len(lines) > 1 and not _is_rule(lines[1]):
        return False
    is_ended = len(lines) > _EXCERPT - 1 and _is_rule(lines[-1])
    return bool(_PLACE.fullmatch(lines[0])) and not is_ended


@contextmanager
def recorded(workspace: Workspace, plan: Plan, means: Means) -> Iterator[Recording]:
    """Record what is built of a plan until this is left, however it is left; not under ``--dry``."""
    if workspace.commands.is_dry:
        yield Recording(workspace, means)
        return
    marks = means.looked.fingerprints if means.looked else {}
    cells = [
        CellRecord(
            str(cell), not means.native(cell.platform), marks.get(t.name, {}).get(cell.platform, "")
        )
        for t in plan.targets
        for cell in t.cells
    ]
    inputs = means.looked.inputs(plan.targets) if means.looked else {}
    recorder = Recorder(workspace.ledger, cells, _versions(workspace, means.looked), inputs)
    recording = Recording(workspace, means, recorder)
    outcome = builds.INTERRUPTED
    try:
        yield recording
        outcome = builds.BUILT
    except (BuildxTasksError, OSError):
        outcome = builds.FAILED
        raise
    finally:
        failed = dict.fromkeys(name for one in recording.failures for name in one.cells)
        recorder.done(outcome, list(failed))


def _versions(workspace: Workspace, looked: Looked | None) -> dict[str, str]:
    """Return the versions of what builds, as far as they are known or cheap to ask for."""
    tools = looked.tools if looked else ()
    plugin = next((one for one in tools if _PLUGIN.fullmatch(one)), "")
    found = {"engine": tools[1]} if tools[:1] == ("docker",) else {}
    if tools and not found:
        found["buildkit"] = ", ".join(one for one in tools if _VERSION.fullmatch(one))
    # The newest record may know which version the same plug-in is.
    last = builds.newest_versions(workspace.root)
    if plugin and last.get("plugin") == plugin:
        said = last.get("buildx", "")
    else:
        said = workspace.commands.query(["docker", "buildx", "version"]).stdout
        said = match[0] if (match := _VERSION.search(said)) else ""
    return {**found, "buildx": said, **({"plugin": plugin} if plugin else {})}
