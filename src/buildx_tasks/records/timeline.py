"""A recorded build in; by cell what ran when, where the time went, and what was most expensive, out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from buildx_tasks.records.builds import Build, CellRecord
    from buildx_tasks.records.steps import Step

# What a step is a matter of; where several run at once, the first of these counts.
Kind = Literal["emulated", "native", "bases", "files", "export", "bake"]
KINDS: dict[Kind, str] = {
    "emulated": "under emulation",
    "native": "natively",
    "bases": "bases and caches",
    "files": "files",
    "export": "export",
    "bake": "bake and BuildKit beside the steps",
}
# What the record has for times in which no step ran.
_RESTS = ("start docker buildx bake", "end docker buildx bake", "wait for BuildKit")
_EXPORTS = ("exporting ", "pushing ", "resolving provenance", "importing to ", "sending tarball")
_BASES = ("load metadata ", "resolve image config", "importing cache", "pull ")
_FIRST, _PART = 3, 0.01


class Bar(NamedTuple):
    """A step of a cell, from ``started`` to ``ended``, in seconds from the build's start."""

    started: float
    ended: float
    kind: Kind
    step: Step


class Lane(NamedTuple):
    """What was done for one cell.

    ``busy`` is how long something was, ``emulated`` how long of that under emulation, in seconds; of
    ``instructions`` so many were ``cached``.
    """

    id: str
    is_emulated: bool
    bars: tuple[Bar, ...]
    busy: float
    emulated: float
    instructions: int
    cached: int
    is_failed: bool = False

    @property
    def share(self) -> float:
        """How much of it was under emulation, of 1."""
        return self.emulated / self.busy if self.busy else 0.0


class Timeline(NamedTuple):
    """A build as a whole: ``seconds`` of wall time, its cells, and ``went``, the seconds by kind.

    Each moment counts once, for the first kind in :data:`KINDS` that went on then; ``other`` is what no
    step is recorded of.
    """

    build: Build
    seconds: float
    lanes: tuple[Lane, ...]
    went: dict[Kind, float]
    other: float

    @property
    def share(self) -> float:
        """How much of the wall time something ran under emulation, of 1."""
        return self.went.get("emulated", 0.0) / self.seconds if self.seconds else 0.0


class Cost(NamedTuple):
    """An expensive step; ``native`` is how long the same took natively for another cell, where it did."""

    step: Step
    seconds: float
    kind: Kind
    native: float | None = None
    native_cell: str = ""


def kind_of(step: Step) -> Kind:
    """Return what a step is a matter of."""
    if step.name.startswith(_RESTS):
        return "bake"
    if step.name.startswith(_EXPORTS):
        return "export"
    if step.instruction == "FROM" or step.name.startswith(_BASES) or _is_context(step):
        return "bases"
    if step.is_emulated:
        return "emulated"
    if step.instruction == "RUN":
        return "native"
    return "files"


def _is_context(step: Step) -> bool:
    """Say whether a step fetches what stands for a name in FROM or COPY --from."""
    return step.place.startswith("context ") and not step.name.startswith("load from client")


def of(build: Build) -> Timeline:
    """Return the timeline of a build."""
    seconds = seconds_of(build)
    bars = [_bar(step, seconds) for step in build.steps]
    of_cell: dict[str, list[Bar]] = {}
    for bar in bars:
        for name in bar.step.cells:
            of_cell.setdefault(name, []).append(bar)
    lanes = tuple(_lane(cell, of_cell.get(cell.id, ()), build.failed) for cell in build.cells)
    went = _went(bars)
    return Timeline(build, seconds, lanes, went, max(0.0, seconds - sum(went.values())))


def seconds_of(build: Build) -> float:
    """Return how long a build took: of one that was killed, until the last that is known of it."""
    if build.seconds is not None:
        return build.seconds
    return max((one.ended or one.started for one in build.steps), default=0.0)


def ranking(build: Build, most: int | None = 10) -> list[Cost]:
    """Return the most expensive steps of Dockerfiles, the longest first; what was cached is none.

    The first ones are there however short they were, others only where they took a part of the build.
    """
    end = seconds_of(build)
    ran = [one for one in build.steps if one.instruction and not one.is_cached]
    natively: dict[tuple[object, ...], list[Step]] = {}
    for one in ran:
        if not one.is_emulated and one.ended is not None and not one.error and one.cells:
            for key in _alike(one):
                natively.setdefault(key, []).append(one)
    costs = [_cost(_bar(one, end), natively) for one in ran]
    costs.sort(key=lambda one: -one.seconds)
    shown = [one for at, one in enumerate(costs) if at < _FIRST or one.seconds >= _PART * end]
    return shown[:most]


def _cost(bar: Bar, natively: Mapping[tuple[object, ...], Sequence[Step]]) -> Cost:
    step = bar.step
    cost = Cost(step, bar.ended - bar.started, bar.kind)
    known = (natively[key] for key in _alike(step) if key in natively)
    alike = next(known, ()) if bar.kind == "emulated" else ()
    if not alike:
        return cost
    quickest = min(alike, key=_seconds)
    own = [cell for cell in quickest.cells if cell.partition("@")[0] in _targets(step)]
    return cost._replace(native=_seconds(quickest), native_cell=(own or quickest.cells)[0])


def _seconds(step: Step) -> float:
    return (step.ended or step.started) - step.started


def _alike(step: Step) -> Iterator[tuple[object, ...]]:
    """Yield what the same instruction has for another platform: its line, else text, place and target."""
    if step.line is not None:
        yield step.dockerfile, step.line
        return
    for target in sorted(_targets(step)):
        yield step.place, step.name, target


def _targets(step: Step) -> set[str]:
    return {cell.partition("@")[0] for cell in step.cells}


def _bar(step: Step, end: float) -> Bar:
    ended = end if step.ended is None else step.ended
    return Bar(step.started, max(step.started, ended), kind_of(step), step)


def _lane(cell: CellRecord, its: Sequence[Bar], failed: Sequence[str]) -> Lane:
    # What bake does beside them is of no cell.
    shown = tuple(bar for bar in its if bar.kind != "bake" and not bar.step.is_cached)
    steps = [bar.step for bar in its if bar.step.instruction]
    emulated = [bar for bar in shown if bar.kind == "emulated"]
    return Lane(
        cell.id,
        cell.is_emulated,
        shown,
        union(shown),
        union(emulated),
        len(steps),
        sum(step.is_cached for step in steps),
        cell.id in failed,
    )


def union(bars: Iterable[Bar]) -> float:
    """Return how long some of them went on, in seconds; what is at once counts once."""
    total, until = 0.0, float("-inf")
    for bar in sorted(bars, key=lambda one: one.started):
        total += max(0.0, bar.ended - max(bar.started, until))
        until = max(until, bar.ended)
    return total


def _went(bars: Sequence[Bar]) -> dict[Kind, float]:
    """Return the seconds of each kind: a moment is of the first kind that went on."""
    found: dict[Kind, float] = {}
    known = 0.0
    covering: list[Bar] = []
    for kind in KINDS:
        covering += [bar for bar in bars if bar.kind == kind]
        together = union(covering)
        if together > known:
            found[kind] = together - known
        known = together
    return found


def cut(lane: Lane, width: int, seconds: float) -> Iterator[Kind | None]:
    """Yield what a cell did in each of ``width`` equal parts of the build; None for nothing."""
    order = list(KINDS)
    cells: list[Kind | None] = [None] * width
    for bar in lane.bars:
        scale = width / seconds if seconds else 0.0
        first = min(width - 1, int(bar.started * scale))
        last = min(width - 1, max(first, int(bar.ended * scale - 1e-9)))
        for at in range(first, last + 1):
            now = cells[at]
            if now is None or order.index(bar.kind) < order.index(now):
                cells[at] = bar.kind
    yield from cells
