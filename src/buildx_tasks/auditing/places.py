"""What a person names in; the image that a registry or a folder holds under it, out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from buildx_tasks.errors import EngineError, MissingError, RegistryError, UsageError, listed
from buildx_tasks.images.attestations import ATTESTATION, ATTESTED
from buildx_tasks.images.image import platform_of
from buildx_tasks.images.layout import Layout
from buildx_tasks.images.sources import RepositorySource
from buildx_tasks.publishing.tags import exact
from buildx_tasks.registry.faults import PassingError
from buildx_tasks.registry.manifests import (
    CONFIG_TYPES,
    INDEX_TYPES,
    MANIFEST_TYPES,
    Descriptor,
    MalformedError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildx_tasks.images.sources import Source
    from buildx_tasks.platforms import Platform
    from buildx_tasks.registry.manifests import Config, Manifest
    from buildx_tasks.registry.repository import Repository
    from buildx_tasks.workspace import Workspace

LAYOUT = "oci:"  # how the name of a folder begins that is an OCI image layout
_MOST_DOCUMENTS = 8 << 20  # bytes of an image's manifests and configs: all are in memory
_MOST_NESTED = 3  # indexes that are looked for below each other
_UNKNOWN = "unknown"  # the system of what only describes others


class Place(NamedTuple):
    """Where an image is: ``within`` is its tag or digest there, ``repository`` ``""`` for a folder.

    ``registry`` is asked what is attached to it; a folder lists nothing of that kind.
    ``insist`` does something again while its fault may pass, as a Repository's.
    """

    name: str
    within: str
    source: Source
    insist: Callable[[str, Callable[[], Any]], Any]
    root: Callable[[], Manifest]
    repository: str = ""
    registry: Repository | None = None


class Part(NamedTuple):
    """One platform of an image. ``faults`` are why manifest or config are None."""

    platform: Platform
    descriptor: Descriptor
    manifest: Manifest | None = None
    config: Config | None = None
    faults: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """The digest of its manifest."""
        return self.descriptor.digest

    @property
    def os_version(self) -> str:
        """The version of Windows, as the index says; ``""`` for all else."""
        words = self.descriptor.platform
        return (words.os_version if words else "") or ""


class Held(NamedTuple):
    """An image as it was found: its index (or only manifest), platforms, and what attests these.

    ``is_nested`` says that its index lists others, ``kind`` what it is where it is no image: the type of
    an artifact, as of a chart.
    """

    place: Place
    root: Manifest
    parts: tuple[Part, ...]
    attesting: tuple[Descriptor, ...] = ()
    is_nested: bool = False
    kind: str = ""

    @property
    def is_index(self) -> bool:
        """Whether it lists its platforms."""
        return self.root.is_index

    def version_of(self, part: Part) -> str:
        """Return the version of Windows of a part, where that tells it from others of its platform."""
        alike = [one for one in self.parts if one.platform == part.platform]
        return part.os_version if len(alike) > 1 else ""


def place_of(workspace: Workspace, text: str, option: str) -> Place:
    """Return where an image is that a person names: a reference, or ``oci:FOLDER[:NAME]``.

    Raises:
        UsageError: it names none.
        EngineError: the folder is no layout, or cannot be read; a certificate cannot.

    """
    if text.startswith(LAYOUT):
        return _in_folder(text, option)
    reference, pinned = exact(text, option)
    repository = workspace.registries.repository(reference)
    name = f"{repository}@{pinned}" if pinned else str(reference)
    within = pinned or reference.tag
    what = f"{name} cannot be audited"
    return Place(
        name,
        within,
        RepositorySource(repository),
        repository.insist,
        lambda: repository.get(within, what=what),
        str(repository),
        repository,
    )


def held(place: Place, wanted: Sequence[Platform], root: Manifest | None = None) -> Held:
    """Return the image at a place, or its ``wanted`` platforms: manifests and configs, read.

    ``root`` is its index (or only manifest) where that was read before.

    Raises:
        MissingError: there is none.
        EngineError: what is there is no image.
        RegistryError: the registry refuses, or does not answer.
        UsageError: it is not for a wanted platform.

    """
    root = root or place.root()
    read = _Documents(place, root)
    attesting: list[Descriptor] = []
    if root.is_index:
        listed_there = read.listed()
        attesting = [one for one in listed_there if ATTESTATION in one.marks]
        described = [one for one in listed_there if ATTESTATION not in one.marks]
        named = [(read.platform_of(one), one) for one in described]
        known = [(platform, one) for platform, one in named if platform.os != _UNKNOWN]
    else:
        own = Descriptor(root.digest, len(root.data), root.media_type)
        platform = read.platform(root)
        if platform is None and wanted:
            raise UsageError(f"{place.name} is an artifact, for no platform: leave -p out")
        if platform is None:
            return Held(place, root, (), kind=_kind_of_artifact(root))
        known = [(platform, own)]
    if not known:
        raise EngineError(f"{place.name} is no image: it has no platform; check the name")
    left_out: set[str] = set()
    if wanted:
        _require(place, wanted, [platform for platform, _ in known])
        left_out = {one.digest for platform, one in known if platform not in wanted}
        known = [(platform, one) for platform, one in known if platform in wanted]
    parts = tuple(read.part(platform, one) for platform, one in known)
    attesting = [one for one in attesting if one.marks.get(ATTESTED) not in left_out]
    return Held(place, root, parts, tuple(attesting), read.is_nested)


def _require(place: Place, wanted: Sequence[Platform], there: Sequence[Platform]) -> None:
    lacking = [str(platform) for platform in wanted if platform not in there]
    if lacking:
        raise UsageError(
            f"{place.name} has no {', '.join(lacking)}; it has {listed(map(str, there))}: choose one of "
            "these with -p, or leave -p out"
        )


class _Documents:
    """Manifests and configs of one image, each read once, and not more than there is room for."""

    def __init__(self, place: Place, root: Manifest) -> None:
        self._place = place
        self._root = root
        self._left = _MOST_DOCUMENTS
        self._configs: dict[str, Config] = {}
        self._manifests = {root.digest: root}
        self.is_nested = False

    def listed(self) -> list[Descriptor]:
        """Return what the index lists, and the indexes that it lists, to some depth."""
        found = self._root.content.manifests
        seen: set[str] = set()
        for _ in range(_MOST_NESTED):
            if not any(one.media_type in INDEX_TYPES for one in found):
                break
            self.is_nested = True
            found = [below for one in found for below in self._below(one, seen)]
        return found

    def _below(self, one: Descriptor, seen: set[str]) -> list[Descriptor]:
        if one.media_type not in INDEX_TYPES:
            return [one]
        if one.digest in seen:
            return []
        seen.add(one.digest)
        try:
            manifest = self._manifest(one)
        except (EngineError, RegistryError):
            seen.discard(one.digest)
            return [one]  # what is wrong with it is a finding
        return manifest.content.manifests if manifest.is_index else [one]

    def platform_of(self, one: Descriptor) -> Platform:
        """Return for which platform something is listed; where nothing is said, its config says it."""
        words = one.platform
        if (words and words.architecture) or one.media_type not in (*MANIFEST_TYPES, None, ""):
            return platform_of(words)
        try:
            return self.platform(self._manifest(one)) or platform_of(words)
        except (EngineError, RegistryError):
            return platform_of(words)

    def _manifest(self, one: Descriptor) -> Manifest:
        if one.digest not in self._manifests:
            self._require_room(one)
            found = self._manifests[one.digest] = self._place.source.manifest(one.digest)
            self._left -= len(found.data)
        return self._manifests[one.digest]

    def platform(self, manifest: Manifest) -> Platform | None:
        """Return the platform of an only manifest, which its config alone says; None for an artifact.

        Raises:
            EngineError: it has none that can be read.

        """
        name, config = self._place.name, manifest.content.config
        try:
            if config is not None:
                words = self._config(config).platform
                if words.architecture or not _kind_of_artifact(manifest):
                    return platform_of(words)
        except MissingError:
            raise EngineError(f"{name}: its config is not there; push it again") from None
        except MalformedError as error:
            if not _kind_of_artifact(manifest):
                raise EngineError(f"{name} is no image: {error}") from None
        if _kind_of_artifact(manifest):
            return None
        raise EngineError(f"{name} is no image: it has no config; check the name")

    def part(self, platform: Platform, one: Descriptor) -> Part:
        """Return a platform with what can be read of it; what cannot is a finding, and no error."""
        part, what = Part(platform, one), f"its manifest {one.digest}"
        try:
            manifest = self._manifest(one)
            part = part._replace(manifest=manifest)
            if len(manifest.data) != one.size:
                fault = f"{what} has {len(manifest.data)} bytes, the index says {one.size}"
                return part._replace(faults=(fault,))
            config = manifest.content.config
            if config is None:
                fault = f"{one.digest} is an index, {_MOST_NESTED} indexes below the image's own"
                return part._replace(manifest=None, faults=(fault,))
            what = f"its config {config.digest}"
            return part._replace(config=self._config(config))
        except MissingError:
            return part._replace(faults=(f"{what} is not there",))
        except (EngineError, RegistryError) as error:
            return part._replace(faults=(f"{what} cannot be read: {error}",))

    def _config(self, one: Descriptor) -> Config:
        if one.digest not in self._configs:
            self._require_room(one)
            self._configs[one.digest] = self._place.source.config(one)
            self._left -= one.size
        return self._configs[one.digest]

    def _require_room(self, one: Descriptor) -> None:
        if one.size > self._left:
            raise EngineError(
                f"the image's manifests and configs have more than the {_MOST_DOCUMENTS:,} bytes that "
                "are read"
            )


def _kind_of_artifact(manifest: Manifest) -> str:
    """Return what kind of artifact it is, ``""`` for images and what says nothing."""
    config = manifest.content.config
    kind = manifest.content.artifact_type or (config.media_type if config else "") or ""
    return "" if kind in CONFIG_TYPES else kind


def _in_folder(text: str, option: str) -> Place:
    path, _, name = text[len(LAYOUT) :].partition(":")
    if not path:
        raise UsageError(f"{option}: {text} names no folder; write it as in oci:out/app")
    layout = Layout(Path(path))
    if not layout.is_there:
        raise UsageError(f"{option}: {path} is no OCI image layout: it has no index.json; name one")
    found = layout.listed_all()
    chosen = {one.digest: one for known, one in found if not name or known == name}
    is_plain = not any(known or one.media_type in INDEX_TYPES for known, one in found)
    if not name and len(chosen) > 1 and is_plain:
        # One image, whose platforms the folder lists without an index of their own.
        return Place(text, name, layout, _once, layout.root)
    if len(chosen) != 1:
        names = listed(dict.fromkeys(known for known, _ in found if known))
        raise UsageError(
            f"{option}: {text} means {len(chosen)} of the {len(found)} images in that folder; write "
            f"{LAYOUT}{path}:NAME, where NAME is one of: {names}"
        )
    return Place(text, name, layout, _once, lambda: layout.manifest(next(iter(chosen))))


def _once(what: str, look: Callable[[], Any]) -> Any:
    try:
        return look()
    except PassingError as error:
        raise RegistryError(f"{what}: {error}; {error.fix}") from None
