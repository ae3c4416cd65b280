"""What goss finds, and what a file of goss expects of it, in; what is wrong with it out.

Source: https://github.com/goss-org/goss/blob/master/docs/gossfile.md#matchers
"""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any

from buildx_tasks.text import json_line, printable
from buildx_tasks.verification.outside import goregex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from buildx_tasks.machine.yaml_files import Value

_MOST_SHOWN = 300  # characters of what was found
_MOST_CONSIST_OF = 50  # elements that are paired with matchers
_NUMBERS: dict[str, Callable[[float, float], bool]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_TEXTS = frozenset({"have-prefix", "have-suffix", "match-regexp", "contain-substring"})
_LISTS = frozenset({"contain-elements", "consist-of", "and", "or"})
_INNER = frozenset({"not", "contain-element"})
_NOT_HERE = frozenset({"semver-constraint", "gjson", "have-key-with-value"})
KNOWN = frozenset({*_NUMBERS, *_TEXTS, *_LISTS, *_INNER, "equal", "have-len", "have-key"})
_PATTERN = re.compile(r"(?P<inverse>!?)(?:/(?P<expression>.*)/|(?P<text>.*))", re.DOTALL)


class Output(str):
    """A text that goss reads line by line: what a file holds, or a command printed."""

    __slots__ = ()


def require(value: Value) -> Any:
    """Return what a value expects, as :func:`problems` takes it.

    Raises:
        ConfigError: it is no matcher, or one that is not supported here.

    """
    said = value.of
    if isinstance(said, list):
        for item in said:
            if isinstance(item.of, str) and (pattern := _expression(item.of)) is not None:
                _require_expression(item, pattern)
            require(item)
    elif isinstance(said, dict):
        _require_table(value)
    elif said is None:
        raise value.fault("nothing is expected here; write a value")
    return value.plain()


def _require_table(value: Value) -> None:
    (table,) = [value.table("a matcher", KNOWN, _NOT_HERE)]
    if len(value.of) != 1:
        raise value.fault("a matcher has one word; join several with and: [...]")
    ((word, inner),) = value.of.items()
    if word in _LISTS:
        for item in inner.items(f'"{word}"'):
            require(item)
    elif word in _INNER:
        require(inner)
    elif word in _NUMBERS and (
        isinstance(inner.of, bool) or not isinstance(inner.of, (int, float))
    ):
        raise inner.fault(f'"{word}" takes a number')
    elif word == "have-len":
        table.number(word, 0)
    elif word in _TEXTS or word == "have-key":
        text = table.text(word)
        if word == "match-regexp":
            _require_expression(inner, text)


def _require_expression(value: Value, pattern: str) -> None:
    try:
        goregex.compiled(pattern)
    except ValueError as error:
        raise value.fault(f"{error}; correct it") from None


def problems(expected: Any, found: Any) -> Iterator[str]:
    """Give what of ``found`` is not as expected: text, Output, number, bool, list or table."""
    if isinstance(found, Output) and isinstance(expected, list):
        yield from _patterns(expected, found)
    elif not matches(expected, found):
        yield f"expected {_shown(expected)}, got {_shown(found)}"


def matches(expected: Any, found: Any) -> bool:
    """Say whether what was found is as expected."""
    if isinstance(expected, dict):
        ((word, inner),) = expected.items()
        return _one(word, inner, found)
    if isinstance(expected, list):
        if isinstance(found, Output):
            return not list(_patterns(expected, found))
        return _has_all(expected, _listed(found))
    return _equal(expected, found)


def _one(word: str, inner: Any, found: Any) -> bool:
    if word == "not":
        return not matches(inner, found)
    if word == "and":
        return all(matches(one, found) for one in inner)
    if word == "or":
        return any(matches(one, found) for one in inner)
    if word == "equal":
        if isinstance(inner, list):
            listed = _listed(found)
            return len(listed) == len(inner) and all(map(_equal, inner, listed))
        return _equal(inner, found)
    if word in _NUMBERS:
        number = _number(found)
        return number is not None and bool(_NUMBERS[word](number, inner))
    if word in _TEXTS:
        return _of_text(word, str(inner), _text(found))
    return _of_many(word, inner, found)


def _of_text(word: str, inner: str, text: str) -> bool:
    if word == "have-prefix":
        return text.startswith(inner)
    if word == "have-suffix":
        return text.endswith(inner)
    if word == "match-regexp":
        return goregex.compiled(inner).search(text) is not None
    return inner in text


def _of_many(word: str, inner: Any, found: Any) -> bool:
    if word == "have-key":
        return isinstance(found, dict) and str(inner) in found
    if word == "have-len":
        sized = found if isinstance(found, (str, dict)) else _listed(found)
        return bool(len(sized) == inner)
    listed = _listed(found)
    if word == "contain-element":
        return any(matches(inner, one) for one in listed)
    if word == "contain-elements":
        return _has_all(inner, listed)
    return len(inner) == len(listed) and _has_all(inner, listed)  # consist-of


def _has_all(expected: Sequence[Any], found: Sequence[Any]) -> bool:
    """Say whether each is another one of what was found."""
    if len(expected) > len(found):
        return False
    plain = [one for one in expected if not isinstance(one, (dict, list))]
    left = list(found)
    for one in plain:
        at = next((n for n, other in enumerate(left) if _equal(one, other)), None)
        if at is None:
            return False
        del left[at]
    others = [one for one in expected if isinstance(one, (dict, list))]
    return _paired(others, left[:_MOST_CONSIST_OF])


def _paired(expected: Sequence[Any], found: Sequence[Any]) -> bool:
    # Kuhn's way to pair each matcher with an element of its own.
    fits = [[n for n, one in enumerate(found) if matches(want, one)] for want in expected]
    taken: dict[int, int] = {}

    def place(want: int, seen: set[int]) -> bool:
        for at in fits[want]:
            if at in seen:
                continue
            seen.add(at)
            if at not in taken or place(taken[at], seen):
                taken[at] = want
                return True
        return False

    return all(place(want, set()) for want in range(len(expected)))


def _patterns(expected: Sequence[Any], found: Output) -> Iterator[str]:
    lines = found.splitlines()
    for one in expected:
        if isinstance(one, (dict, list)):
            if not any(matches(one, line) for line in lines):
                yield f"expected {_shown(one)}, got {_shown(found)}"
            continue
        parts = _PATTERN.fullmatch(str(one))
        assert parts  # noqa: S101 - it matches any text
        hit = next((line for line in lines if _is_in(parts, line)), None)
        if hit is None and parts["text"] == "":
            hit = ""  # an empty pattern is in an empty output as well
        if parts["inverse"] and hit is not None:
            yield f'expected no line with "{printable(str(one)[1:])}", got {_shown(hit)}'
        elif not parts["inverse"] and hit is None:
            yield f'expected a line with "{printable(str(one))}", got {_shown(found)}'


def _is_in(parts: re.Match[str], line: str) -> bool:
    if parts["expression"] is not None:
        return goregex.compiled(parts["expression"]).search(line) is not None
    return re.sub(r"^\\(?=[!/])", "", parts["text"]) in line


def _expression(text: str) -> str | None:
    parts = _PATTERN.fullmatch(text)
    return parts["expression"] if parts else None


def _equal(expected: Any, found: Any) -> bool:
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    if isinstance(found, list):
        return len(found) == 1 and _equal(expected, found[0])
    if isinstance(expected, (int, float)):
        return _number(found) == expected
    if isinstance(found, Output):
        return str(expected).rstrip("\n") == found.rstrip("\n")
    return str(expected) == _text(found)


def _number(found: Any) -> float | None:
    if isinstance(found, bool):
        return None
    try:
        return float(found)
    except (TypeError, ValueError):
        return None


def _text(found: Any) -> str:
    if isinstance(found, list):
        return "\n".join(map(_text, found))
    return "true" if found is True else "false" if found is False else str(found)


def _listed(found: Any) -> list[Any]:
    if isinstance(found, list):
        return found
    if isinstance(found, str):
        return found.splitlines() or [""]
    return [found]


def _shown(value: Any) -> str:
    text = printable(f'"{value}"' if isinstance(value, str) else json_line(value))
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
