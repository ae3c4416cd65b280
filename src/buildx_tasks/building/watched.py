"""What BuildKit says of a bake in; how far each cell is, and the lines of the build's record, out."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Callable, NamedTuple

from buildx_tasks.errors import listed
from buildx_tasks.records.builds import Ran, Seen

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Iterable, Sequence

    from buildx_tasks.building.vertices import Vertex, Vertices
    from buildx_tasks.engine import statuses
    from buildx_tasks.records.builds import Line

WAITING, RUNNING, BUILT, FAILED, STOPPED = "waiting", "running", "built", "failed", "stopped"

_KEPT = 20  # lines of a step's log
_LONGEST = 1 << 16  # bytes of a line
_WIDEST = 500  # characters of one that are shown
_LONGEST_ERROR = 2_000
_LONGEST_NAME = 500  # characters
_CANCELED = "context canceled"
_CACHES = ("importing cache", "exporting cache")  # where no build goes on without, bake says so
_SHORTEST = 0.02  # seconds of a time without a step
_NO_BYTES = ("extracting", "unpacking")  # of which downloading has told already


def _without_middle(error: str) -> str:
    """Return an error as far as it is kept: behind a long command stands what became of it."""
    half = _LONGEST_ERROR // 2
    return error if len(error) <= _LONGEST_ERROR else f"{error[:half]}…{error[-half:]}"


class StepState:
    """One step: what it is, and how far. Times are seconds since 1970."""

    def __init__(self, digest: str) -> None:
        self.digest = digest
        self.what: Vertex
        self.own: dict[str, None] = {}
        self.vague: dict[str, None] = {}
        self.inputs: tuple[str, ...] = ()
        self.started: float | None = None
        self.ended: float | None = None
        self.is_cached = False
        self.error = ""
        self.lines: deque[str] = deque(maxlen=_KEPT)  # the last ones that it printed
        self.begun: dict[int, bytes] = {}  # of another one, by the stream that it is on
        self.printed = 0
        self.moved: dict[str, int] = {}

    @property
    def is_canceled(self) -> bool:
        """Whether it was ended because another one failed."""
        return _CANCELED in self.error

    @property
    def is_wrong(self) -> bool:
        """Whether its cells failed with it: BuildKit goes on without a cache that is not there."""
        return bool(self.error) and not self.what.name.startswith(_CACHES)

    @property
    def bytes(self) -> int:
        """The bytes that it has moved."""
        return sum(self.moved.values())


class CellState:
    """One cell: its steps, and how far they are."""

    def __init__(self, name: str, *, is_emulated: bool) -> None:
        self.id = name
        self.is_emulated = is_emulated
        self.steps: dict[str, StepState] = {}
        self.status = WAITING
        self.done = self.total = self.cached = 0
        self.current: StepState | None = None
        self.started: float | None = None
        self.ended: float | None = None
        self.is_exported = False

    @property
    def bytes(self) -> int:
        """The bytes that its steps have moved."""
        return sum(step.bytes for step in self.steps.values())

    def count(self) -> None:
        """Work out how far it is."""
        counted = [one for one in self.steps.values() if one.what.counts]
        ended = [one for one in counted if one.ended is not None]
        running = [s for s in self.steps.values() if s.started is not None and s.ended is None]
        self.total, self.done = len(counted), len(ended)
        self.cached = sum(one.is_cached for one in ended)
        self.is_exported = self.is_exported or any(
            one.what.exports and one.ended is not None and not one.error
            for one in self.steps.values()
        )
        # The last one that began; a step of the Dockerfile rather than BuildKit's own.
        running.sort(key=lambda one: (one.what.counts, one.started or 0))
        self.current = running[-1] if running else None
        begun = [one.started for one in counted if one.started is not None]
        if begun and (self.started is None or min(begun) < self.started):
            self.started = min(begun)


class Event(NamedTuple):
    """Something that a log has a line for: a cell that has started, or has ended in some way."""

    cell: CellState
    status: str
    step: StepState | None = None


class Watched:
    """One bake while it goes on.

    ``epoch`` is when the record's build began, in seconds since 1970, ``number`` tells bakes of one
    build apart. What is kept of names, errors and logs goes through ``masked``.
    """

    def __init__(
        self,
        vertices: Vertices,
        cells: Sequence[CellState],
        epoch: float,
        number: int = 1,
        masked: Callable[[str], str] = str,
    ) -> None:
        self.vertices = vertices
        self.cells = {one.id: one for one in cells}
        self.steps: dict[str, StepState] = {}
        self.said: deque[str] = deque(maxlen=1_000)  # what buildx says in plain text
        self.epoch = epoch
        self.began = max(epoch, time.time())
        self._number = number
        self._masked = masked
        self._warnings: dict[str, dict[str, None]] = {}
        self._of: dict[str, set[str]] = {}  # certain cells, by step
        self._touched: set[str] = set()

    def take(self, status: statuses.Status, target: str = "") -> tuple[list[Line], list[Event]]:
        """Take note of a message; return what of it belongs in the record, and in a log.

        ``target`` is bake's, where the message is of one target alone.
        """
        lines: list[Line] = []
        for vertex in status.vertexes:
            lines += self._take(vertex, target)
        for moved in status.statuses:
            step = self.steps.get(moved.vertex)
            if step and moved.name not in _NO_BYTES and moved.current > step.moved.get(moved.id, 0):
                step.moved[moved.id] = moved.current
        for log in status.logs:
            self._log(log)
        for warned in status.warnings:
            self._warned(warned)
        return lines, list(self._events())

    def _warned(self, warned: statuses.Warned) -> None:
        step = self.steps.get(warned.vertex)
        text = self._text(warned.short)
        targets = self._warnings.setdefault(text, {}) if text else {}
        for cell in self.cells_of(step) if step else ():
            targets[cell.id.partition("@")[0]] = None

    def warnings(self) -> Iterable[str]:
        """Yield what BuildKit's own checks found, each once, with the targets that it is about."""
        for text, targets in self._warnings.items():
            yield "".join((f"{listed(list(targets))}: " if targets else "", text))

    def say(self, text: str) -> str:
        """Take note of what buildx says in plain text; return what of it may be shown."""
        shown = self._masked(text)
        self.said.append(shown)
        return shown

    def _take(self, vertex: statuses.Vertex, target: str) -> Iterable[Line]:
        step = self.steps.get(vertex.digest)
        what = self.vertices.of(vertex.name, target)
        is_new = step is None
        if step is None:
            step = self.steps[vertex.digest] = StepState(vertex.digest)
            step.what = what._replace(name=self._masked(what.name)[:_LONGEST_NAME])
        # Whoever reads the record joins the lines of a step: each has only what is new.
        own = tuple(one for one in what.cells if one not in step.own)
        vague = tuple(one for one in what.vague if one not in step.vague)
        if is_new or own or vague or len(vertex.inputs) > len(step.inputs):
            step.own.update(dict.fromkeys(own))
            step.vague.update(dict.fromkeys(vague))
            step.inputs = vertex.inputs or step.inputs
            self._spread(step)
            yield self._seen(step, own, vague)
        before = (step.started, step.ended, step.error)
        self._follow(step, vertex)
        if (step.started, step.ended, step.error) != before and step.started is not None:
            self._touched |= self._cells_of(step)
            yield self._ran(step)

    def _follow(self, step: StepState, vertex: statuses.Vertex) -> None:
        started, ended = map(self._moment, (vertex.started, vertex.completed))
        if started is None:
            return
        if vertex.error:
            step.error = _without_middle(self._masked(vertex.error))
        is_again = step.ended is not None and started > (step.started or 0) and ended is None
        if ended is not None:
            # A base image is first looked up; whether it was there is said after that.
            first = step.ended is None or step.what.name.startswith("FROM ")
            step.is_cached = vertex.cached if first else step.is_cached and vertex.cached
        step.started = started if step.started is None else min(step.started, started)
        if ended is not None:
            step.ended = ended if step.ended is None else max(step.ended, ended)
        elif is_again and started > (step.ended or 0):
            step.ended = None

    def _moment(self, said: dt.datetime | None) -> float | None:
        """Return a time in seconds since 1970; buildx moves some to before the bake began."""
        return None if said is None else max(said.timestamp(), self.began)

    def _spread(self, step: StepState) -> None:
        """Give a step's cells to all that it needs; who is certain of one is vague of none."""
        waiting = [(step.digest, set(step.own))]
        if step.digest in self._of:
            waiting += [(one, set(self._of[step.digest])) for one in step.inputs]
        while waiting:
            digest, cells = waiting.pop()
            known = self._of.setdefault(digest, set())
            new = cells - known
            if digest in self.steps:
                self._join(self.steps[digest], new)
            if new:
                known |= new
                its = self.steps.get(digest)
                waiting += [(one, new) for one in (its.inputs if its else ())]
        self._join(step, self._cells_of(step))

    def _join(self, step: StepState, cells: Iterable[str]) -> None:
        for name in cells:
            if name in self.cells and step.digest not in self.cells[name].steps:
                self.cells[name].steps[step.digest] = step
                self._touched.add(name)
        if self._of.get(step.digest):
            for name in step.vague.keys() - self._of[step.digest]:
                if self.cells.get(name) and self.cells[name].steps.pop(step.digest, None):
                    self._touched.add(name)

    def _cells_of(self, step: StepState) -> set[str]:
        return self._of.get(step.digest) or set(step.vague)

    def cells_of(self, step: StepState) -> list[CellState]:
        """Return the cells that a step is of, in the order of the plan."""
        found = self._cells_of(step)
        return [one for one in self.cells.values() if one.id in found]

    def rest(self, began: float, end: float) -> Iterable[tuple[float, float]]:
        """Yield the times in which no step ran, between two moments; not those too short to matter."""
        at = began
        spans = [(s.started, s.ended or end) for s in self.steps.values() if s.started is not None]
        for started, ended in [*sorted(spans), (end, end)]:
            if started - at > _SHORTEST:
                yield at, started
            at = max(at, ended)

    def _log(self, log: statuses.Log) -> None:
        step = self.steps.get(log.vertex)
        if step is None:
            return
        *lines, begun = (step.begun.pop(log.stream, b"") + log.data).split(b"\n")
        if len(begun) > _LONGEST:
            # Where it has no end, its begin is kept: of what is written over it, too.
            end = b"\r" * begun.endswith(b"\r")
            begun = begun.rstrip(b"\r").rpartition(b"\r")[2][:_LONGEST] + end
        if begun:
            step.begun[log.stream] = begun
        step.printed += len(lines)
        for line in lines[-_KEPT:]:
            step.lines.append(self._text(line))

    def log_of(self, step: StepState) -> tuple[str, ...]:
        """Return the last lines that a step printed."""
        return (*step.lines, *map(self._text, step.begun.values()))[-_KEPT:]

    def _text(self, line: bytes) -> str:
        # What is written over a line that is there is what is seen of it.
        shown = line.rstrip(b"\r").rpartition(b"\r")[2]
        text = self._masked(shown.decode("utf-8", "replace"))
        return text if len(text) <= _WIDEST else f"{text[:_WIDEST]}…"

    def _events(self) -> Iterable[Event]:
        touched, self._touched = self._touched, set()
        for cell in [one for one in self.cells.values() if one.id in touched]:
            before = cell.status
            cell.count()
            wrong = [one for one in cell.steps.values() if one.is_wrong]
            real = [one for one in wrong if not one.is_canceled]
            if real and before != FAILED:
                yield self._ended(cell, FAILED, real[0])
            elif wrong and before not in (FAILED, STOPPED):
                yield self._ended(cell, STOPPED, wrong[0])
            elif before in (WAITING, RUNNING) and cell.is_exported and cell.done == cell.total:
                yield self._ended(cell, BUILT)
            elif before == WAITING and cell.started is not None:
                cell.status = RUNNING
                yield Event(cell, RUNNING, cell.current)

    def close(self, *, is_built: bool, failed: Collection[str] = ()) -> list[Event]:
        """Take note of the bake's end; what nothing was said of is as all is.

        ``failed`` are cells of which BuildKit began no step.
        """
        left = [one for one in self.cells.values() if one.status in (WAITING, RUNNING)]
        others = BUILT if is_built else STOPPED
        return [self._ended(one, FAILED if one.id in failed else others) for one in left]

    def _ended(self, cell: CellState, status: str, step: StepState | None = None) -> Event:
        cell.status = status
        cell.ended = (step.ended if step else None) or time.time()
        return Event(cell, status, step)

    def _since(self, moment: float | None) -> float | None:
        return None if moment is None else round(moment - self.epoch, 3)

    def _seen(self, step: StepState, own: tuple[str, ...], vague: tuple[str, ...]) -> Seen:
        what = step.what
        return Seen(
            step.digest,
            what.name,
            own,
            vague,
            what.place,
            what.platform,
            what.file,
            what.line,
            what.is_emulated,
            step.inputs,
            self._number,
        )

    def _ran(self, step: StepState) -> Ran:
        return Ran(
            step.digest,
            self._since(step.started) or 0.0,
            self._since(step.ended),
            step.is_cached,
            step.bytes,
            step.error,
            self._number,
        )
