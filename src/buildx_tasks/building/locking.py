"""A plan and ``buildx.lock`` in; the pins that it should have, and what is said of each, out."""

from __future__ import annotations

import datetime as dt
import fnmatch
import re
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.builders import choice
from buildx_tasks.building.bases import has, single
from buildx_tasks.building.below import Facts
from buildx_tasks.building.resolving import Found, Resolved
from buildx_tasks.building.standing import is_excluded, name_of, own_tags, readings
from buildx_tasks.errors import UsageError, listed, nearest
from buildx_tasks.language.lockfile import LOCK_FILE, Pin, text_of
from buildx_tasks.machine.files import PUBLIC, write_file
from buildx_tasks.planning.selection import make_plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from buildx_tasks.machine.things import Things
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.platforms import Platform
    from buildx_tasks.workspace import Workspace

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)")


class Needed(NamedTuple):
    """A name that builds read: where first, and for which platforms (none: a repository)."""

    place: str
    platforms: frozenset[Platform] = frozenset()


class Outcome(NamedTuple):
    """What came of it: the pins as they are now, a line for each that is new, moved or gone.

    ``notes`` are what a person should know, ``problems`` what makes it fail. ``current`` is what was
    checked: images by name, each with the digest that it has now and the platforms that are built on it.
    """

    pins: Mapping[str, Pin]
    lines: Sequence[str]
    notes: Sequence[str] = ()
    problems: Sequence[str] = ()
    current: Mapping[str, tuple[str, frozenset[Platform]]] = MappingProxyType({})

    @property
    def file(self) -> str:
        """The file's name, in the project's folder."""
        return LOCK_FILE

    @property
    def text(self) -> str:
        """The text of the file."""
        return text_of(self.pins)

    def summary(self, *, check: bool) -> str:
        """Return the last line, where all is well."""
        count = f"{LOCK_FILE}: {len(self.pins)} pinned"
        if check:
            return f"{count}, and nothing moved"
        return (
            f"{count}, {len(self.lines)} changed" if self.lines else f"{count}, nothing to change"
        )

    def failure(self, *, check: bool) -> str:
        """Return the error, where something is not."""
        count = len(self.problems)
        if check:
            return (
                f"{count} not as {LOCK_FILE} says; run invoke lock for what is missing, and "
                "invoke lock --update to move pins"
            )
        return f"{count} not as it should be; {LOCK_FILE} has the others: correct these, and run it again"


class _Names(NamedTuple):
    needed: dict[str, Needed]
    notes: list[str]


def add(workspace: Workspace, plan: Plan, names: Sequence[str] = ()) -> Outcome:
    """Return the lock with what it lacks of what the plan reads; what is pinned stays.

    Raises:
        UsageError: nothing of this name is read.

    """
    pins = dict(workspace.pins or {})
    needed, notes = _needed(workspace, plan)
    wanted = _chosen(needed, names)
    missing = [name for name in wanted if name not in pins]
    lines = []
    with _asking(workspace, missing) as asking:
        new = asking.pins(missing, needed)
    for name, pin in new.items():
        pins[name] = pin
        lines.append(f"locked {name} {pin.short}{_listed(pin)}")
    return Outcome(pins, lines, [*notes, *asking.notes], asking.problems)


def update(workspace: Workspace, plan: Plan, names: Sequence[str] = ()) -> Outcome:
    """Return the lock with its pins moved to what their names stand for now, and none too many.

    With ``names``, globs too, only those are looked at.

    Raises:
        UsageError: nothing of this name is read.

    """
    old = dict(workspace.pins or {})
    needed, notes = _needed(workspace, plan)
    wanted = _chosen(needed, names)
    pins, lines = dict(old), []
    with _asking(workspace, wanted) as asking:
        new = asking.pins(wanted, needed, old)
    for name, pin in new.items():
        before = old.get(name)
        pins[name] = pin
        if before is None:
            lines.append(f"locked {name} {pin.short}{_listed(pin)}")
        elif before.digest != pin.digest:
            lines.append(f"moved {name} {before.short} → {pin.short}{_changed(before, pin)}")
    for name in _unread(workspace, plan, old) if not names else ():
        del pins[name]
        lines.append(f"removed {name}: nothing reads it")
    return Outcome(pins, lines, [*notes, *asking.notes], asking.problems)


def check(workspace: Workspace, plan: Plan, names: Sequence[str] = ()) -> Outcome:
    """Say what the lock lacks, and what moved since: one HEAD for each image.

    Raises:
        UsageError: nothing of this name is read.

    """
    pins = workspace.pins or {}
    needed, notes = _needed(workspace, plan)
    wanted = _chosen(needed, names)
    missing = [name for name in wanted if name not in pins]
    problems = [f"missing {name} ({needed[name].place})" for name in missing]
    with _asking(workspace, wanted) as asking:
        now = asking.now(wanted)
    for name, found in now.items():
        pin = pins.get(name)
        if pin is None:
            continue
        if not found.digest:
            problems.append(f"not known {name}: {found.why}")
        elif found.digest != pin.digest:
            new = Pin(found.digest)
            problems.append(f"moved {name} {pin.short} → {new.short}")
            if why := asking.single(name, pin, found):
                problems.append(f"{LOCK_FILE}:{pin.line}:1: {name} {why}")
    unread = _unread(workspace, plan, pins) if not names else []
    notes += [f"{name} is pinned, and nothing reads it" for name in unread]
    current = {
        name: (one.digest, needed[name].platforms)
        for name, one in now.items()
        if one.digest and one.place != "git"
    }
    return Outcome(pins, (), notes, problems, current)


def write(workspace: Workspace, outcome: Outcome) -> bool:
    """Write the lock, whole or not at all, where it is another one; say whether it was."""
    if outcome.pins == (workspace.pins or {}):
        return False
    write_file(workspace.root / LOCK_FILE, outcome.text, PUBLIC)
    workspace.__dict__.pop("pins", None)  # to be read anew
    return True


def _needed(workspace: Workspace, plan: Plan) -> _Names:
    """Return what the plan reads that can be pinned, by name, and what is to be said of the rest."""
    own = own_tags(workspace)
    found: dict[str, Needed] = {}
    notes: dict[str, None] = {}
    for reading in readings(workspace, plan, choice.meant(workspace)):
        file = reading.build.file
        if reading.why:
            notes[f"{file}: what it reads is not known: {reading.why}"] = None
        for read in reading.reads:
            place = f"{file}:{read.line}" if read.line else file
            if read.kind == "file" or read.is_fixed:
                continue
            if read.unknown:
                notes[f"{place}: {read.unknown}"] = None
                continue
            name = name_of(read)
            if name in own:
                notes[f"{name} is what this project builds itself, and stays as it is"] = None
            elif not is_excluded(workspace, name):
                before = found.get(name, Needed(place))
                found[name] = before._replace(platforms=before.platforms.union(read.platforms))
    return _Names(found, list(notes))


def _chosen(needed: Mapping[str, Needed], names: Sequence[str]) -> list[str]:
    """Return which of what is needed is meant.

    Raises:
        UsageError: a name means none of it.

    """
    if not names:
        return sorted(needed)
    chosen: dict[str, None] = {}
    for name in names:
        found = fnmatch.filter(sorted(needed), name)
        found = found or [one for one in sorted(needed) if one.rpartition(":")[0] == name]
        if not found:
            hint = nearest(name, needed) or f"; read is: {listed(needed)}"
            raise UsageError(
                f'nothing that is selected reads "{name}"{hint} (a target is selected with -t)'
            )
        chosen.update(dict.fromkeys(found))
    return list(chosen)


def _unread(workspace: Workspace, plan: Plan, pins: Iterable[str]) -> list[str]:
    """Return the pins that nothing of the whole project reads."""
    # One by one: not all of them can be built together.
    read: set[str] = set()
    for name in workspace.config.target:
        read.update(_needed(workspace, make_plan(plan.config, [name])).needed)
    return [name for name in pins if name not in read]


@contextmanager
def _asking(workspace: Workspace, names: Sequence[str]) -> Iterator[_Asking]:
    """Yield who asks for names, each of which is shown meanwhile."""
    # What asks for a password asks for it on the terminal, and needs the cursor.
    shown = () if any(name.startswith(("git@", "ssh://")) for name in names) else names
    with workspace.things("asked for", shown) as things:
        yield _Asking(workspace, things)


class _Asking:
    """The registries and repositories asked for a lock, and what is to be said of their answers."""

    def __init__(self, workspace: Workspace, things: Things) -> None:
        self._workspace = workspace
        self._things = things
        builder = choice.meant(workspace)
        self._upstream = Resolved(workspace, builder, upstream=True, things=things)
        self._local = Resolved(workspace, choice.meant(workspace))
        self._hours = workspace.config.lock.hours
        self.notes: list[str] = []
        self.problems: list[str] = []

    def now(self, names: Iterable[str]) -> dict[str, Found]:
        """Return what names stand for now, upstream."""
        wanted = list(names)
        images = [name for name in wanted if not _is_address(name)]
        found = self._upstream.look(images)
        return {n: found[n] if n in found else self._upstream.commit(n) for n in wanted}

    def pins(
        self,
        names: Sequence[str],
        needed: Mapping[str, Needed],
        old: Mapping[str, Pin] | None = None,
    ) -> dict[str, Pin]:
        """Return the pins of names; a name is left out where it cannot be pinned now."""
        found = self.now(names)
        known = {n: one for n, one in found.items() if one.digest}
        for name in found.keys() - known.keys():
            self._refused(name, found[name], needed[name])
        images = {n: f"{n}@{one.digest}" for n, one in known.items() if one.place != "git"}
        facts = self._upstream.facts(images.values())
        pins = {}
        for name, one in known.items():
            its = facts.get(images.get(name, ""))
            if isinstance(its, str):
                self.problems.append(f"{name} is not locked: {its}")
                continue
            before = (old or {}).get(name)
            is_new = before is None or before.digest != one.digest
            if its and is_new and (why := self._too_young(images[name])):
                kept = f"stays at {before.short}" if before else "is not locked"
                self.notes.append(f"{name} {kept}: {one.digest[:19]} {why}")
                continue
            pins[name] = Pin(one.digest, tuple(sorted(map(str, its.platforms))) if its else ())
            self.problems += _lacking(name, its, needed[name]) if its else ()
        return pins

    def single(self, name: str, pin: Pin, upstream: Found) -> str:
        """Return what is to be said of a pin of one platform's manifest; ``""`` of any other."""
        if not upstream.is_index:
            return ""
        facts = self._upstream.facts([f"{name}@{pin.digest}"])[f"{name}@{pin.digest}"]
        return (
            single(pin.digest, upstream) if isinstance(facts, Facts) and not facts.is_index else ""
        )

    def _refused(self, name: str, found: Found, needed: Needed) -> None:
        if found.is_absent and not _is_address(name) and self._local.found(name).place == "store":
            self.notes.append(
                f"{name} ({needed.place}) is in this engine's store alone, and is not locked; "
                f'[lock] exclude = ["{name}"] says that it stays so'
            )
        else:
            self.problems.append(f"{name} ({needed.place}) is not locked: {found.why}")

    def _too_young(self, name: str) -> str:
        """Return why an image is not old enough; ``""`` where it is."""
        if not self._hours:
            return ""
        cooldown = self._workspace.config.lock.cooldown
        with self._things.at(name.partition("@")[0], "is asked for when it was made"):
            created = self._upstream.created(name)
        match = _TIME.fullmatch(created)
        if not match:
            return f"does not say when it was made, and cooldown is {cooldown}"
        zone = "+00:00" if match[2] == "Z" else match[2]
        age = dt.datetime.now(dt.timezone.utc) - dt.datetime.fromisoformat(match[1] + zone)
        if age >= dt.timedelta(hours=self._hours):
            return ""
        return f"was made {match[1]}Z, and cooldown is {cooldown}"


def _is_address(name: str) -> bool:
    return "://" in name or name.startswith(("git@", "github.com/"))


def _lacking(name: str, facts: Facts, needed: Needed) -> Iterator[str]:
    for wanted in sorted(needed.platforms):
        if not has(facts.platforms, wanted):
            there = listed(map(str, facts.platforms))
            yield f"{needed.place}: {name} has no {wanted}; it has {there}"


def _listed(pin: Pin) -> str:
    return f" ({', '.join(pin.platforms)})" if pin.platforms else ""


def _changed(old: Pin, new: Pin) -> str:
    """Return which platforms came and went."""
    if not old.platforms:
        return ""
    came = sorted(set(new.platforms) - set(old.platforms))
    went = sorted(set(old.platforms) - set(new.platforms))
    words = [f"+ {one}" for one in came] + [f"- {one}" for one in went]
    return f" ({', '.join(words)})" if words else ""
