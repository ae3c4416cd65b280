"""Repositories in which parts and builds wait in; what nobody needs of them any more, removed, out."""

from __future__ import annotations

import datetime as dt
import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks import references
from buildx_tasks.building import staging
from buildx_tasks.errors import EngineError, MissingError, UsageError
from buildx_tasks.images.sources import RepositorySource
from buildx_tasks.joining import caches
from buildx_tasks.joining.letterbox import InRegistry, Part
from buildx_tasks.joining.reach import Node, removable
from buildx_tasks.planning.cells import reference_of
from buildx_tasks.planning.runs import require_id
from buildx_tasks.registry import listing, referrers, removal
from buildx_tasks.registry.referrers import subject_of
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from buildx_tasks.joining.records import Record
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.references import Reference
    from buildx_tasks.registry.manifests import Manifest
    from buildx_tasks.registry.repository import Repository
    from buildx_tasks.workspace import Workspace

_AT_ONCE = 8  # questions
_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}
_FIRST = dt.datetime(2000, 1, 1, tzinfo=dt.timezone.utc)  # before it, a time is a fixed one


class Wanted(NamedTuple):
    """What is to go: parts of the run ``id``, or, without one, what is older than so many seconds."""

    id: str
    seconds: float


class Stale(NamedTuple):
    """One tag that nobody needs any more, and why."""

    tag: str
    digest: str
    why: str


class Pile(NamedTuple):
    """What may go of one repository: tags, and the manifests that nothing kept can reach."""

    repository: Repository
    stale: tuple[Stale, ...]
    manifests: tuple[str, ...]
    held: tuple[str, ...]


class _Asking(NamedTuple):
    """What is to go, of which selected targets; ``caches`` are those that the file names, and stay."""

    wanted: Wanted
    selected: frozenset[str]
    declared: frozenset[str]
    caches: frozenset[str]

    def is_old(self, age: float | None) -> bool:
        return age is not None and age > self.wanted.seconds

    def means(self, record: Record, age: float | None) -> bool:
        """Say whether a part is meant: of a target that is selected, or that the file lacks."""
        if record.target in self.declared - self.selected:
            return False
        return record.run == self.wanted.id if self.wanted.id else self.is_old(age)


def wanted(run: str, older: str) -> Wanted:
    """Return what ``--id`` and ``--older`` mean.

    Raises:
        UsageError: no id, or no time as in ``7d``.

    """
    found = re.fullmatch(r"(\d{1,6})([mhdw])", older)
    if not found:
        raise UsageError(f'--older: "{older}" is no time; write it as in 12h, 7d or 2w')
    return Wanted(require_id(run) if run else "", int(found[1]) * _UNITS[found[2]])


def piles(workspace: Workspace, plan: Plan, asked: Wanted) -> Iterator[Pile]:
    """Yield what may go in each repository in which parts or builds of the selected images wait.

    Kept is what any other tag holds, what the ledger says was published, and what is about these.

    Raises:
        UsageError: an image has no tags.
        RegistryError: a registry does not say all that is needed to be sure.

    """
    known = _known(workspace)
    selected = frozenset(target.name for target in plan.images)
    declared = frozenset(plan.config.target)
    asking = _Asking(asked, selected, declared, caches.named(plan.config))
    for place, waiting in _places(plan, asked).items():
        repository = workspace.registries.repository(references.parse(place))
        try:
            tags = listing.tags(repository, whole=True)
        except MissingError:
            continue
        stale = list(_stale(repository, tags, asking, waiting, known))
        if not stale:
            continue
        going = {one.tag for one in stale}
        held = _read(repository, [tag for tag in tags if tag not in going])
        nodes = _tree(repository, (one.digest for one in stale))
        # A tag that only lists what is about something stale keeps nothing by itself.
        about = {one.digest: of for tag, one in held.items() if (of := subject_of(tag)) in nodes}
        kept = {one.digest for tag, one in held.items() if subject_of(tag) not in nodes} | known
        nodes.update(_tree(repository, kept | about.keys()))
        nodes.update({digest: nodes[digest]._replace(subject=of) for digest, of in about.items()})
        found = removable(nodes, kept, [one.digest for one in stale])
        staying = tuple(one.tag for one in stale if one.digest not in found)
        yield Pile(repository, tuple(stale), tuple(found), staying)


def remove(pile: Pile) -> None:
    """Remove what may go of one repository.

    Raises:
        RegistryError: the registry cannot delete, or does not come back; what is gone is gone.

    """
    for digest in pile.manifests:
        removal.remove(pile.repository, digest)


def _places(plan: Plan, asked: Wanted) -> dict[str, set[str]]:
    """Return the repositories, each with the targets whose builds wait there."""
    found: dict[str, set[str]] = {}
    for target in plan.images:
        found.setdefault(_home(references.parse(reference_of(target))), set()).add(target.name)
    if plan.config.ci.staging:
        found.setdefault(_home(references.parse(plan.config.ci.staging)), set())
    for place in () if asked.id else caches.places(plan.config):  # caches are of no one run
        found.setdefault(_home(place), set())
    return found


def _home(place: Reference) -> str:
    return f"{place.registry}/{place.repository}"


def _known(workspace: Workspace) -> set[str]:
    """Return the digests that the ledger says are published, or wait to be."""
    found = set()
    for entry in workspace.ledger.read():
        if entry["event"] in ("pushed", "promoted"):
            found |= {str(entry.get("digest", ""))}
        if entry["event"] == "built" and entry.get("staged"):
            found |= {str(entry["staged"]).rpartition("@")[2]}
    return found - {""}


def _stale(
    repository: Repository,
    tags: Iterable[str],
    asking: _Asking,
    waiting: Iterable[str],
    known: set[str],
) -> Iterator[Stale]:
    now = dt.datetime.now(dt.timezone.utc)
    box = InRegistry(repository)
    for tag in tags:
        if tag.startswith("part-"):
            found = box.part(tag)
            age = _age(found.record.at, now) if isinstance(found, Part) else None
            if isinstance(found, Part) and asking.means(found.record, age):
                why = f"part of the run {printable(found.record.run)}, {_days(age)}"
                yield Stale(tag, found.root.digest, why)
        elif asking.wanted.id:
            continue
        elif any(staging.is_of(tag, name) for name in waiting):
            index = repository.find(tag)
            age = _age_of(repository, index) if index and index.digest not in known else None
            if index and asking.is_old(age):
                yield Stale(tag, index.digest, f"a build that waits, {_days(age)}")
        elif cache := caches.unnamed(repository, tag, asking.caches):
            age = _age(cache.at, now)
            if asking.is_old(age):
                yield Stale(tag, cache.digest, f"{cache.what}, {_days(age)}")


def _age(at: str, now: dt.datetime) -> float | None:
    try:
        time = dt.datetime.fromisoformat(re.sub(r"\.\d+|Z$", "", at))
    except ValueError:
        return None
    time = time if time.tzinfo else time.replace(tzinfo=dt.timezone.utc)
    return (now - time).total_seconds() if time > _FIRST else None


def _age_of(repository: Repository, index: Manifest) -> float | None:
    """Return how many seconds ago an image was made, None where it does not say."""
    source = RepositorySource(repository)
    try:
        first = source.manifest(index.content.manifests[0].digest) if index.is_index else index
        config = first.content.config
        at = source.config(config).created if config else ""
    except (MissingError, EngineError, IndexError):
        return None
    return _age(at, dt.datetime.now(dt.timezone.utc))


def _days(age: float | None) -> str:
    if age is None:
        return "of an unknown age"
    return f"{age / 86400:.0f} days old" if age >= 86400 else f"{age / 3600:.0f} hours old"


def _read(repository: Repository, names: Sequence[str]) -> dict[str, Manifest]:
    """Return the manifests under tags or digests, by these; those that are not there are left out."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return {name: one for name, one in zip(names, pool.map(repository.find, names)) if one}


def _tree(repository: Repository, roots: Iterable[str]) -> dict[str, Node]:
    """Return all manifests below some, and about any of them, by digest; what is not there lists nothing.

    What is about something is known where the registry lists it, or where a tag holds it.
    """
    nodes: dict[str, Node] = {}
    waiting = sorted(set(roots))
    while waiting:
        found = _read(repository, waiting).values()
        nodes.update(dict.fromkeys(waiting, Node()))
        for one in found:
            subject = one.content.subject.digest if one.content.subject else ""
            nodes[one.digest] = Node(tuple(m.digest for m in one.content.manifests), subject)
        following = {digest for one in found for digest in nodes[one.digest].below}
        following |= {nodes[one.digest].subject for one in found} - {""}
        following |= _about(repository, [one.digest for one in found])
        waiting = sorted(following - nodes.keys())
    return nodes


def _about(repository: Repository, digests: Sequence[str]) -> set[str]:
    """Return what a registry that keeps such lists has about manifests."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        listed = pool.map(partial(referrers.by_registry, repository), digests)
        return {entry.digest for entries in listed for entry in entries or ()}


def lines(pile: Pile) -> Iterator[str]:
    """Yield what a person reads of one repository."""
    for one in pile.stale:
        kept = ", and kept: something else holds it" if one.tag in pile.held else ""
        yield f"{pile.repository.named(one.tag)}: {one.why}{kept}"
    number = len(pile.manifests)
    yield f"{pile.repository}: {number} manifest{'' if number == 1 else 's'} to go"
