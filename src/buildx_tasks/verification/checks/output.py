"""What a program printed, or a service answered, against what is expected of it."""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import msgspec

from buildx_tasks.text import printable
from buildx_tasks.verification.outside import goregex
from buildx_tasks.verification.outside.structure import Patterns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.language.expectations import Output

_MOST = 300  # characters shown of a text
_MOST_DIFFERENCES = 5  # of JSON
_LEAD = 100  # characters shown before the first difference of long lines
_INDEX = re.compile("0|[1-9][0-9]*")
_NOTHING = object()


def problems(stream: str, expected: str | Output | Patterns | None, text: str) -> list[str]:
    """Return what is wrong with the ``text`` of ``stream`` (what a person calls it), a line each.

    A plain text is the whole of it; newlines at the end of either do not count.
    """
    if expected is None:
        return []
    if isinstance(expected, str):
        return [f"{stream}: {problem}" for problem in _unequal(expected, text)]
    if isinstance(expected, Patterns):
        return [f"{stream}: {problem}" for problem in unmatched(expected, text)]
    return [f"{stream}: {problem}" for problem in _all(expected, text)]


def unmatched(expected: Patterns, text: str) -> Iterator[str]:
    """Give which expressions of Go are not found, and which are found and must not be."""
    for pattern in expected.found:
        if not goregex.compiled(pattern).search(text):
            yield f"expected to match {quoted(pattern)}, got {quoted(text)}"
    for pattern in expected.absent:
        if found := goregex.compiled(pattern).search(text):
            yield f"expected no match of {quoted(pattern)}, got {quoted(found[0])}"


def quoted(text: str, start: int = 0) -> str:
    """Return text in quotes, printable, and no more than can be read at once, from ``start`` on."""
    end = start + _MOST
    before = "…" if start else ""
    after = f"… ({len(text):,} characters)" if len(text) > end else ""
    return f'"{before}{printable(text[start:end])}{after}"'


def _all(expected: Output, text: str) -> Iterator[str]:
    if expected.equals is not None:
        yield from _unequal(expected.equals, text)
    got = text.rstrip("\n")
    for part in expected.contains:
        if part not in text:
            yield f"expected to contain {quoted(part)}, got {quoted(got)}"
    if expected.matches is not None:
        try:
            matched = re.search(expected.matches, text, re.MULTILINE)
        except re.error as error:  # only a placeholder can make it one
            yield f"{quoted(expected.matches)} is no regular expression: {error}; correct it"
        else:
            if not matched:
                yield f"expected to match {quoted(expected.matches)}, got {quoted(got)}"
    if expected.json is not None or expected.json_at:
        yield from _of_json(expected, got)


def _unequal(expected: str, text: str) -> Iterator[str]:
    wanted, got = expected.rstrip("\n"), text.rstrip("\n")
    if wanted == got:
        return
    wanted_lines, got_lines = (one.split("\n") for one in (wanted, got))
    if len(wanted_lines) == len(got_lines) == 1 or not wanted or not got:
        start = _window(wanted, got)
        yield f"expected {quoted(wanted, start)}, got {quoted(got, start)}"
        return
    pairs = zip_longest(wanted_lines, got_lines)
    number, (want, have) = next((n, (a, b)) for n, (a, b) in enumerate(pairs, 1) if a != b)
    if have is None:
        yield f"expected line {number} to be {quoted(want)}, but there are {number - 1} lines"
    elif want is None:
        yield f"expected {number - 1} lines, but line {number} is {quoted(have)}"
    else:
        start = _window(want, have)
        yield f"expected line {number} to be {quoted(want, start)}, got {quoted(have, start)}"


def _window(a: str, b: str) -> int:
    """Return where to begin showing two different texts, so that the difference is seen."""
    same = next((at for at, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    return max(0, same - _LEAD) if same > _MOST - _LEAD else 0


def _of_json(expected: Output, text: str) -> Iterator[str]:
    try:
        whole = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        yield f"expected JSON, got {quoted(text)} ({printable(str(error))})"
        return
    found: list[str] = []
    if expected.json is not None:
        found += _differences("", _plain(expected.json), whole)
    for pointer, value in expected.json_at.items():
        there, missing = _at(whole, pointer)
        if missing:
            found.append(f"at {printable(pointer)} expected {_shown(_plain(value))}, but {missing}")
        else:
            found += _differences(pointer, _plain(value), there)
    yield from found[:_MOST_DIFFERENCES]
    if len(found) > _MOST_DIFFERENCES:
        yield f"and {len(found) - _MOST_DIFFERENCES} more differences"


def _at(whole: Any, pointer: str) -> tuple[Any, str]:
    """Return what is at a JSON pointer, or why nothing is.

    Source: https://www.rfc-editor.org/rfc/rfc6901
    """
    at, value = "", whole
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        where = printable(at) or "the whole"
        if isinstance(value, dict):
            if key not in value:
                return None, f"{where} has no {quoted(key)}"
            value = value[key]
        elif isinstance(value, list):
            if not _INDEX.fullmatch(key) or int(key) >= len(value):
                return None, f"{where} has {len(value)} items, and no {quoted(key)}"
            value = value[int(key)]
        else:
            return None, f"{where} is {_shown(value)}"
        at += f"/{token}"
    return value, ""


def _differences(pointer: str, expected: Any, got: Any) -> Iterator[str]:
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in [*expected, *(key for key in got if key not in expected)]:
            token = key.replace("~", "~0").replace("/", "~1")
            yield from _differences(
                f"{pointer}/{token}", expected.get(key, _NOTHING), got.get(key, _NOTHING)
            )
    elif isinstance(expected, list) and isinstance(got, list):
        for number, (want, have) in enumerate(zip_longest(expected, got, fillvalue=_NOTHING)):
            yield from _differences(f"{pointer}/{number}", want, have)
    elif expected != got or isinstance(expected, bool) != isinstance(got, bool):
        # To Python, True is 1.
        where = f"at {printable(pointer)} " if pointer else ""
        yield f"{where}expected {_shown(expected)}, got {_shown(got)}"


def _plain(value: Any) -> Any:
    """Return what TOML says as JSON has it: times as texts."""
    return msgspec.to_builtins(value)


def _shown(value: Any) -> str:
    if value is _NOTHING:
        return "nothing"
    text = printable(msgspec.json.encode(value).decode())
    return text if len(text) <= _MOST else f"{text[:_MOST]}… ({len(text):,} characters)"
