"""What several targets say, and the values of their axes → one template that says all of them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Union

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Cells = Sequence[Mapping[str, str]]

_MOST = 3  # axes in one text
# A text, or the number of a form.
_Parts = list[Union[str, int]]


def alike(said: Sequence[Any], cells: Cells) -> Any:
    """Return the template that comes to each of ``said`` with its cell's values; None: there is none."""
    first = said[0]
    if all(one == first for one in said):
        return first
    if isinstance(first, str) and all(isinstance(one, str) for one in said):
        return _text(said, cells)
    if isinstance(first, dict) and all(isinstance(one, dict) for one in said):
        if any(one.keys() != first.keys() for one in said):
            return None
        found = {key: alike([one[key] for one in said], cells) for key in first}
        return None if None in found.values() else found
    if isinstance(first, list) and all(isinstance(one, list) for one in said):
        if any(len(one) != len(first) for one in said):
            return None
        items = [alike(list(one), cells) for one in zip(*said)]
        return None if None in items else items
    return None


def _text(said: Sequence[str], cells: Cells) -> str | None:
    forms = list(_forms(cells))
    for count in range(1, _MOST + 1):
        for chosen in itertools.permutations(range(len(forms)), count):
            parts: _Parts = [said[0]]
            for number in chosen:
                parts = list(_split(parts, forms[number][1][0], number))
            used = [one for one in parts if isinstance(one, int)]
            if set(used) == set(chosen) and _renders(parts, forms, said):
                return "".join(one if isinstance(one, str) else forms[one][0] for one in parts)
    return None


def _forms(cells: Cells) -> Iterator[tuple[str, list[str]]]:
    """Yield what may stand in a template, and what it comes to in each cell; what is plain first."""
    changed = []
    for key in cells[0]:
        values = [cell.get(key) for cell in cells]
        told = [value for value in values if value]
        if len(told) < len(values):
            continue
        yield f"${{{key}}}", told
        changed += [
            (f"${{{key}|replace('.', '-')}}", [one.replace(".", "-") for one in told]),
            (f"${{{key}|replace('.', '')}}", [one.replace(".", "") for one in told]),
            (f"${{{key}|replace('/', '-')}}", [one.replace("/", "-") for one in told]),
            (f"${{{key}|lower}}", [one.lower() for one in told]),
            (f"${{{key}|upper}}", [one.upper() for one in told]),
        ]
        changed = [one for one in changed if one[1] != told and all(one[1])]
    yield from changed


def _split(parts: _Parts, value: str, number: int) -> Iterator[str | int]:
    for part in parts:
        if isinstance(part, int):
            yield part
            continue
        for at, text in enumerate(part.split(value)):
            if at:
                yield number
            if text:
                yield text


def _renders(parts: _Parts, forms: Sequence[tuple[str, list[str]]], said: Sequence[str]) -> bool:
    return all(
        "".join(one if isinstance(one, str) else forms[one][1][at] for one in parts) == text
        for at, text in enumerate(said)
    )
