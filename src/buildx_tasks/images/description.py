"""An image in; the tree of its index, platforms, layers and attestations, for people and as JSON, out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks import sizes
from buildx_tasks.errors import EngineError, MissingError
from buildx_tasks.images import attestations, evidence, statements
from buildx_tasks.images.artifacts import HELM, TITLE, VERSION
from buildx_tasks.images.attestations import PROVENANCE, SBOM
from buildx_tasks.images.image import platform_of
from buildx_tasks.images.layers import Layer, instruction, layers_of
from buildx_tasks.images.sources import RepositorySource
from buildx_tasks.registry.manifests import CONFIG_TYPES, INDEX_TYPES, MalformedError
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from buildx_tasks.images.evidence import Evidence
    from buildx_tasks.images.sources import Source
    from buildx_tasks.registry.manifests import Descriptor, Manifest, PlatformWords
    from buildx_tasks.registry.repository import Repository

_AT_ONCE = 4  # manifests that are read from a registry
NO_PLATFORM = "no platform"
NOT_THERE = "not there"


class Attestation(NamedTuple):
    """A manifest of statements on a platform; ``size`` is their bytes, None where it is not there."""

    digest: str
    predicates: tuple[str, ...]
    size: int | None


class Part(NamedTuple):
    """One platform. ``layers`` is None where its manifest is not there, ``note`` says why.

    ``kind`` is what it is where it is no image: the type of an artifact, the name of a chart.
    ``os_version`` is that of Windows.
    """

    platform: str
    digest: str
    layers: tuple[Layer, ...] | None
    attestations: tuple[Attestation, ...] = ()
    note: str = ""
    evidence: tuple[Evidence, ...] = ()
    kind: str = ""
    os_version: str = ""

    @property
    def size(self) -> int | None:
        """The compressed bytes of its layers."""
        return None if self.layers is None else sum(layer.size for layer in self.layers)


class Shown(NamedTuple):
    """An image; ``digest`` is ``""`` where nothing is there under the reference.

    ``strays`` are attestations of manifests that the index does not list; ``evidence`` is what a
    registry has attached to the index, or to a platform.
    """

    reference: str
    digest: str = ""
    media_type: str = ""
    parts: tuple[Part, ...] = ()
    annotations: Mapping[str, str] = MappingProxyType({})
    strays: tuple[Attestation, ...] = ()
    evidence: tuple[Evidence, ...] = ()

    @property
    def size(self) -> int:
        """The compressed bytes of all platforms' layers, each layer once."""
        layers = {layer.digest: layer for part in self.parts for layer in part.layers or ()}
        return sum(layer.size for layer in layers.values())


def published(repository: Repository, reference: str, tag_or_digest: str) -> Shown:
    """Return the image that a repository holds under a tag or digest, if there is one.

    Raises:
        RegistryError: the registry refuses, or does not answer.
        EngineError: what it holds is no image.

    """
    root = repository.find(tag_or_digest)
    if root is None:
        return Shown(reference)
    return _with_evidence(repository, shown(RepositorySource(repository), reference, root))


def _with_evidence(repository: Repository, image: Shown) -> Shown:
    """Return an image with what is attached to its index and its platforms."""
    digests = dict.fromkeys((image.digest, *(part.digest for part in image.parts)))
    found = {
        image.digest: evidence.attached(repository, image.digest)
    }  # who keeps no lists says so
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        rest = [digest for digest in digests if digest not in found]
        found.update(zip(rest, pool.map(partial(evidence.attached, repository), rest)))
    finally:
        pool.shutdown(cancel_futures=True)
    parts = tuple(part._replace(evidence=found[part.digest]) for part in image.parts)
    of_index = found[image.digest] if image.media_type in INDEX_TYPES else ()
    return image._replace(parts=parts, evidence=of_index)


def shown(source: Source, reference: str, root: Manifest) -> Shown:
    """Return an image with all that is below its index, or its only manifest.

    Raises:
        EngineError: it is none, or its store lacks something but whole platforms.
        RegistryError: so does its registry.

    """
    try:
        if not root.is_index:
            return Shown(reference, root.digest, root.media_type, (_part(source, None, root),))
        return _whole(source, reference, root)
    except MalformedError as error:
        raise EngineError(f"{reference} cannot be shown: {error}") from None


def _whole(source: Source, reference: str, root: Manifest) -> Shown:
    listed = root.content.manifests
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        found = list(pool.map(partial(_read, source), listed))
    finally:
        pool.shutdown(cancel_futures=True)  # after a fault, the other 900 are not asked for
    attested: dict[str, list[Attestation]] = {}
    for descriptor, one in zip(listed, found):
        if isinstance(one, Attestation):
            of = descriptor.marks.get(attestations.ATTESTED, "")
            attested.setdefault(of, []).append(one)
    parts = tuple(
        one._replace(attestations=tuple(attested.get(one.digest, ())))
        for one in found
        if isinstance(one, Part)
    )
    known = {part.digest for part in parts}
    strays = tuple(a for digest, many in attested.items() if digest not in known for a in many)
    return Shown(reference, root.digest, root.media_type, parts, root.content.marks, strays)


def _read(source: Source, descriptor: Descriptor) -> Part | Attestation:
    digest = descriptor.digest
    manifest: Manifest | None
    try:
        manifest = source.manifest(digest)
    except (EngineError, MissingError):
        manifest = None  # as where one platform of an index was pulled
    if attestations.ATTESTATION not in descriptor.marks:
        return _part(source, descriptor, manifest)
    if manifest is None:
        return Attestation(digest, (), None)
    predicates = tuple(attestations.predicates_of(manifest.content))
    return Attestation(digest, predicates, sum(layer.size for layer in manifest.content.layers))


def _part(source: Source, descriptor: Descriptor | None, manifest: Manifest | None) -> Part:
    platform = descriptor.platform if descriptor else None
    digest = descriptor.digest if descriptor else manifest.digest if manifest else ""
    if manifest is None:
        return Part(_platform(platform), digest, None, note=NOT_THERE)
    described = manifest.content.config
    if described is None:
        return Part(_platform(platform), digest, None, note="an index in the index")
    if described.media_type not in CONFIG_TYPES:
        titles = tuple(
            Layer(one.digest, one.size, one.marks.get(TITLE) or one.media_type or "")
            for one in manifest.content.layers
        )
        kind = _kind(manifest, described)
        return Part(_platform(platform), digest, titles, kind=kind)
    config = source.config(described)
    layers = layers_of(manifest.content, config)
    words = platform or config.platform
    return Part(_platform(words), digest, layers, os_version=words.os_version or "")


def _kind(manifest: Manifest, config: Descriptor) -> str:
    """Return what an artifact is, as its manifest says."""
    kind = manifest.content.artifact_type or config.media_type or ""
    if kind != HELM:
        return kind
    marks = manifest.content.marks
    named = (marks.get(TITLE, ""), marks.get(VERSION, ""))
    return " ".join(filter(None, ("helm chart", *named)))


def _platform(words: PlatformWords | None) -> str:
    found = platform_of(words)
    return NO_PLATFORM if found.os in ("", "unknown") else str(found)


def lines(image: Shown, *, whole: bool = True) -> Iterator[str]:
    """Yield the tree for people, one line each; only its head unless ``whole``."""
    yield printable(_head(image)) + ("" if whole or not image.digest else ", as above")
    if not whole:
        return
    for key, value in sorted(image.annotations.items()):
        yield printable(f"  annotation {key} = {value}")
    for attached in image.evidence:
        yield printable(f"  {_evidence(attached)}")
    width = max((len(part.platform) for part in image.parts), default=0)
    for part in image.parts:
        yield printable(f"  {part.platform:<{width}}  {part.digest}  {_contents(part)}")
        for layer in part.layers or ():
            how = instruction(layer.made_by)
            yield f"    {printable(layer.digest)}  {sizes.text(layer.size):>8}  {how}".rstrip()
        for one in part.attestations:
            yield printable(f"    {_attestation(one)}")
        for attached in part.evidence:
            yield printable(f"    {_evidence(attached)}")
    for one in image.strays:
        yield printable(f"  {_attestation(one)}, of what is not in this index")


def _head(image: Shown) -> str:
    if not image.digest:
        return f"{image.reference}  {NOT_THERE}"
    kind = "index" if image.media_type in INDEX_TYPES else "manifest without index"
    number = _number(len(image.parts), "platform")
    if len(image.parts) == 1 and image.parts[0].kind:
        number = image.parts[0].kind
        kind = "artifact"
    return f"{image.reference}  {kind} {image.digest}  {number}, {sizes.text(image.size)}"


def _contents(part: Part) -> str:
    if part.layers is None or part.size is None:
        return part.note
    version = f", {part.os_version}" if part.os_version else ""
    return f"{sizes.text(part.size)}, {_number(len(part.layers), 'layer')}{version}"


def _attestation(one: Attestation) -> str:
    if one.size is None:
        return f"attestation {one.digest}  {NOT_THERE}"
    said = ", ".join(map(_predicate, one.predicates)) or "says nothing"
    return f"attestation {one.digest}  {sizes.text(one.size)}  {said}"


def _predicate(type_: str) -> str:
    for kind in (PROVENANCE, SBOM):
        if type_.startswith(kind.predicates):
            return f"{kind.type} {type_}"
    return type_


def _evidence(one: Evidence) -> str:
    if one.problem:
        return f"verdict {one.digest}  refused: {one.problem}"
    if one.verdict is None:
        return f"attached {one.digest}  {one.kind}  {one.title}".rstrip()
    return f"verdict {one.digest}  {statements.told(one.verdict)}"


def _number(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def summary(image: Shown) -> dict[str, Any]:
    """Return the tree as ``--format json`` has it; null is what is not there."""
    there = bool(image.digest)
    return {
        "reference": image.reference,
        "digest": image.digest or None,
        "mediaType": image.media_type or None,
        "size": image.size if there else None,
        "annotations": dict(image.annotations),
        "platforms": [
            {
                "platform": part.platform,
                "digest": part.digest,
                "size": part.size,
                **({"kind": part.kind} if part.kind else {}),
                **({"osVersion": part.os_version} if part.os_version else {}),
                "layers": None
                if part.layers is None
                else [
                    {
                        "digest": one.digest,
                        "size": one.size,
                        "instruction": instruction(one.made_by),
                    }
                    for one in part.layers
                ],
                "attestations": [one._asdict() for one in part.attestations],
                "evidence": list(map(_attached, part.evidence)),
            }
            for part in image.parts
        ],
        "attestations": [one._asdict() for one in image.strays],
        "evidence": list(map(_attached, image.evidence)),
    }


def _attached(one: Evidence) -> dict[str, Any]:
    verdict = one.verdict._asdict() if one.verdict else None
    return {**one._asdict(), "verdict": verdict, "title": one.title or None}
