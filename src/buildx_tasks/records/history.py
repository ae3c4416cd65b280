"""What the ledger tells people: a table of all that happened, and the release notes of the last push.

The ledger may be typed by hand or come from an earlier version: no field but ``event`` and ``at`` is
relied on, and nothing of it reaches a terminal raw.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks import references
from buildx_tasks.errors import UsageError, listed, nearest
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    Entry = Mapping[str, Any]

HEADINGS = ("when (UTC)", "event", "what", "digest", "remark")
EVENTS = frozenset(
    "created chosen removed built kept pulled verified failed pushed promoted".split()
)
_SUBJECTS = ("target", "cell", "tag", "reference", "builder")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
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
    known = EVENTS.union(_text(entry, "event") for entry in entries)
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
            for digest in (_text(entry, "digest"), *_manifests(entry).values()):
                owners.setdefault(digest, set()).add(target)
    owners.pop("", None)
    return owners


def _targets(entry: Entry, owners: Mapping[str, set[str]]) -> set[str]:
    if target := _target(entry):
        return {target}
    digest = _text(entry, "digest") or _text(entry, "reference").rpartition("@")[2]
    return owners.get(digest, set())


def _target(entry: Entry) -> str:
    return _text(entry, "target") or _text(entry, "cell").partition("@")[0]


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
            cells = [_text(entry, "cell") for entry in reversed(members)]
            platforms = ", ".join(cell.partition("@")[2] or "the whole" for cell in cells)
            what = f"{_target(members[0])}: {len(cells)} cells"
            found.append((_when(members[0]), "verified", what, "", platforms))
    return [tuple(printable(text) for text in row) for row in found]


def _together(entry: Entry) -> tuple[str, str, str]:
    return _text(entry, "event"), _text(entry, "at"), _target(entry)


def _row(entry: Entry, *, every: bool) -> tuple[str, ...]:
    event, digest = _text(entry, "event"), _text(entry, "digest")
    # What was pushed or promoted is a tag; the others have but one of these.
    subjects = ("tag",) if event in ("pushed", "promoted") else _SUBJECTS
    what = next((text for key in subjects if (text := _text(entry, key))), "")
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
        yield "staged" if _text(entry, "staged") else ""
    elif event == "pushed":
        verified = _text(entry, "verified")
        yield _VERIFIED.get(verified, verified)
        yield _text(entry, "way")
    elif event == "promoted":
        source = _text(entry, "from")
        # The digest has a column of its own.
        yield f"from {source.removesuffix('@' + _text(entry, 'digest'))}"
    elif event in ("created", "removed"):
        yield _text(entry, "driver")
    if was := _text(entry, "was"):
        yield "as before" if was == _text(entry, "digest") else f"was {was[:_SHORT]}…"


def _when(entry: Entry) -> str:
    at = _text(entry, "at")
    try:
        # Python 3.9 does not know Z.
        time = dt.datetime.fromisoformat(f"{at[:-1]}+00:00" if at.endswith("Z") else at)
        utc = time.replace(tzinfo=dt.timezone.utc) if time.tzinfo is None else time
        return utc.astimezone(dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        return at


def _text(entry: Entry, key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""


def _manifests(entry: Entry) -> dict[str, str]:
    """Return an entry's digests by platform."""
    value = entry.get("manifests")
    known = value.items() if isinstance(value, dict) else ()
    return {platform: digest for platform, digest in known if isinstance(digest, str)}


class Released(NamedTuple):
    """One tag of the last push: its digest, those of its platforms, and whether it was verified.

    ``manifests`` is empty where an earlier version pushed; ``verified`` is as in the ledger.
    """

    tag: str
    digest: str
    platforms: tuple[str, ...]
    manifests: dict[str, str]
    verified: str

    @property
    def repository(self) -> str:
        """The tag's reference without the tag."""
        folder, slash, name = self.tag.rpartition("/")
        return f"{folder}{slash}{name.partition(':')[0]}"


def released(
    entries: Sequence[Entry], targets: Iterable[str], *, strangers: bool
) -> dict[str, list[Released]]:
    """Return the tags that hold what was pushed last of each target, by target, as far as is known here.

    Promoted ones are among them. With ``strangers``, the target ``""`` has what was promoted without
    having been pushed from here. A target without a push is left out.
    """
    moves = [
        entry
        for entry in entries
        if entry["event"] in ("pushed", "promoted")
        if _text(entry, "tag") and _DIGEST.fullmatch(_text(entry, "digest"))
    ]
    # A tag that has moved on since is no part of the push that it belonged to.
    newest: dict[str, Entry] = {}
    for move in moves:
        key = _complete(move["tag"])
        newest.pop(key, None)
        newest[key] = move
    pushes = [move for move in moves if move["event"] == "pushed"]
    last = {_text(move, "target"): move["digest"] for move in pushes}
    found: dict[str, list[Released]] = {}
    for target in targets:
        for key, move in tuple(newest.items()):
            ours = move["event"] == "promoted" or _text(move, "target") == target
            if ours and move["digest"] == last.get(target):
                found.setdefault(target, []).append(_released(move, entries))
                del newest[key]  # two targets may be the same image
    if strangers:
        ours_too = {move["digest"] for move in pushes}
        others = [move for move in newest.values() if move["digest"] not in ours_too]
        if others:
            found[""] = [_released(move, entries) for move in others]
    return found


def _complete(tag: str) -> str:
    try:
        return str(references.parse(tag))
    except ValueError:
        return tag


def _released(move: Entry, entries: Iterable[Entry]) -> Released:
    """Complete what an entry says by what others say of the same digest."""
    same = [move, *(e for e in entries if _text(e, "digest") == move["digest"])]
    manifests = next((known for entry in same if (known := _manifests(entry))), {})
    built = (e.get("platforms") for e in same if e["event"] == "built")
    listed_there = next((known for known in built if isinstance(known, list) and known), [])
    # What was promoted is verified if any push of the same digest was.
    pushed = [word for e in same if e["event"] == "pushed" and (word := _text(e, "verified"))]
    word = _text(move, "verified") or next(
        (w for w in pushed if w == "passed"), "".join(pushed[-1:])
    )
    return Released(
        move["tag"],
        move["digest"],
        tuple(map(str, manifests or listed_there)),
        manifests,
        word,
    )


def release_notes(tags: Iterable[Released]) -> str:
    """Return tags as a markdown table of references that ``docker pull`` takes; platforms below tags.

    The platforms of an image are listed once for each repository, after the last tag it has there.
    """
    lines = ["| image | platforms | by digest | verified |", "| --- | --- | --- | --- |"]
    by_image: dict[tuple[str, str], list[Released]] = {}
    for one in tags:
        by_image.setdefault((one.repository, one.digest), []).append(one)
    for (repository, digest), group in by_image.items():
        for one in group:
            platforms = ", ".join(map(_markdown, one.platforms))
            word = {"no": "no (`--no-verify`)"}.get(one.verified, _markdown(one.verified))
            cells = (_code(one.tag), platforms, _code(f"{one.tag}@{digest}"), word)
            lines.append(f"| {' | '.join(cells)} |")
        for platform, manifest in group[-1].manifests.items():
            if manifest != digest:  # an image of one platform may have no index
                exact = _code(f"{repository}@{manifest}")
                lines.append(f"| | {_markdown(platform)} | {exact} | |")
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    """Return text as a code span in a table: in more backticks than there are in it."""
    most = max((len(run) for run in re.findall("`+", text)), default=0)
    fence, space = "`" * (most + 1), " " if most else ""
    return f"{fence}{space}{printable(text)}{space}{fence}".replace("|", r"\|")


def _markdown(text: str) -> str:
    """Return text that means itself in a table's cell."""
    return re.sub(r"([\\`*_\[\]<>|~&!])", r"\\\1", printable(text))
