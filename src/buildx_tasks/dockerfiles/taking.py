"""An instruction as BuildKit names its step in; which files of which context it takes, out. No I/O."""

from __future__ import annotations

import json
import posixpath
import re
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_COPIES = ("COPY", "ADD")
_MOUNT = re.compile(r"--mount=(\S+)")
_NONE = re.compile(r"<<|[a-z][a-z0-9+.-]*://|git@")  # here-documents and what is fetched


class Taken(NamedTuple):
    """What is taken of one context: ``origin`` is its name, ``""`` for the build's own.

    ``sources`` are paths and patterns from its root, ``""`` for all of it, ``excluded`` those of
    ``--exclude``.
    """

    origin: str
    sources: tuple[str, ...]
    excluded: tuple[str, ...] = ()

    def has(self, path: str) -> bool:
        """Say whether a path of the context is taken."""
        for source in self.sources:
            rest = _below(source, path)
            if rest is not None and not any(_is_at(one, path, rest) for one in self.excluded):
                return True
        return False


def taken(name: str) -> list[Taken]:
    """Return what an instruction takes of each context; variables in ``name`` are filled in."""
    keyword, _, rest = name.partition(" ")
    if keyword in _COPIES:
        return [_copied(rest)]
    return list(_mounted(rest)) if keyword == "RUN" else []


def _copied(text: str) -> Taken:
    flags: list[tuple[str, str]] = []
    rest = text.strip()
    while rest.startswith("--"):
        flag, *after = rest.split(None, 1)
        key, _, value = flag.partition("=")
        flags.append((key, value))
        rest = after[0] if after else ""
    words = rest.split()
    if rest.startswith("["):
        with suppress(ValueError, RecursionError):
            found = json.loads(rest)
            words = found if all(isinstance(one, str) for one in found) else words
    origin = next((value for key, value in flags if key == "--from"), "")
    excluded = tuple(_plain(value) for key, value in flags if key == "--exclude")
    return Taken(origin, tuple(_plain(one) for one in words[:-1] if not _NONE.match(one)), excluded)


def _mounted(text: str) -> Iterator[Taken]:
    for options in _MOUNT.findall(text):
        said = dict(one.partition("=")[::2] for one in options.split(","))
        if said.get("type", "bind") == "bind":
            source = said.get("source") or said.get("src") or ""
            yield Taken(said.get("from", ""), (_plain(source),))


def _plain(path: str) -> str:
    """Return a path from the root of its context; nothing is above that."""
    return posixpath.normpath(f"/{path}")[1:].lstrip("/")


def _below(source: str, path: str) -> str | None:
    """Return what of a path is below a source; None where it is not of it."""
    if not source:
        return path
    words, own = source.split("/"), path.split("/")
    if len(own) < len(words):
        return None
    if not all(_matches(word, one) for word, one in zip(words, own)):
        return None
    return "/".join(own[len(words) :])


def _is_at(pattern: str, path: str, rest: str) -> bool:
    """Say whether a pattern is of a path, from the context's root or from the source on."""
    return any(_covers(pattern.split("/"), one.split("/")) for one in (path, rest) if one)


def _covers(words: list[str], own: list[str]) -> bool:
    if not words:
        return True  # all below what it matches
    if words[0] == "**":
        return any(_covers(words[1:], own[at:]) for at in range(len(own)))
    return bool(own) and _matches(words[0], own[0]) and _covers(words[1:], own[1:])


def _matches(word: str, one: str) -> bool:
    """Say whether a word of a pattern matches a part of a path, by the rules of Go's filepath.Match."""
    if not set("*?[\\") & set(word):
        return word == one
    made, rest = "", word
    while rest:
        if rest[0] == "*":
            made, rest = f"{made}.*", rest[1:]
        elif rest[0] == "?":
            made, rest = f"{made}.", rest[1:]
        elif rest[0] == "[" and "]" in rest[2:]:
            end = rest.index("]", 2)
            inside = rest[1:end].replace("[", "\\[")
            made, rest = f"{made}[{inside}]", rest[end + 1 :]
        elif rest[0] == "\\" and len(rest) > 1:
            made, rest = made + re.escape(rest[1]), rest[2:]
        else:
            made, rest = made + re.escape(rest[0]), rest[1:]
    with suppress(re.error):
        return bool(re.fullmatch(made, one, re.DOTALL))
    return False
