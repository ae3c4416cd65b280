"""``[artifact.NAME]`` in; charts and files packed, published as images are, each tag read back, out."""

from __future__ import annotations

import fnmatch
import os
import shlex
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks import sizes
from buildx_tasks.engine.faults import faults
from buildx_tasks.errors import UsageError, listed, nearest
from buildx_tasks.images import graph
from buildx_tasks.images.artifacts import EMPTY, EMPTY_TYPE
from buildx_tasks.language.artifacts import NAME, VERSION
from buildx_tasks.publishing import attaching, helm, parts, publish
from buildx_tasks.publishing.audience import Nobody
from buildx_tasks.publishing.release import Release, versions_of
from buildx_tasks.text import json_text, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildx_tasks.language.artifacts import Artifact
    from buildx_tasks.publishing.audience import Audience
    from buildx_tasks.publishing.parts import Part
    from buildx_tasks.publishing.publish import Published
    from buildx_tasks.references import Reference
    from buildx_tasks.registry.manifests import Manifest
    from buildx_tasks.workspace import Workspace

_MOST_FILES = 1_000


class Artifacts:
    """Some charts and files of a project's release: a part of the public API.

    ``names`` are those of their tables. Files are read when :attr:`packed` or :meth:`push` needs them.
    """

    def __init__(self, workspace: Workspace, names: Sequence[str]) -> None:
        self._workspace = workspace
        self.names = tuple(names)

    @cached_property
    def packed(self) -> list[Packed]:
        """Each with its ``name``, ``what`` it is, ``tags``, ``digest`` and ``size``.

        Raises:
            ConfigError: what an artifact names is not there, or is none of its type; says where.

        """
        return [_packed(self._workspace, name) for name in self.names]

    def push(self, *, audience: Audience | None = None) -> list[Published]:
        """Publish them: uploaded and read back by digest, then their tags move; what is there stays.

        Raises:
            ConfigError: as :attr:`packed`.
            PushError, RegistryError: a registry refused; says what each tag holds now.

        """
        if not self.packed:
            return []
        told = audience or Nobody()
        with faults(), told.uploading() as watcher:
            releases = [_release(one) for one in self.packed]
            return publish.publish(self._workspace, releases, watcher, told.moved, "artifact")

    def require_movable(self) -> None:
        """Do nothing where they may be published once the images are out.

        Raises:
            PushError, RegistryError: a tag of one may not be moved, or not by this account.

        """
        if self.packed:
            with faults():
                publish.require_movable(self._workspace, [_release(one) for one in self.packed])


class Packed(NamedTuple):
    """An artifact ready to go out; ``what`` is what it is, for people."""

    name: str
    declared: Artifact
    what: str
    root: Manifest
    parts: tuple[Part, ...]
    tags: tuple[Reference, ...]

    @property
    def digest(self) -> str:
        """The digest of its manifest."""
        return self.root.digest

    @property
    def size(self) -> int:
        """The bytes of all its parts."""
        return sum(one.size for one in self.parts)


def chosen(workspace: Workspace, names: Sequence[str]) -> Artifacts:
    """Return the artifacts of these names; all that are declared, without any.

    Raises:
        UsageError: there is no such artifact.

    """
    known = workspace.config.artifact
    for name in names:
        if name not in known:
            there = listed(known) if known else "none; declare it with path, type and tags"
            hint = nearest(name, known) or f"; there is: {there}"
            raise UsageError(f"--artifact: there is no [artifact.{name}]{hint}")
    return Artifacts(workspace, tuple(dict.fromkeys(names)) or tuple(known))


def tags_of(workspace: Workspace, name: str) -> tuple[Reference, ...]:
    """Return the tags of one; its files are read only where these are what a chart says.

    Raises:
        ConfigError: the chart is not there, or is none; says where.

    """
    declared = workspace.config.artifact[name]
    return _packed(workspace, name).tags if declared.is_named_by_chart else declared.references({})


def lines(ready: Sequence[Packed]) -> Iterator[str]:
    """Give commands that a person can type: they publish the same files, if not the same bytes."""
    for one in ready:
        yield f"# artifact {one.name}: {one.what}, {one.root.digest}"
        first, *others = one.tags
        if one.declared.is_chart:
            _, _, name, version = one.what.split()
            package = one.declared.path
            if not package.endswith(".tgz"):
                yield shlex.join(["helm", "package", package])
                package = f"{name}-{version}.tgz"
            place = f"oci://{first.registry}/{first.repository.rpartition('/')[0]}".rstrip("/")
            yield shlex.join(["helm", "push", package, place])
            first = first._replace(tag=version.replace("+", "_"))
        else:
            files = [f"{part.title}:{part.media_type}" for part in one.parts if part.title]
            kind = one.declared.type
            yield shlex.join(["oras", "push", "--artifact-type", kind, str(first), *files])
        for tag in (tag for tag in (one.tags[0], *others) if tag != first):
            yield shlex.join(["oras", "cp", str(first), str(tag)])


def told(ready: Sequence[Packed]) -> Iterator[str]:
    """Give a line about each artifact, for people."""
    for one in ready:
        tags = " ".join(map(str, one.tags))
        yield printable(f"artifact {one.name}: {one.what}, {sizes.text(one.size)}, {tags}")


def text(ready: Sequence[Packed], kind: str) -> str:
    """Return artifacts alone as a plan shows them: ``json``, or lines."""
    return (
        json_text(summary(ready)) if kind == "json" else "".join(f"{one}\n" for one in told(ready))
    )


def summary(ready: Sequence[Packed]) -> dict[str, Any]:
    """Return artifacts as JSON has them, nothing where there are none."""
    found = [
        {
            "name": one.name,
            "type": one.declared.type,
            "path": one.declared.path,
            "tags": list(map(str, one.tags)),
            "digest": one.root.digest,
            "size": one.size,
        }
        for one in ready
    ]
    return {"artifacts": found} if found else {}


def _release(one: Packed) -> Release:
    entry = {"artifact": one.name, "type": one.declared.type, "versions": versions_of(None)}
    source = parts.Parts(one.root, one.parts)
    immutable = tuple(one.declared.immutable)
    return Release("", source, graph.assembled(one.root, ()), {}, one.tags, immutable, entry)


def _packed(workspace: Workspace, name: str) -> Packed:
    declared = workspace.config.artifact[name]
    place = (workspace.root / declared.path).resolve()
    fail = workspace.config.artifact_error
    if not place.is_relative_to(workspace.root.resolve()):
        raise fail(
            name, f'"{declared.path}" is not in the project\'s folder; copy it there', "path"
        )
    if not place.exists():
        raise fail(name, f'"{declared.path}" is not there; make it, or correct the path', "path")
    try:
        return (
            _chart(workspace, name, declared)
            if declared.is_chart
            else _of_files(name, declared, place)
        )
    except ValueError as error:
        raise fail(name, f'"{declared.path}": {error}', "path") from None
    except OSError as error:
        what = error.filename or declared.path
        raise fail(name, f"{what} cannot be read: {error.strerror}; allow it", "path") from None


def _chart(workspace: Workspace, name: str, declared: Artifact) -> Packed:
    chart = helm.packed(workspace.root, declared.path)
    tags = declared.references({VERSION: chart.tag, NAME: chart.name})
    for number, tag in enumerate(tags):
        last = tag.repository.rpartition("/")[2]
        if last != chart.name:
            raise workspace.config.artifact_error(
                name,
                f"the chart is called {chart.name}, and Helm finds it only in a repository that ends "
                f"with that name, not with {last}; correct one of them",
                "tags",
                number,
            )
    marks = {**chart.annotations, **declared.annotations}
    root = parts.manifest("", chart.config, chart.layers, marks)
    what = f"helm chart {chart.name} {chart.version}"
    return Packed(name, declared, what, root, (chart.config, *chart.layers), tags)


def _of_files(name: str, declared: Artifact, place: Path) -> Packed:
    found = [
        parts.of_file(_media_type(declared, title, path), path, title)
        for title, path in _files(place)
    ]
    if not found:
        raise ValueError("it holds no file; an artifact has one at least")
    root = parts.manifest(declared.type, None, found, declared.annotations)
    number = f"{len(found)} file{'' if len(found) == 1 else 's'}"
    empty = parts.of_bytes(EMPTY_TYPE, EMPTY)
    what = f"{declared.type}, {number}"
    return Packed(name, declared, what, root, (empty, *found), declared.references({}))


def _files(place: Path) -> Iterator[tuple[str, Path]]:
    """Give the files at a path in one order, each with its name in the artifact."""
    if place.is_file():
        yield place.name, place
        return
    found = []
    for folder, folders, names in os.walk(place):
        folders.sort()
        for name in names:
            path = Path(folder, name)
            if not path.resolve().is_relative_to(place):
                raise ValueError(f"{path.name} leads out of it; copy the file there")
            found.append((path.relative_to(place).as_posix(), path))
    if len(found) > _MOST_FILES:
        raise ValueError(f"it holds more than {_MOST_FILES} files; pack them into one")
    yield from sorted(found)


def _media_type(declared: Artifact, title: str, path: Path) -> str:
    name = PurePosixPath(title).name
    for pattern, kind in declared.media_types.items():
        if fnmatch.fnmatchcase(title, pattern) or fnmatch.fnmatchcase(name, pattern):
            return kind
    with path.open("rb") as stream:
        return attaching.kind_of(stream.read(1 << 20), name)[0]
