"""What types cannot say of ``[target.NAME.verify]``: found when the file is loaded, not in a run."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from buildx_tasks import platforms
from buildx_tasks.language.expectations import KINDS, OF_FILES, OF_THE_WHOLE, name_of
from buildx_tasks.language.placeholders import IN_BRACES, OF_A_PLATFORM, misspelt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.language.positions import KeyPath

_FOR_PLATFORMS = ("only", "skip", "xfail")
_SAYS_NOTHING = {
    "size": "write compressed, unpacked or growth",
    "config": "write what the image must say, as in user or labels",
    "files": 'write a path, as in files."/app/hello" = { mode = "0755" }',
}


def faults(table: dict[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Give what is wrong in a verify table as it is written, each with where in it."""
    if not table:
        return  # most targets of a large file declare none
    yield from same_names(table)
    for path, message in _of_table(table):
        yield path, message
    for number, check in enumerate(table.get("check", ())):
        where = ("check", number)
        kinds = _kinds(check)
        name = check["name"]
        for path, message in (*_of_command(check), *_of_files(check)):
            yield (*where, *path), message
        if not kinds:
            yield where, f'check "{name}" checks nothing; add one of: {", ".join(KINDS)}'
        for path, message in _of_table(check):
            yield (*where, *path), message
        if set(kinds) <= OF_THE_WHOLE:
            for key in _FOR_PLATFORMS:
                if kinds and check.get(key):
                    yield (
                        (*where, key),
                        f'check "{name}" is about the whole image, not one platform; remove {key}',
                    )


def _of_command(check: dict[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Give what is wrong in what a check says of its command."""
    if "command" not in check:
        for key in ("report", "fresh", "timeout", "memory"):
            if key in check:
                yield (
                    (key,),
                    f'{key} is of a command, and check "{check["name"]}" has none; remove it',
                )
    elif check.get("report", "none") == "none" and any(
        "{report}" in one for one in check["command"]
    ):
        yield (
            ("command",),
            '{report} is a file for a report; write report = "sarif", "junit" or "json"',
        )


def _of_files(check: dict[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Give what is wrong in what a check says of another program's file."""
    if check.get("xfail"):
        for kind in sorted(OF_FILES & check.keys()):
            yield (
                ("xfail",),
                f"xfail is of one check, and the file of {kind} has many; use skip, or a file of its own",
            )


def same_names(table: dict[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Give the checks of a verify table whose results would have the name of another one's."""
    names = set(_kinds(table))
    for number, check in enumerate(table.get("check", ())):
        where, name = ("check", number, "name"), check["name"]
        if name in names:
            yield where, f'there is another check "{name}"; give each a name of its own'
        kinds = [kind for kind in _kinds(check) if kind not in OF_THE_WHOLE]
        parts = {name_of(name, kind, len(kinds)): kind for kind in kinds}
        for part in names & parts.keys() - {name}:
            what = f'which is what the {parts[part]} of "{name}" is called'
            yield where, f'there is another check "{part}", {what}; give each a name of its own'
        names |= {name, *parts}


def named_platforms(table: dict[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Give the platforms that a verify table names, each with where in it."""
    for key in _FOR_PLATFORMS:
        for step, text in _steps(table.get(key, ())):
            yield (key, step), text
    for number, check in enumerate(table.get("check", ())):
        for path, text in named_platforms(check):
            yield ("check", number, *path), text


def _kinds(table: dict[str, Any]) -> list[str]:
    return [kind for kind in KINDS if table.get(kind) not in (None, False)]


def _of_table(table: dict[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    seen: dict[str, dict[Any, str]] = {}
    for key in _FOR_PLATFORMS:
        for step, text in _steps(table.get(key, ())):
            try:
                seen.setdefault(key, {})[platforms.parse(text)] = text
            except ValueError as error:
                yield (key, step), str(error)
    for platform in seen.get("skip", {}).keys() & seen.get("xfail", {}).keys():
        text = seen["xfail"][platform]
        yield ("xfail", text), f"{text} is in skip as well, and is not run; keep one"
    for kind in KINDS:
        said = table.get(kind)
        yield from _placeholders((kind,), said, of_whole=kind in OF_THE_WHOLE)
        if said == {} and kind in _SAYS_NOTHING:
            yield (kind,), f'"{kind}" says nothing; {_SAYS_NOTHING[kind]}'
        elif isinstance(said, dict):
            yield from _inside((kind,), said)


def _placeholders(path: KeyPath, said: Any, *, of_whole: bool) -> Iterator[tuple[KeyPath, str]]:
    """Give the words in braces that are nearly placeholders; other braces stay, as in JSON."""
    if isinstance(said, dict):
        for key, value in said.items():
            yield from _placeholders((*path, key), key, of_whole=of_whole)
            yield from _placeholders((*path, key), value, of_whole=of_whole)
    elif isinstance(said, list):
        for number, value in enumerate(said):
            yield from _placeholders((*path, number), value, of_whole=of_whole)
    elif isinstance(said, str):
        for word in IN_BRACES.findall(said):
            if wrong := misspelt(word):
                yield path, wrong
            elif of_whole and word in OF_A_PLATFORM:
                yield path, f"{{{word}}} is of one platform, and this of the whole image; remove it"


def _steps(value: Any) -> Iterator[tuple[Any, str]]:
    return ((text, text) for text in value) if isinstance(value, dict) else enumerate(value)


def _inside(path: KeyPath, table: dict[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    for key, value in table.items():
        where = (*path, key)
        if key == "matches" and isinstance(value, str):
            try:
                re.compile(value)
            except re.error as error:
                yield where, f'"{value}" is no regular expression: {error}; correct it'
        elif key == "exists" and value is False and len(table) > 1:
            others = ", ".join(name for name in table if name != "exists")
            yield where, f"nothing that does not exist has {others}; remove one or the other"
        elif key == "json-at":
            for pointer in value:
                if pointer and not pointer.startswith("/"):
                    yield (
                        (*where, pointer),
                        f'"{pointer}" is no JSON pointer; write "/{pointer.replace(".", "/")}"',
                    )
        elif key == "mounts":
            for number, mount in enumerate(value):
                source = PurePosixPath(mount["source"])
                if source.is_absolute() or ".." in source.parts:
                    yield (
                        (*where, number, "source"),
                        f'"{source}" must be a path below the project\'s folder; copy it there',
                    )
        elif isinstance(value, dict) and key not in ("json", "env", "labels", "annotations"):
            yield from _inside(where, value)
