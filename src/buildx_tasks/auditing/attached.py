"""What a registry lists as being about a manifest, in; what of it does not hold, out.

Signatures are not verified, for nobody said whose would count: they have to be there, whole, and of
that manifest.
"""

# No `from __future__ import annotations`: msgspec evaluates these on Python 3.9.
import base64
import binascii
import re
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Annotated, Callable, Optional

import msgspec
from msgspec import Meta, field

from buildx_tasks.auditing.attested import few, is_told, problem_of, require, text_of
from buildx_tasks.auditing.places import Place
from buildx_tasks.errors import EngineError, MissingError, RegistryError
from buildx_tasks.images.attestations import PREDICATE
from buildx_tasks.machine.learning import learned
from buildx_tasks.registry import referrers
from buildx_tasks.registry.manifests import Descriptor, Manifest, is_deep
from buildx_tasks.text import printable
from buildx_tasks.verification.check import Found

_AT_ONCE = 4  # manifests that registries are asked about
_MOST_READ = 50  # things that are attached to one manifest
_MOST = 4 << 20  # bytes of a document that is read
_MOST_OF_IMAGE = 128 << 20  # bytes of all documents that are attached to an image
_SMALL = 1 << 18  # bytes of a document that may be in memory beside others
_ALONE = threading.Lock()  # one larger document at a time is in memory
_SHOWN = 80  # characters of other people's words
# Tags of cosign's own, which it writes where nobody asks for referrers.
# Source: https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
_COSIGN = (".sig", ".att")
_SIGNED = "dev.cosignproject.cosign/signature"  # annotation: the signature itself, in base64
_STATEMENT = "application/vnd.in-toto+json"
_PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
_ENVELOPE = "application/vnd.dsse.envelope.v1+json"
_BUNDLE = re.compile(r"application/vnd\.dev\.sigstore\.bundle(?:\.v[0-9.]+)?\+json")
_NOTARY = "application/jose+json"
_Judge = Callable[[bytes, Descriptor, str], str]


class _Named(msgspec.Struct):
    digest: str = field(name="docker-manifest-digest")


class _Critical(msgspec.Struct):
    image: _Named


class _Payload(msgspec.Struct):
    critical: _Critical


class _Signature(msgspec.Struct, frozen=True, gc=False):
    sig: str = ""


class _Envelope(msgspec.Struct, rename="camel"):
    payload: str
    signatures: msgspec.Raw
    payload_type: str = ""


class _Bundle(msgspec.Struct, rename="camel"):
    verification_material: msgspec.Raw
    dsse_envelope: Optional[_Envelope] = None
    message_signature: msgspec.Raw = msgspec.Raw(b"null")


class _Target(msgspec.Struct):
    digest: str


class _Claims(msgspec.Struct, rename="camel"):
    target_artifact: _Target


class _Jws(msgspec.Struct):
    payload: str
    signature: Annotated[str, Meta(min_length=1)]


class _Room:
    """How much of what is attached to one image may still be read."""

    def __init__(self) -> None:
        self._left = _MOST_OF_IMAGE
        self._taking = threading.Lock()

    def takes(self, size: int) -> bool:
        """Take so many bytes; say whether there was room for them."""
        with self._taking:
            there = size <= self._left
            self._left -= size if there else 0
            return there


class Attachments:
    """What is attached to some manifests: all are asked about at once, while layers are read."""

    def __init__(self, place: Place, digests: Iterable[str]) -> None:
        self._pool = ThreadPoolExecutor(_AT_ONCE)
        asked = dict.fromkeys(digests) if place.registry else {}
        room = _Room()
        self._found = {one: self._pool.submit(attached, place, one, room) for one in asked}

    def __enter__(self) -> "Attachments":  # noqa: PYI034 - Python 3.9 has no Self
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def of(self, digest: str) -> Optional[Found]:
        """As :func:`attached`."""
        return self._found[digest].result() if digest in self._found else None


def attached(place: Place, digest: str, room: Optional[_Room] = None) -> Optional[Found]:
    """Say whether all that is attached to a manifest holds; None where nothing is.

    Raises:
        RegistryError: the registry does not say what is attached.

    """
    repository = place.registry
    if repository is None:
        return None
    documents = _Documents(place, digest, room or _Room())
    problems: list[str] = []
    kinds: dict[str, int] = {}
    listed = referrers.listed(repository, digest, most=_MOST_READ + 1)
    entries = list({one.digest: one for one in listed.entries}.values())
    for entry in entries[:_MOST_READ]:
        kind = printable(entry.artifact_type or entry.media_type or "of no type")
        kinds[kind] = kinds.get(kind, 0) + 1
        named = f"{entry.digest} ({kind}), attached to {digest}"
        problems += [f"{named}, {text}" for text in documents.of_entry(entry)]
    for end in _COSIGN:
        tag = f"{referrers.tag_of(digest)}{end}"
        manifest = repository.find(tag)
        if manifest is not None:
            kinds[f"cosign's {end}"] = len(manifest.content.layers)
            problems += [f"{tag}: {text}" for text in documents.of(manifest)]
    if not kinds:
        return None
    facts = [f"attached: {', '.join(f'{n} {kind}' for kind, n in kinds.items())}"]
    if len(entries) > _MOST_READ:
        facts.append(f"more is attached than the {_MOST_READ} that were read")
    return Found(tuple(problems), (*facts, *documents.facts()))


class _Documents:
    """The documents that are attached to one manifest, judged; those that are not read are counted."""

    def __init__(self, place: Place, digest: str, room: _Room) -> None:
        self._place = place
        self._digest = digest
        self._room = room
        self._large = self._late = 0

    def facts(self) -> Iterator[str]:
        """Yield how many were not read."""
        if self._large:
            yield f"{self._large} documents of more than {_MOST:,} bytes were not read"
        if self._late:
            yield f"{self._late} documents were not read, after {_MOST_OF_IMAGE:,} bytes of others"

    def of_entry(self, entry: Descriptor) -> Iterator[str]:
        """Yield what is wrong with something that is listed."""
        try:
            manifest = self._place.source.manifest(entry.digest)
        except MissingError:
            yield "is not there"
            return
        except RegistryError as error:
            yield f"cannot be read: {error}"
            return
        if len(manifest.data) != entry.size:
            yield f"has {len(manifest.data)} bytes, the list says {entry.size}"
        subject = manifest.content.subject
        if subject is None or subject.digest != self._digest:
            yield f"is about {subject.digest if subject else 'nothing'}"
        else:
            yield from self.of(manifest)

    def of(self, manifest: Manifest) -> Iterator[str]:
        """Yield what is wrong with the documents of something that is attached."""
        for layer in manifest.content.layers:
            if layer.urls:
                continue
            if layer.size > _MOST:
                self._large += 1
                continue
            if not self._room.takes(layer.size):
                self._late += 1
                continue
            try:
                problem = self._problem(layer)
            except MissingError:
                problem = "is not there"
            except (EngineError, RegistryError) as error:
                problem = f"cannot be read: {error}"
            if problem:
                yield f"its {layer.digest} {problem}"

    def _problem(self, layer: Descriptor) -> str:
        judge = _judge(layer)
        if judge is None:
            require(self._place, layer)
            return ""
        with nullcontext() if layer.size <= _SMALL else _ALONE:
            data = text_of(self._place, layer)
            try:
                if is_deep(data):
                    return "is nested too deep to be read"
                return judge(data, layer, self._digest)
            except (msgspec.MsgspecError, ValueError) as error:
                kind = printable(layer.media_type or "")
                return f"cannot be read as {kind}: {printable(str(error)[:_SHOWN])}"


def _judge(layer: Descriptor) -> Optional[_Judge]:
    """Return what looks into a document, None for one that nothing is known of."""
    kind = (layer.media_type or "").partition(";")[0].rstrip()
    known = {_STATEMENT: _statement, _PAYLOAD: _signature, _ENVELOPE: _envelope, _NOTARY: _jws}
    return _bundle if _BUNDLE.fullmatch(kind) else known.get(kind)


def _statement(data: bytes, layer: Descriptor, digest: str) -> str:
    return problem_of(data, layer.marks.get(PREDICATE, ""), digest)


def _signature(data: bytes, layer: Descriptor, digest: str) -> str:
    if not _decoded(layer.marks.get(_SIGNED, "")):
        return "has no signature beside it"
    about = msgspec.json.decode(data, type=learned(_Payload)).critical.image.digest
    return _other(about, digest)


def _envelope(data: bytes, layer: Descriptor, digest: str) -> str:  # noqa: ARG001
    return _of_envelope(msgspec.json.decode(data, type=learned(_Envelope)), digest)


def _bundle(data: bytes, layer: Descriptor, digest: str) -> str:  # noqa: ARG001
    found = msgspec.json.decode(data, type=learned(_Bundle))
    if not is_told(found.verification_material):
        raise ValueError("nothing to verify it with")
    if found.dsse_envelope:
        return _of_envelope(found.dsse_envelope, digest)
    return "" if is_told(found.message_signature) else "is a bundle without a signature"


def _jws(data: bytes, layer: Descriptor, digest: str) -> str:  # noqa: ARG001
    payload = _decoded(msgspec.json.decode(data, type=learned(_Jws)).payload)
    about = msgspec.json.decode(payload, type=learned(_Claims)).target_artifact.digest
    return _other(about, digest)


def _of_envelope(found: _Envelope, digest: str) -> str:
    signatures = few(found.signatures, list[_Signature])
    if not signatures or not all(one.sig for one in signatures):
        return "has no signature in its envelope"
    if found.payload_type != _STATEMENT:
        return ""
    payload = _decoded(found.payload)
    if is_deep(payload):
        return "is nested too deep to be read"
    return problem_of(payload, "", digest)


def _other(about: str, digest: str) -> str:
    return "" if about == digest else f"is of another digest, {printable(about[:_SHOWN])}"


def _decoded(text: str) -> bytes:
    """Return the bytes of base64, of either alphabet and with or without its end."""
    plain = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"no base64: {error}") from None
