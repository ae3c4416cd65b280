"""Where in a file of recipes each command stands, as far as what was printed tells."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.convert import lines, shell

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ASSIGNED = re.compile(r"(?m)^\s*(?:export\s+)?([A-Za-z_]\w*)\s*[:?]?=")  # in a file as .env
DOCKERLY = re.compile(r"docker|buildx|podman", re.IGNORECASE)


class Section(NamedTuple):
    """One recipe: its lines in a file, of which the first has the number ``first``."""

    name: str
    file: str
    first: int
    lines: Sequence[str]

    @property
    def has_docker(self) -> bool:
        """Whether it says docker, or what docker's commands are called by."""
        return any(map(DOCKERLY.search, self.lines))


def steps(section: Section, printed: str, folder: str, *, apart: bool) -> Iterator[lines.Step]:
    """Yield what a recipe would run, each command with the line that begins as it does.

    With ``apart`` each line has a shell of its own.
    """
    begun = [(n, _written(line)) for n, line in enumerate(section.lines)]
    for one in shell.commands(printed, apart=apart):
        text = " ".join(one.text.split())
        fitting = [(len(start), -n) for n, start in begun if start and text.startswith(start)]
        number = section.first - (max(fitting)[1] if fitting else 0)
        place = f"{section.file}:{number}"
        yield lines.Step(one, section.name, place, folder)


def assignments(values: Mapping[str, str]) -> Iterator[lines.Step]:
    """Yield what recipes have in their environment, as a shell would set it."""
    for name, value in values.items():
        yield lines.Step(shell.Command([f"{name}={value}"], {}, [], ""), "", "")


def _written(line: str) -> str:
    """Return a line of a recipe up to where something is filled in; ``""`` for none of a command."""
    said = re.sub(r"^[\s@\-|>'\"]*(?:cmd:\s*)?['\"]?", "", line)
    said = re.split(r"\{\{|\\$|['\"]\s*$", said, maxsplit=1)[0]
    words = " ".join(said.split())
    return "" if words.startswith("#") or " " not in words else words
