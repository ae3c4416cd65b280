"""What ``[target.NAME.verify]`` comes to for each cell: its checks, what they look at, what they find.

Each kind has a module in ``checks`` with ``check(subject, spec) -> Found``; ``binaries`` and ``files``
share one walk through the image's files instead. A failed expectation is a problem in what is found;
exceptions are the engine's.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from buildx_tasks.language.expectations import KINDS, OF_FILES, OF_THE_WHOLE, name_of
from buildx_tasks.language.placeholders import filled, of_platform
from buildx_tasks.planning.cells import Cell
from buildx_tasks.platforms import parse
from buildx_tasks.verification.outside import expanding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.images.image import Image
    from buildx_tasks.language.expectations import Kinds, Verify
    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.platforms import Platform
    from buildx_tasks.verification.containers import Session


# The kinds that run programs of the image.
RUNNING = frozenset({"run", "service", "structure-test", "goss"})


class Check(NamedTuple):
    """One expectation; ``spec`` is its structure (of ``language.expectations``), filled in.

    ``skip`` and ``xfail`` are reasons, ``""`` where there is none.
    """

    name: str
    kind: str
    spec: Any
    skip: str = ""
    xfail: str = ""


class Subject(NamedTuple):
    """One platform of a target's image, as the checks look at it.

    ``keep`` says whether its container is of interest where a check fails; the session, whether a
    person wants to keep such.
    """

    session: Session
    target: TargetPlan
    image: Image
    platform: Platform
    keep: bool = True

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.session.root

    @property
    def engine(self) -> Engine:
        """The engine that has the image."""
        return self.session.engine

    @property
    def cell(self) -> Cell:
        """The cell that is looked at."""
        return Cell(self.target.name, self.platform)

    def created(
        self, command: Sequence[str] | None, **settings: Any
    ) -> AbstractContextManager[Any]:
        """Create a container of the platform, as :meth:`Session.created` does."""
        return self.session.created(
            self.image.runnable(self.platform), self.cell, command, **settings
        )


class Found(NamedTuple):
    """What a check found: ``problems`` is empty where all is as expected.

    ``facts`` are worth reading anyhow, as in ``3.2 MB compressed``; ``enter`` is the command that
    enters the container that was kept. ``sarif`` are the runs of a SARIF report, as they came.
    """

    problems: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    stdout: str = ""
    stderr: str = ""
    enter: str = ""
    sarif: tuple[dict[str, Any], ...] = ()


def of_cell(verify: Verify, cell: Cell, tag: str, root: Path = Path()) -> tuple[Check, ...]:
    """Return the checks of one cell, in the order of the file, with their placeholders filled in.

    ``root`` is the project's folder, where files of other test programs are: each of their tests is
    a check.

    Raises:
        ConfigError: such a file cannot be read, or says what is not supported.

    """
    values = placeholders(cell, tag)
    found = []
    for prefix, table in _tables(verify):
        wanted = {parse(text) for text in table.only}
        if wanted and cell.platform not in wanted:
            continue
        skip, xfail = (_reason(reasons, cell) for reasons in (table.skip, table.xfail))
        kinds = [kind for kind in _declared(table) if kind not in OF_THE_WHOLE]
        for kind in kinds:
            spec = fill_in(table.of(kind), values)
            name = name_of(prefix, kind, len(kinds))
            if kind not in OF_FILES:
                found.append(Check(name, kind, spec, skip, xfail))
                continue
            found += [
                Check(f"{name}: {one.name}", one.kind, one.spec, skip or one.skip)
                for one in expanding.tests(kind, spec, root, name)
            ]
    if cell.platform.os == "linux":
        return tuple(found)
    foreign = f"{cell.platform} is not run here"
    return tuple(
        one._replace(skip=one.skip or foreign, xfail="") if one.kind in RUNNING else one
        for one in found
    )


def of_whole(verify: Verify) -> tuple[Check, ...]:
    """Return the checks of the whole image."""
    return tuple(
        Check(name_of(prefix, kind, 1), kind, table.of(kind))
        for prefix, table in _tables(verify)
        for kind in _declared(table)
        if kind in OF_THE_WHOLE
    )


def placeholders(cell: Cell, tag: str) -> dict[str, str]:
    """Return what stands for each placeholder in one cell."""
    return {
        **of_platform(cell.platform),
        "target": cell.target,
        "tag": tag,
    }


def fill_in(value: Any, values: Mapping[str, str]) -> Any:
    """Replace placeholders in a text, and in all texts of lists, tables and structures."""
    if isinstance(value, str):
        return filled(value, values)
    if isinstance(value, list):
        return [fill_in(item, values) for item in value]
    if isinstance(value, dict):
        return {fill_in(key, values): fill_in(item, values) for key, item in value.items()}
    if isinstance(value, msgspec.Struct):
        changed = {name: fill_in(getattr(value, name), values) for name in value.__struct_fields__}
        return msgspec.structs.replace(value, **changed)
    return value


def _tables(verify: Verify) -> Iterator[tuple[str, Kinds]]:
    yield "", verify
    for check in verify.check:
        yield check.name, check


def _declared(table: Kinds) -> list[str]:
    # An empty table declares a check too; only `reproducible = false` is none.
    return [kind for kind in KINDS if table.of(kind) not in (None, False)]


def _reason(reasons: Mapping[str, str], cell: Cell) -> str:
    return next((why for text, why in reasons.items() if parse(text) == cell.platform), "")
