"""Dockerfiles whose findings are judged, and what lint makes of them."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks import platforms
from buildx_tasks.dockerfiles import rules
from buildx_tasks.dockerfiles.build import DockerfileBuild

if TYPE_CHECKING:
    from buildx_tasks.platforms import Platform

FILE = Path(__file__).parents[1] / "support/data/dockerfiles.txt"
MACHINE = platforms.parse("linux/amd64")
_SECTION = re.compile(r"^=== (\S+) ?(.*)\n", re.MULTILINE)
_JUDGED = re.compile(r"# finds: (.*)")


class Judged(NamedTuple):
    """A Dockerfile, and what is true of it: how often each code at each line, ``note`` behind some."""

    name: str
    build: DockerfileBuild
    text: str
    true: Counter[tuple[int, str]]

    def found(self) -> Counter[tuple[int, str]]:
        """What lint finds; what is the same for several platforms is one."""
        every = {one._replace(platform=None) for one in rules.check(self.build, self.text, _native)}
        return Counter(
            (one.line, f"({one.code})" if one.level == "note" else one.code) for one in every
        )


def corpus(file: Path = FILE) -> list[Judged]:
    """Return the judged Dockerfiles of a file."""
    parts = _SECTION.split(file.read_text())[1:]
    return [_judged(*parts[at : at + 3]) for at in range(0, len(parts), 3)]


def _judged(name: str, said: str, text: str) -> Judged:
    attributes = json.loads(said or "{}")
    names = attributes.pop("platforms", ["linux/amd64", "linux/arm64"])
    build = DockerfileBuild(name, name, name, attributes, tuple(map(platforms.parse, names)))
    true: Counter[tuple[int, str]] = Counter()
    for number, line in enumerate(text.splitlines(), 1):
        if match := _JUDGED.fullmatch(line):
            true.update((number + 1, code) for code in match[1].split())
    return Judged(name, build, text, true)


def _native(platform: Platform) -> bool:
    return platforms.runs_natively(platform, MACHINE)
