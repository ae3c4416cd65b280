"""What stands between ``${`` and ``}``: a name, changes to its value, and what there is in place of it.

``${NAME}``, ``${NAME|upper}``, ``${NAME|replace('/', '-')}``, ``${NAME:-text}`` for where there is none
or an empty one, ``${NAME:+text}`` for where there is one.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any, Callable, NamedTuple

from buildx_tasks.errors import nearest

_END_OF_NAME = re.compile(r"\||:-|:\+")
_ARGUMENT = r"""(?:'[^']*'|"[^"]*")"""
_CHANGE = re.compile(
    rf"\|\s*([A-Za-z_-]*)\s*(?:\(\s*((?:{_ARGUMENT}(?:\s*,\s*{_ARGUMENT})*)?)\s*\))?\s*"
)


class Form(NamedTuple):
    """One ``${…}``, taken apart; ``mark`` is ``:-``, ``:+`` or empty, ``text`` what stands behind it."""

    name: str
    changes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    mark: str = ""
    text: str = ""

    def changed(self, value: str) -> str:
        """Return a value with the changes made to it.

        Raises:
            ValueError: one cannot be made; the message says why.

        """
        for word, arguments in self.changes:
            value = CHANGES[word][1](value, *arguments)
        return value


def name_of(body: str) -> str:
    """Return the name in a ``${…}``, whatever else stands there."""
    return _END_OF_NAME.split(body, maxsplit=1)[0].strip()


def parse(body: str) -> Form:
    """Return what stands between ``${`` and ``}`` taken apart.

    Raises:
        ValueError: a change is unknown, or written in another way; the message says how to.

    """
    found = _END_OF_NAME.search(body)
    if not found:
        return Form(body.strip())
    name, rest = body[: found.start()].strip(), body[found.start() :]
    changes = []
    while rest.startswith("|"):
        match = _CHANGE.match(rest)
        word = match[1] if match else ""
        if not match or word not in CHANGES:
            hint = nearest(word, CHANGES) or f"; there are: {', '.join(CHANGES)}"
            raise ValueError(f'"{word}" is nothing that can be done to a value{hint}')
        shown = CHANGES[word][0]
        arguments = tuple(one[1:-1] for one in re.findall(_ARGUMENT, match[2] or ""))
        rest = rest[match.end() :]
        ended = not rest or rest.startswith(("|", ":-", ":+"))
        if not ended or len(arguments) != shown.count("'") // 2:
            raise ValueError(f"write |{shown}, as in ${{{name}|{shown}}}")
        changes.append((word, arguments))
    return Form(name, tuple(changes), rest[:2], rest[2:])


def _date(value: str, pattern: str) -> str:
    try:
        return dt.datetime.fromisoformat(value.replace("Z", "+00:00")).strftime(pattern)
    except ValueError:
        raise ValueError(
            f'"{value}" is no date; date is for build.date and git.commit-date'
        ) from None


CHANGES: dict[str, tuple[str, Callable[..., Any]]] = {
    "upper": ("upper", str.upper),
    "lower": ("lower", str.lower),
    "replace": ("replace('/', '-')", str.replace),
    "date": ("date('%Y%m%d')", _date),
}
