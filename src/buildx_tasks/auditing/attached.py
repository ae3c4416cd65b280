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
from typing import Annotated, Optional

import msgspec
from msgspec import Meta, field

from buildx_tasks.auditing.attested import problem_of, text_of
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
_ALONE = threading.Lock()  # one document at a time is in memory
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


class _Named(msgspec.Struct):
    digest: str = field(name="docker-manifest-digest")


class _Critical(msgspec.Struct):
    image: _Named


class _Payload(msgspec.Struct):
    critical: _Critical


class _Signature(msgspec.Struct):
    sig: str = ""


class _Envelope(msgspec.Struct, rename="camel"):
    payload: str
    signatures: Annotated[list[_Signature], Meta(min_length=1)]
    payload_type: str = ""


class _Bundle(msgspec.Struct, rename="camel"):
    verification_material: msgspec.Raw
    dsse_envelope: Optional[_Envelope] = None
    message_signature: msgspec.Raw = msgspec.Raw()


class _Target(msgspec.Struct):
    digest: str


class _Claims(msgspec.Struct, rename="camel"):
    target_artifact: _Target


class _Jws(msgspec.Struct):
    payload: str
    signature: Annotated[str, Meta(min_length=1)]


class Attachments:
    """What is attached to some manifests: all are asked about at once, while layers are read."""

    def __init__(self, place: Place, digests: Iterable[str]) -> None:
        self._pool = ThreadPoolExecutor(_AT_ONCE)
        asked = dict.fromkeys(digests) if place.registry else {}
        self._found = {one: self._pool.submit(attached, place, one) for one in asked}

    def __enter__(self) -> "Attachments":  # noqa: PYI034 - Python 3.9 has no Self
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def of(self, digest: str) -> Optional[Found]:
        """As :func:`attached`."""
        return self._found[digest].result() if digest in self._found else None


def attached(place: Place, digest: str) -> Optional[Found]:
    """Say whether all that is attached to a manifest holds; None where nothing is.

    Raises:
        RegistryError: the registry does not say what is attached.

    """
    repository = place.registry
    if repository is None:
        return None
    problems: list[str] = []
    large: list[str] = []
    kinds: dict[str, int] = {}
    entries = list(
        {one.digest: one for one in referrers.listed(repository, digest).entries}.values()
    )
    for entry in entries[:_MOST_READ]:
        kind = printable(entry.artifact_type or entry.media_type or "of no type")
        kinds[kind] = kinds.get(kind, 0) + 1
        named = f"{entry.digest} ({kind}), attached to {digest}"
        problems += [f"{named}, {text}" for text in _of_entry(place, entry, digest, large)]
    for end in _COSIGN:
        tag = f"{referrers.tag_of(digest)}{end}"
        manifest = repository.find(tag)
        if manifest is not None:
            kinds[f"cosign's {end}"] = len(manifest.content.layers)
            problems += [f"{tag}: {text}" for text in _of_layers(place, manifest, digest, large)]
    if not kinds:
        return None
    facts = [f"attached: {', '.join(f'{n} {kind}' for kind, n in kinds.items())}"]
    if len(entries) > _MOST_READ:
        facts.append(f"{len(entries) - _MOST_READ} more were not read")
    if large:
        facts.append(f"{len(large)} documents of more than {_MOST:,} bytes were not read")
    return Found(tuple(problems), tuple(facts))


def _of_entry(place: Place, entry: Descriptor, digest: str, large: list[str]) -> Iterator[str]:
    try:
        manifest = place.source.manifest(entry.digest)
    except MissingError:
        yield "is not there"
        return
    except RegistryError as error:
        yield f"cannot be read: {error}"
        return
    if len(manifest.data) != entry.size:
        yield f"has {len(manifest.data)} bytes, the list says {entry.size}"
    subject = manifest.content.subject
    if subject is None or subject.digest != digest:
        yield f"is about {subject.digest if subject else 'nothing'}"
    else:
        yield from _of_layers(place, manifest, digest, large)


def _of_layers(place: Place, manifest: Manifest, digest: str, large: list[str]) -> Iterator[str]:
    """Yield what is wrong with the documents of something that is attached; note those that are large."""
    if manifest.is_index:
        yield "is an index, which nothing that is attached is"
    for layer in manifest.content.layers:
        if layer.size > _MOST:
            large.append(layer.digest)
        if layer.size > _MOST or layer.urls:
            continue
        try:
            with _ALONE:
                problem = _of_document(text_of(place, layer), layer, digest)
        except MissingError:
            yield f"its {layer.digest} is not there"
            continue
        except (EngineError, RegistryError) as error:
            yield f"its {layer.digest} cannot be read: {error}"
            continue
        if problem:
            yield f"its {layer.digest} {problem}"


def _of_document(data: bytes, layer: Descriptor, digest: str) -> str:
    kind = layer.media_type or ""
    known = {_STATEMENT: _statement, _PAYLOAD: _signature, _ENVELOPE: _envelope, _NOTARY: _jws}
    judge = _bundle if _BUNDLE.fullmatch(kind) else known.get(kind)
    if judge is None:
        return ""
    try:
        if is_deep(data):
            return "is nested too deep to be read"
        return judge(data, layer, digest)
    except (msgspec.MsgspecError, ValueError) as error:
        return f"cannot be read as {kind}: {printable(str(error)[:_SHOWN])}"


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
    if found.dsse_envelope:
        return _of_envelope(found.dsse_envelope, digest)
    is_there = bytes(found.message_signature).startswith(b"{")
    return "" if is_there else "is a bundle without a signature"


def _jws(data: bytes, layer: Descriptor, digest: str) -> str:  # noqa: ARG001
    payload = _decoded(msgspec.json.decode(data, type=learned(_Jws)).payload)
    about = msgspec.json.decode(payload, type=learned(_Claims)).target_artifact.digest
    return _other(about, digest)


def _of_envelope(found: _Envelope, digest: str) -> str:
    if not all(one.sig for one in found.signatures):
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
