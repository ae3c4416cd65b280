"""The name of a step of BuildKit in; the cells that it is of, where it runs and is written, out.

Measured with buildx 0.29: ``[linux/arm64 build 4/6] RUN …``; where a bake has several targets,
``[app linux/arm64 build 4/6] RUN …``; where a target has one platform, ``[build 4/6] RUN …``; where a
stage runs on one platform for another, ``[linux/amd64->arm64 build 4/6] RUN …``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks import platforms
from buildx_tasks.dockerfiles import stages
from buildx_tasks.dockerfiles.locating import located
from buildx_tasks.language.targets import LINK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from buildx_tasks.building.standing import Reading
    from buildx_tasks.dockerfiles.locating import Located
    from buildx_tasks.dockerfiles.stages import Placed
    from buildx_tasks.language.merging import Attributes
    from buildx_tasks.platforms import Native, Platform

_NAME = re.compile(r"\[([^\[\]]{1,500})\] (.*)", re.DOTALL)
_PLATFORM = re.compile(r"(?P<runs>[a-z0-9]+/[a-z0-9_.]+(?:/[a-z0-9_.]+)?)(?:->(?P<for>\S+))?")
_NUMBERED = re.compile(r"(?:\S+ )?\d+/\d+")
# With the last one bake is done with a target, whether anything was exported or not.
_EXPORTS = ("exporting to ", "resolving provenance for metadata file")


class Named(NamedTuple):
    """What a step's name tells.

    ``target`` is bake's, ``""`` where the bake has one; ``meant`` is the platform that it is for,
    ``runs`` the one that it runs on, where they are said.
    """

    target: str
    runs: Platform | None
    meant: Platform | None
    place: str
    text: str


class Vertex(NamedTuple):
    """What a step is: ``cells`` are certain, ``vague`` those that it can be of.

    ``file`` is the Dockerfile as a person calls it, ``line`` None where it is not known. ``counts`` is
    true for instructions, ``exports`` for what gives the result away.
    """

    cells: tuple[str, ...]
    vague: tuple[str, ...]
    place: str
    name: str
    platform: str
    is_emulated: bool
    file: str
    line: int | None
    counts: bool
    exports: bool


def named(name: str, targets: Mapping[str, object]) -> Named:
    """Return what a step's name tells, where bake builds such targets."""
    match = _NAME.fullmatch(name)
    if not match:
        return Named("", None, None, "", name)
    words = match[1].split()
    target = words.pop(0) if words and len(targets) > 1 and words[0] in targets else ""
    runs = meant = None
    if words and (both := _PLATFORM.fullmatch(words[0])):
        runs = platforms.known(both["runs"])
        meant = platforms.known(_whole(both["runs"], both["for"])) if both["for"] else runs
        if runs:
            words.pop(0)
    return Named(target, runs, meant, " ".join(words), match[2])


def _whole(runs: str, meant: str) -> str:
    """Return the whole name of a platform that is named by what differs from another one."""
    system, machine = runs.split("/")[:2]
    if re.fullmatch(r"v\d.*", meant):
        return f"{system}/{machine}/{meant}"
    return meant if meant.partition("/")[0] in platforms.SYSTEMS else f"{system}/{meant}"


class Vertices:
    """The steps of one bake: of ``targets``, as bake gets them, for the selected ones of a plan.

    ``names`` maps targets to the ids of their cells, by platform; ``native`` says what the builder
    runs without an emulator.
    """

    def __init__(
        self,
        targets: Mapping[str, Attributes],
        names: Mapping[str, Mapping[Platform, str]],
        readings: Sequence[Reading],
        native: Native,
    ) -> None:
        self.targets = targets
        self._native = native
        self._own = names
        self._readings: dict[str, list[Reading]] = {}
        for reading in readings:
            for name in reading.names:
                self._readings.setdefault(name, []).append(reading)
        self._below = {name: _linked(attributes, targets) for name, attributes in targets.items()}
        self._cells = self._all_cells()
        self._stages: dict[tuple[int, Platform], Sequence[Placed]] = {}

    def of(self, name: str, target: str = "") -> Vertex:
        """Return what a step is; ``target`` is bake's, where the name does not have it."""
        said = named(name, self.targets)
        alone = next(iter(self.targets)) if len(self.targets) == 1 else ""
        owner = said.target or target or alone
        cells = self._cells.get(owner, {})
        everything = tuple(dict.fromkeys(one for some in cells.values() for one in some))
        meant = said.meant
        if meant is None and len(cells) == 1:
            meant = next(iter(cells))
        certain = cells.get(meant, ()) if meant else ()
        exports = owner in self._own and said.text.startswith(_EXPORTS)
        if exports:
            everything = tuple(self._own[owner].values())
        platform, file, line = said.runs, "", None
        where = next(self._written(owner, meant, said), None) if owner else None
        if where:
            file, found = where
            line, platform = found.line, platform or found.placed.platform
        platform = platform or (meant if said.place and said.place != "internal" else None)
        return Vertex(
            certain,
            () if certain else everything,
            said.place,
            said.text,
            str(platform or ""),
            said.text.startswith("RUN ") and platform is not None and not self._native(platform),
            file,
            line,
            counts=bool(_NUMBERED.fullmatch(said.place)),
            exports=exports,
        )

    def _written(
        self, owner: str, meant: Platform | None, said: Named
    ) -> Iterator[tuple[str, Located]]:
        """Yield where an instruction is written: in the target's Dockerfile, or in one below it."""
        for name in self._chain(owner):
            for reading in self._readings.get(name, ()):
                for platform in reading.build.platforms:
                    if meant is not None and platform != meant:
                        continue
                    found = located(self._placed(reading, platform), said.place, said.text)
                    if found:
                        yield reading.build.file, found

    def whole(self, target: str) -> tuple[tuple[str, ...], str, str] | None:
        """Return the cells of a target, its Dockerfile as a person calls it, and the text of that.

        ``target`` is ``""`` where the bake has one alone; None is returned where it is not known.
        """
        name = target or (next(iter(self.targets)) if len(self.targets) == 1 else "")
        cells = tuple(one for some in self._cells.get(name, {}).values() for one in some)
        reading = next(iter(self._readings.get(name, ())), None)
        if not cells or reading is None or reading.text is None:
            return None
        return tuple(dict.fromkeys(cells)), reading.build.file, reading.text

    def text(self, file: str) -> str | None:
        """Return the text of a Dockerfile, by what a person calls it."""
        listed = (one for some in self._readings.values() for one in some)
        return next((one.text for one in listed if one.build.file == file), None)

    def _placed(self, reading: Reading, platform: Platform) -> Sequence[Placed]:
        key = (id(reading), platform)
        if key not in self._stages:
            build, text = reading.build, reading.text
            try:
                here = stages.native_platform(self._native)
                self._stages[key] = (
                    stages.place(stages.parse(text), platform, here, build.args, build.contexts)
                    if text is not None
                    else ()
                )
            except ValueError:  # BuildKit says it
                self._stages[key] = ()
        return self._stages[key]

    def _chain(self, owner: str) -> list[str]:
        """Return a target and all that it is built on, the nearest first."""
        found = [owner]
        for name in found:
            found += [one for one in self._below.get(name, ()) if one not in found]
        return found

    def _all_cells(self) -> dict[str, dict[Platform, tuple[str, ...]]]:
        """Return the cells of each target: those of what is built on it count as its own."""
        found: dict[str, dict[Platform, dict[str, None]]] = {name: {} for name in self.targets}
        for owner, cells in self._own.items():
            for name in self._chain(owner):
                for platform, cell in cells.items():
                    found.setdefault(name, {}).setdefault(platform, {})[cell] = None
        return {
            name: {platform: tuple(cells) for platform, cells in its.items()}
            for name, its in found.items()
        }


def _linked(attributes: Attributes, targets: Mapping[str, Attributes]) -> list[str]:
    values = attributes.get("contexts", {}).values()
    return [v[len(LINK) :] for v in values if v.startswith(LINK) and v[len(LINK) :] in targets]
