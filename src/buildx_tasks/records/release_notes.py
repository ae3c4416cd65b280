"""Entries of the ledger in; the release notes of the last push, as markdown, out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks import references
from buildx_tasks.records.entries import DIGEST, manifests_of, text_of
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from buildx_tasks.records.entries import Entry


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
    entries: Sequence[Entry], targets: Iterable[str], *, strangers: bool, version: str = ""
) -> dict[str, list[Released]]:
    """Return the tags that hold what was pushed last of each target, by target, as far as is known here.

    Promoted ones are among them. With ``strangers``, the target ``""`` has what was promoted without
    having been pushed from here. A target without a push is left out. What was built of a tree with
    changes (``-dirty``) is no release; of a ``version``, the last push under a tag of it is meant.
    """
    moves = [
        entry
        for entry in entries
        if entry["event"] in ("pushed", "promoted")
        if text_of(entry, "tag") and DIGEST.fullmatch(text_of(entry, "digest"))
    ]
    # A tag that has moved on since is no part of the push that it belonged to.
    newest: dict[str, Entry] = {}
    for move in moves:
        key = _complete(move["tag"])
        newest.pop(key, None)
        newest[key] = move
    pushes = [move for move in moves if move["event"] == "pushed"]
    clean = {move["digest"] for move in moves if _is_version(_tag(move))}
    dirty = {move["digest"] for move in moves if _is_dirty(_tag(move))} - clean
    wanted = [move for move in pushes if not version or _is_of(version, _tag(move))]
    last = {
        text_of(move, "target"): move["digest"]
        for move in wanted
        if move["digest"] not in dirty and not _is_dirty(_tag(move))
    }
    for key, move in tuple(newest.items()):
        if move["digest"] in dirty or _is_dirty(_tag(move)):
            del newest[key]
    found: dict[str, list[Released]] = {}
    for target in targets:
        for key, move in tuple(newest.items()):
            ours = move["event"] == "promoted" or text_of(move, "target") == target
            if ours and move["digest"] == last.get(target):
                found.setdefault(target, []).append(_released(move, entries))
                del newest[key]  # two targets may be the same image
    if strangers:
        ours_too = {move["digest"] for move in pushes}
        others = [
            move
            for move in newest.values()
            if move["digest"] not in ours_too and (not version or _is_of(version, _tag(move)))
        ]
        if others:
            found[""] = [_released(move, entries) for move in others]
    return found


def _tag(move: Entry) -> str:
    """Return the tag without its repository."""
    _, colon, tag = str(move["tag"]).rpartition("/")[2].partition(":")
    return tag if colon else "latest"


def _is_dirty(tag: str) -> bool:
    return "dirty" in re.split("[-_.]", tag)


def _is_version(tag: str) -> bool:
    return bool(re.match(r"v?\d", tag)) and not _is_dirty(tag)


def _is_of(version: str, tag: str) -> bool:
    """Say whether a tag is that version, or a form of it, as ``v1.2-alpine``; not one before it."""
    wanted, found = version.removeprefix("v"), tag.removeprefix("v")
    rest = found[len(wanted) :] if found.startswith(wanted) else "?"
    return not rest or bool(re.match(r"-(?!(rc|alpha|beta|pre|dev)\b|\d)", rest))


def _complete(tag: str) -> str:
    try:
        return str(references.parse(tag))
    except ValueError:
        return tag


def _released(move: Entry, entries: Iterable[Entry]) -> Released:
    """Complete what an entry says by what others say of the same digest."""
    same = [move, *(e for e in entries if text_of(e, "digest") == move["digest"])]
    manifests = next((known for entry in same if (known := manifests_of(entry))), {})
    built = (e.get("platforms") for e in same if e["event"] == "built")
    listed_there = next((known for known in built if isinstance(known, list) and known), [])
    # What was promoted is verified if any push of the same digest was.
    pushed = [word for e in same if e["event"] == "pushed" and (word := text_of(e, "verified"))]
    word = text_of(move, "verified") or next(
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
