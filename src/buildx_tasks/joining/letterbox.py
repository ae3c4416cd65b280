"""Where parts wait: a repository of a registry, or folders; parts in and out, each with its record."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Protocol

from buildx_tasks.errors import EngineError, MissingError, RegistryError, UsageError
from buildx_tasks.images.layout import Layout
from buildx_tasks.images.sources import RepositorySource
from buildx_tasks.joining import records
from buildx_tasks.registry import listing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from buildx_tasks.images.sources import Source
    from buildx_tasks.joining.records import Record
    from buildx_tasks.machine.things import Things
    from buildx_tasks.registry.manifests import Descriptor, Manifest
    from buildx_tasks.registry.repository import Repository


class Part(NamedTuple):
    """One part as it was found: ``place`` names it for people, ``tag`` is what it was found under."""

    place: str
    tag: str
    record: Record
    root: Manifest
    source: Source
    insist: Callable[[str, Callable[[], Any]], Any]


class Strange(NamedTuple):
    """What should be a part, and is none; ``reason`` says why."""

    tag: str
    reason: str


class Letterbox(Protocol):
    """Where parts wait."""

    def found(self, run: str, tags: Sequence[str]) -> Iterator[Part | Strange]:
        """Yield what is there under the tags, and what else is of the run."""


class InRegistry:
    """A repository: a part is known by its tag, and what else is of the run by its record.

    ``things`` are told of each tag that is read.
    """

    def __init__(self, repository: Repository, things: Things | None = None) -> None:
        self._repository = repository
        self._things = things

    def found(self, run: str, tags: Sequence[str]) -> Iterator[Part | Strange]:
        """As a Letterbox."""
        yield from filter(None, map(self._read, tags))
        for tag in self._beside(set(tags), f"part-{run}-"):
            found = self.part(tag)
            # The id of another run may begin as this one's does.
            if isinstance(found, Part) and found.record.run == run:
                yield found

    def _read(self, tag: str) -> Part | Strange | None:
        with self._things.at(tag, "is read") if self._things else nullcontext():
            return self.part(tag)

    def part(self, tag: str) -> Part | Strange | None:
        """Return what is under a tag; None where nothing is.

        Raises:
            RegistryError: the registry does not answer, or refuses.

        """
        repository = self._repository
        index = repository.find(tag)
        if index is None:
            return None
        source, place = RepositorySource(repository), repository.named(tag)
        return _opened(place, tag, index, source, repository.insist)

    def _beside(self, known: set[str], start: str) -> list[str]:
        try:
            tags = listing.tags(self._repository)
        except MissingError:
            return []
        return [tag for tag in tags if tag.startswith(start) and tag not in known]


class InFolders:
    """Folders that are OCI layouts, as ``part --to`` writes them: all that is in them counts."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders

    def found(self, run: str, tags: Sequence[str]) -> Iterator[Part | Strange]:  # noqa: ARG002
        """As a Letterbox."""
        for folder in self._folders:
            layout = Layout(folder)
            for tag, descriptor in layout.listed().items():
                yield _in_layout(layout, tag, descriptor)


def in_folder(folder: Path, tag: str) -> Part | Strange | None:
    """Return what a folder has under a tag; None where that, or the folder, is not there.

    Raises:
        EngineError: the folder is a layout that cannot be read.

    """
    layout = Layout(folder)
    listed = layout.listed() if layout.is_there else {}
    return _in_layout(layout, tag, listed[tag]) if tag in listed else None


def _in_layout(layout: Layout, tag: str, descriptor: Descriptor) -> Part | Strange:
    index = layout.manifest(descriptor.digest)
    return _opened(f"{tag} in {layout.folder}", tag, index, layout, lambda _, look: look())


def _opened(
    place: str,
    tag: str,
    index: Manifest,
    source: Source,
    insist: Callable[[str, Callable[[], Any]], Any],
) -> Part | Strange:
    try:
        return Part(place, tag, records.read(source, index, place), index, source, insist)
    except MissingError as error:
        return Strange(tag, f"{place} lacks its record: {error}")
    except (RegistryError, EngineError) as error:
        return Strange(tag, str(error))


def require_folders(folders: Sequence[Path]) -> None:
    """Refuse what is no folder with a layout.

    Raises:
        UsageError: with its path.

    """
    for folder in folders:
        if not Layout(folder).is_there:
            raise UsageError(
                f"--from: {folder} holds no parts; give a folder that part --to wrote, as in parts/*"
            )
