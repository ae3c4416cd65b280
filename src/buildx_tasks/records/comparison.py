"""Two recorded builds in; which steps took longer or were done again, and why, out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from buildx_tasks.dockerfiles.taking import taken
from buildx_tasks.records import timeline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from buildx_tasks.records.builds import Build
    from buildx_tasks.records.steps import Step

Word = Literal["again", "slower", "faster", "cached", "new"]

# A step whose time differs by less is the same.
_LEAST_SECONDS = 0.5
_LEAST_SHARE = 0.2
_NAMED = 5  # inputs that a reason names
# What the image has that is the result, and no step.
_OF_RESULT = tuple(
    f"attribute {n}" for n in "annotations attest cache-to labels output tags".split()
)
_OF_FILES = ("file ", "a file ", "context ")
_SHOWN = 80  # characters of an instruction that a reason quotes


class Change(NamedTuple):
    """A step of a build that is not as it was in another one.

    ``word`` is again (it was cached before, or done then, too, and is known to have had to be), slower,
    faster, cached (it was done before), or new (the instruction is). ``before`` is how many seconds it
    took then, 0 where it was cached or not there; ``why`` says what is known of the cause, ``""`` for
    nothing.
    """

    word: Word
    step: Step
    before: float
    now: float
    why: str = ""


class Comparison(NamedTuple):
    """What changed from one build to another, the most seconds first.

    Of builds that share no cell nothing is compared.
    """

    before: Build
    now: Build
    changes: tuple[Change, ...]

    @property
    def shared(self) -> set[str]:
        """The ids of the cells that both of them had."""
        return {one.id for one in self.before.cells} & {one.id for one in self.now.cells}

    @property
    def seconds(self) -> float:
        """How much longer the whole took."""
        return timeline.seconds_of(self.now) - timeline.seconds_of(self.before)


def compared(before: Build, now: Build) -> Comparison:
    """Compare the steps of Dockerfiles; those of cells that only one of the builds had are left out."""
    shared = {one.id for one in before.cells} & {one.id for one in now.cells}
    was, its = (_Steps([s for s in b.steps if shared.intersection(s.cells)]) for b in (before, now))
    reasons = _Reasons(was, its, _fingerprints(before, now), changed_inputs(before, now))
    changes = [change for step in its.written if (change := _change(step, reasons))]
    changes.sort(key=lambda one: -(one.now if one.word == "again" else abs(one.now - one.before)))
    return Comparison(before, now, tuple(changes))


class _Steps:
    """The steps of a build, by what they are and by where they stand."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.written = [one for one in steps if one.instruction]
        self.by_name = {(cell, one.name): one for one in self.written for cell in one.cells}
        self.by_place = {(cell, one.place): one for one in self.written for cell in one.cells}
        self.by_target = {
            (_target(cell), one.name): one for one in self.written for cell in one.cells
        }
        self.by_digest = {(one.bake, one.digest): one for one in steps}

    def like(self, step: Step, its: _Steps) -> Step | None:
        """Return the same instruction of the same cell; ``its`` are the steps of that one's build.

        What is the same for all platforms, as a COPY into scratch, is done for whichever comes first.
        """
        for cell in step.cells:
            if other := self.by_name.get((cell, step.name)):
                return other
        for cell in step.cells:
            other = self.by_target.get((_target(cell), step.name))
            if other and not any((one, step.place) in its.by_place for one in other.cells):
                return other
        return None

    def at(self, step: Step) -> Step | None:
        """Return what stands at the same place of the same cell."""
        return next(
            (o for cell in step.cells if (o := self.by_place.get((cell, step.place)))), None
        )

    def below(self, step: Step) -> Iterator[Step]:
        """Yield the instructions that a step needs, the nearest ones first.

        What a cached one needs is none of it: what came of that is as it was.
        """
        waiting, seen = [*step.inputs], {step.digest}
        while waiting:
            digest = waiting.pop(0)
            other = self.by_digest.get((step.bake, digest))
            if digest in seen or other is None:
                continue
            seen.add(digest)
            waiting += () if other.is_cached else other.inputs
            if other.instruction:
                yield other


def _target(cell: str) -> str:
    return cell.partition("@")[0]


def _change(step: Step, reasons: _Reasons) -> Change | None:
    other = reasons.before(step)
    now, before = _seconds(step), _seconds(other) if other else 0.0
    if other is None:
        return None if step.is_cached else Change("new", step, before, now, reasons.of(step))
    if other.is_cached and not step.is_cached:
        return Change("again", step, before, now, reasons.of(step))
    differs = abs(now - before)
    if step.is_cached and not other.is_cached:
        return Change("cached", step, before, now) if differs >= _LEAST_SECONDS else None
    why = reasons.of(step) if not step.is_cached and reasons.are_known_of(step) else ""
    if differs < _LEAST_SECONDS or differs < _LEAST_SHARE * max(now, before):
        return Change("again", step, before, now, why) if why else None
    return Change("slower" if now > before else "faster", step, before, now, why)


def _seconds(step: Step) -> float:
    return 0.0 if step.is_cached or step.ended is None else step.ended - step.started


class _Reasons:
    """Why a step was done again: the first one below it that was, and what is known of that."""

    def __init__(
        self,
        was: _Steps,
        its: _Steps,
        changed: Mapping[str, bool | None],
        inputs: Mapping[str, Sequence[str]],
    ) -> None:
        self._was, self._its, self._changed, self._inputs = was, its, changed, inputs

    def of(self, step: Step) -> str:
        """Return it in words, ``""`` where nothing is known."""
        redone = self._redone(step)
        if redone and not self._is_other(step):
            first = redone[-1]  # the farthest below
            why = self._own(first)
            return f"{_quoted(first)} before it was done again" + (f": {why}" if why else "")
        return self._own(step)

    def are_known_of(self, step: Step) -> bool:
        """Say whether something that is known changed for a step that was done both times."""
        return bool(self._redone(step)) or self._is_changed(step)

    def _redone(self, step: Step) -> list[Step]:
        """Return the steps below that can be why, the farthest last."""
        return [one for one in self._its.below(step) if not one.is_cached and self._is_cause(one)]

    def _is_changed(self, step: Step) -> bool:
        names = self._names(step)
        of_arguments = step.instruction == "RUN" and any(n.startswith("argument ") for n in names)
        return of_arguments or any(_read(step, names))

    def before(self, step: Step) -> Step | None:
        """Return what a step was."""
        return self._was.like(step, self._its)

    def _is_cause(self, step: Step) -> bool:
        """Say whether a step of below can be why: what is looked up each time is none."""
        if step.instruction == "FROM":
            return self._is_other(step)
        other = self.before(step)
        return other is None or other.is_cached or self._is_changed(step)

    def _is_other(self, step: Step) -> bool:
        return self.before(step) is None

    def _own(self, step: Step) -> str:
        if self._is_other(step):
            other = self._was.at(step)
            if other is None:
                return "it is new"
            if step.instruction == other.instruction == "FROM":
                return f"its base was {other.name.partition(' ')[2]}"
            given = [name for name in self._names(step) if name.startswith("argument ")]
            changed = f"; what changed{_listed(given)}" if given else ""
            return f"it was {_quoted(other)}{changed}"
        names = self._names(step)
        files = list(_read(step, names))
        if step.instruction in ("COPY", "ADD"):
            of_context = f"; of the context changed{_listed(files)}" if files else ""
            return f"the files that it copies changed{of_context}"
        known = [self._changed.get(cell) for cell in step.cells]
        if known and all(one is False for one in known):
            return "nothing that it depends on changed: the builder no longer had its result"
        left_out = (*_OF_FILES, *_OF_RESULT)
        others = [n for n in names if n in files or not n.startswith(left_out)]
        if others:
            return f"what its target depends on changed{_listed(others)}"
        return "" if any(known) else "the builder no longer had its result, or it is done each time"

    def _names(self, step: Step) -> list[str]:
        """Return what changed of all that the targets of a step depend on."""
        targets = dict.fromkeys(map(_target, step.cells))
        return list(dict.fromkeys(name for one in targets for name in self._inputs.get(one, ())))


def _read(step: Step, names: Sequence[str]) -> Iterator[str]:
    """Yield what of all that changed is of the contexts of which a step takes files."""
    its = taken(step.name)
    for name in names:
        kind, _, path = name.partition(" ")
        if kind == "context":
            is_its = any(one.origin == path for one in its)
        else:  # of contexts with many files none is named
            is_its = any(not o.origin and (kind == "a" or o.has(path)) for o in its)
        if name.startswith(_OF_FILES) and is_its:
            yield name


def _listed(names: Sequence[str]) -> str:
    """Return ``: a, b and 3 more``, ``""`` for none."""
    if not names:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f": {', '.join(names[:_NAMED])}{more}"


def changed_inputs(before: Build, now: Build) -> dict[str, list[str]]:
    """Return what changed of all that a target depends on, by target; those that are known of both."""
    found = {}
    for target, its in now.inputs.items():
        was = before.inputs.get(target)
        if was is not None:
            names = (*its, *(name for name in was if name not in its))
            found[target] = [name for name in names if its.get(name) != was.get(name)]
    return found


def _quoted(step: Step) -> str:
    text = " ".join(step.name.split())
    return f"`{text if len(text) <= _SHOWN else text[: _SHOWN - 1] + '…'}`"


def _fingerprints(before: Build, now: Build) -> dict[str, bool | None]:
    """Return whether what a cell depends on changed, by cell; None where that is not known."""
    was = {one.id: one.fingerprint for one in before.cells}
    return {
        one.id: one.fingerprint != was[one.id] if one.fingerprint and was.get(one.id) else None
        for one in now.cells
    }
