"""What a check says of another program's file in; the tests of that file, as checks of ours, out."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.verification.outside import gossfile, structure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from buildx_tasks.language.expectations import Goss
    from buildx_tasks.verification.outside.gossfile import Resource

_WAIT = "goss_wait.yaml"  # dgoss takes it where it is there


class Expected(NamedTuple):
    """One test: what it is called in its file, and which check carries it out with what."""

    name: str
    kind: str
    spec: Any
    skip: str = ""


class GossTest(NamedTuple):
    """One resource, and what all of its file share: how the container starts, what it waits for.

    ``group`` is the check that names the file: its resources are looked at in one container.
    """

    resource: Resource
    start: Goss
    wait: tuple[Resource, ...]
    group: str


def tests(kind: str, said: Any, root: Path, check: str) -> list[Expected]:
    """Return the tests of the file that a ``structure-test`` or ``goss`` names; ``check`` is its name.

    Raises:
        ConfigError: it cannot be read, or says what is not supported; says where.

    """
    found = list(_structure(said, root) if kind == "structure-test" else _goss(said, root, check))
    seen: dict[str, int] = {}
    for number, test in enumerate(found):
        seen[test.name] = seen.get(test.name, 0) + 1
        if seen[test.name] > 1:
            found[number] = test._replace(name=f"{test.name} ({seen[test.name]})")
    return found


def _structure(name: str, root: Path) -> Iterator[Expected]:
    for test in structure.tests(root, name):
        if isinstance(test, structure.Command):
            kind = "structure-test"
        elif isinstance(test, structure.Metadata):
            kind = "structure-metadata"
        else:
            kind = "structure-files"
        yield Expected(test.name, kind, test)


def _goss(start: Goss, root: Path, check: str) -> Iterator[Expected]:
    wait = start.wait
    beside = str(PurePosixPath(start.file).parent / _WAIT)
    if wait is None and beside != start.file and (root / beside).is_file():
        wait = beside
    waits = tuple(gossfile.resources(root, wait)) if wait else ()
    for resource in gossfile.resources(root, start.file):
        spec = GossTest(resource, start, waits, check)
        yield Expected(f"{resource.kind} {resource.id}", "goss", spec, resource.skip)
