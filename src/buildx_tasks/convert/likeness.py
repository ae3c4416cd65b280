"""What several targets say, and the values of their axes → one template that says all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Cells = Sequence[Mapping[str, str]]


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
    """Return a template for texts: what they share stays, and only what differs comes from a cell."""
    forms = list(_forms(cells))
    ends = tuple(map(len, said))
    # Where each text is, and the pieces that came to that; what is shared is tried first.
    waiting: list[tuple[tuple[int, ...], tuple[Any, ...]]] = [((0,) * len(said), ())]
    seen = set()
    while waiting:
        places, pieces = waiting.pop()
        if places == ends:
            return _joined(pieces)
        if places in seen:
            continue
        seen.add(places)
        for mark, values in reversed(forms):
            if all(one.startswith(v, at) for one, v, at in zip(said, values, places)):
                after = tuple(at + len(value) for at, value in zip(places, values))
                waiting.append((after, (pieces, mark)))
        letters = {one[at : at + 1] for one, at in zip(said, places)}
        if len(letters) == 1 and "" not in letters:
            waiting.append((tuple(at + 1 for at in places), (pieces, letters.pop())))
    return None


def _joined(pieces: tuple[Any, ...]) -> str:
    found = []
    while pieces:
        pieces, piece = pieces
        found.append(piece)
    return "".join(reversed(found))


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
