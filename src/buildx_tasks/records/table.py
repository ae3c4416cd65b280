"""Entries of the ledger in; the rows of a table that a person reads, out."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import TYPE_CHECKING

from buildx_tasks.errors import UsageError, listed, nearest
from buildx_tasks.records.entries import manifests_of, text_of
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from buildx_tasks.records.entries import Entry

HEADINGS = ("when (UTC)", "event", "what", "digest", "remark")
EVENTS = frozenset(
    "created chosen removed built left kept pulled verified failed part pushed promoted artifact".split()
)
_SUBJECTS = ("target", "cell", "tag", "reference", "builder")
_SHORT = len("sha256:") + 12
_VERIFIED = {
    "passed": "verified passed",
    "unchecked": "unchecked",
    "no": "not verified (--no-verify)",
}


def chosen(
    entries: Sequence[Entry], targets: Collection[str] | None, events: Collection[str]
) -> list[Entry]:
    """Return the entries of these targets (None: of anything) and events (none: all), newest first.

    A promoted or pulled image is of the targets under which its digest was built, verified or pushed.

    Raises:
        UsageError: an event that neither is known nor occurs.

    """
    known = EVENTS.union(text_of(entry, "event") for entry in entries)
    for event in events:
        if event not in known:
            hint = nearest(event, known) or f"; known: {listed(known)}"
            raise UsageError(f'--event: unknown event "{event}"{hint}')
    owners = _owners(entries) if targets is not None else {}
    return [
        entry
        for entry in reversed(entries)
        if not events or entry["event"] in events
        if targets is None or not _targets(entry, owners).isdisjoint(targets)
    ]


def _owners(entries: Iterable[Entry]) -> dict[str, set[str]]:
    """Return by digest, of an index or of a platform, the targets that it was made for."""
    owners: dict[str, set[str]] = {}
    for entry in entries:
        if target := _target(entry):
            for digest in (text_of(entry, "digest"), *manifests_of(entry).values()):
                owners.setdefault(digest, set()).add(target)
    owners.pop("", None)
    return owners


def _targets(entry: Entry, owners: Mapping[str, set[str]]) -> set[str]:
    if target := _target(entry):
        return {target}
    digest = text_of(entry, "digest") or text_of(entry, "reference").rpartition("@")[2]
    return owners.get(digest, set())


def _target(entry: Entry) -> str:
    return text_of(entry, "target") or text_of(entry, "cell").partition("@")[0]


def rows(entries: Sequence[Entry], *, every: bool = False) -> list[tuple[str, ...]]:
    """Return entries as rows under :data:`HEADINGS`, in their order.

    Cells of one target that were verified at the same time share a row; with ``every`` each has its
    own, and pushes say the versions of what pushed.
    """
    found = []
    for _, group in itertools.groupby(entries, lambda entry: None if every else _together(entry)):
        members = list(group)
        if every or len(members) == 1 or members[0]["event"] != "verified":
            found += [_row(entry, every=every) for entry in members]
        else:
            # Newest first turns the cells of one verification around.
            cells = [text_of(entry, "cell") for entry in reversed(members)]
            platforms = ", ".join(cell.partition("@")[2] or "the whole" for cell in cells)
            what = f"{_target(members[0])}: {len(cells)} cells"
            found.append((_when(members[0]), "verified", what, "", platforms))
    return [tuple(printable(text) for text in row) for row in found]


def _together(entry: Entry) -> tuple[str, str, str]:
    return text_of(entry, "event"), text_of(entry, "at"), _target(entry)


def _row(entry: Entry, *, every: bool) -> tuple[str, ...]:
    event, digest = text_of(entry, "event"), text_of(entry, "digest")
    # What was pushed or promoted is a tag; the others have but one of these.
    subjects = ("tag",) if event in ("pushed", "promoted", "artifact") else _SUBJECTS
    what = next((text for key in subjects if (text := text_of(entry, key))), "")
    if event == "pulled" and not digest:
        what, _, digest = what.partition("@")
    remarks = [remark for remark in _remarks(entry) if remark]
    if every and isinstance(versions := entry.get("versions"), dict):
        remarks += [f"{name} {version}" for name, version in versions.items()]
    return _when(entry), event, what, digest, ", ".join(remarks)


def _remarks(entry: Entry) -> Iterator[str]:
    event = entry["event"]
    if event == "built":
        platforms = entry.get("platforms")
        yield from map(str, platforms if isinstance(platforms, list) else ())
        yield "staged" if text_of(entry, "staged") else ""
    elif event == "pushed":
        verified = text_of(entry, "verified")
        yield _VERIFIED.get(verified, verified)
        yield text_of(entry, "way")
    elif event == "artifact":
        yield from (text_of(entry, "artifact"), text_of(entry, "type"))
    elif event == "part":
        yield from (text_of(entry, "platform"), text_of(entry, "tag"))
    elif event == "promoted":
        source = text_of(entry, "from")
        # The digest has a column of its own.
        yield f"from {source.removesuffix('@' + text_of(entry, 'digest'))}"
    elif event in ("created", "removed"):
        yield text_of(entry, "driver")
    if was := text_of(entry, "was"):
        yield "as before" if was == text_of(entry, "digest") else f"was {was[:_SHORT]}…"


def _when(entry: Entry) -> str:
    at = text_of(entry, "at")
    try:
        # Python 3.9 does not know Z.
        time = dt.datetime.fromisoformat(f"{at[:-1]}+00:00" if at.endswith("Z") else at)
        utc = time.replace(tzinfo=dt.timezone.utc) if time.tzinfo is None else time
        return utc.astimezone(dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        return at
