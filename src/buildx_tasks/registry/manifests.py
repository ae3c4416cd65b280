"""Bytes that others wrote in; the index, manifest or config that they are, out, or what is wrong."""

# No `from __future__ import annotations`: msgspec evaluates these on Python 3.9.
import hashlib
import re
from typing import Annotated, Any, NamedTuple, Optional, TypeVar, Union

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

from buildx_tasks.engine.bodies import DIGEST, algorithm_of
from buildx_tasks.errors import RegistryError
from buildx_tasks.machine.learning import learned
from buildx_tasks.text import printable

INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)

MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)

CONFIG_TYPES = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)

MOST_JSON = 4 << 20  # bytes of a document; registries take no larger manifest
MOST_LISTED = 1000  # manifests of an index, layers of an image
_MOST_BYTES = 2**53  # what every JSON reader keeps exact
_MOST_DEPTH = 32  # tables and lists in each other
_OTHERS = bytes(set(range(256)) - set(b'[]{}"'))
_AT_ONCE = 1 << 16  # brackets and quotes that are looked at
# RFC 6838, 4.2
_NAME = "[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
# Empty is as left out; some have parameters, as ;version=0.2.
_MEDIA_TYPE = rf"\A(?:{_NAME}/{_NAME}(?: ?; ?{_NAME}={_NAME})*)?\Z"
_WORD = r"\A[A-Za-z0-9_.+ -]{0,128}\Z"
_HOW = "look at it with docker buildx imagetools inspect --raw REFERENCE | cat -v"
# JSON's kinds, as msgspec names them and as a person does.
_KINDS = (
    (" | null`", "`"),
    ("`array`", "a list"),
    ("`object`", "a table"),
    ("`str`", "text"),
    ("`int`", "a whole number"),
    ("`float`", "a number"),
    ("`null`", "null"),
    ("`bool`", "true or false"),
    (" of length <= ", " of at most "),
)

Digest = Annotated[str, Meta(pattern=DIGEST)]
MediaType = Annotated[str, Meta(pattern=_MEDIA_TYPE)]
Size = Annotated[int, Meta(ge=0, le=_MOST_BYTES)]
Word = Annotated[str, Meta(pattern=_WORD)]
Made = TypeVar("Made")


class MalformedError(RegistryError):
    """What is read under a name is no index, manifest or config; the message names it.

    ``is_damaged`` says that it is no JSON at all, as what broke on its way.
    """

    is_damaged = False


class PlatformWords(Struct, frozen=True):
    """The platform that a descriptor or config names, as it is written there."""

    os: Optional[Word] = None
    architecture: Optional[Word] = None
    variant: Optional[Word] = None
    os_version: Optional[Word] = field(default=None, name="os.version")


class Descriptor(Struct, frozen=True):
    """What one document says of another one, or of a blob.

    Source: https://github.com/opencontainers/image-spec/blob/main/descriptor.md
    """

    digest: Digest
    size: Size
    media_type: Optional[MediaType] = field(default=None, name="mediaType")
    platform: Optional[PlatformWords] = None
    annotations: Optional[dict[str, str]] = None
    urls: Optional[list[str]] = None
    artifact_type: Optional[MediaType] = field(default=None, name="artifactType")

    @property
    def marks(self) -> dict[str, str]:
        """Its annotations."""
        return self.annotations or {}


Descriptors = Annotated[list[Descriptor], Meta(max_length=MOST_LISTED)]


class Content(Struct, frozen=True):
    """What a manifest or an index says: one has ``manifests``, the other ``config`` and ``layers``."""

    manifests: Descriptors = []
    config: Optional[Descriptor] = None
    layers: Descriptors = []
    media_type: Optional[MediaType] = field(default=None, name="mediaType")
    artifact_type: Optional[MediaType] = field(default=None, name="artifactType")
    subject: Optional[Descriptor] = None
    annotations: Optional[dict[str, str]] = None

    @property
    def marks(self) -> dict[str, str]:
        """Its annotations."""
        return self.annotations or {}


class _Form(Struct):
    schema: Any = field(default=None, name="schemaVersion")
    manifests: Union[Raw, UnsetType] = UNSET
    config: Union[Raw, UnsetType] = UNSET
    layers: Union[Raw, UnsetType] = UNSET


class Manifest(NamedTuple):
    """A manifest or index as its exact bytes; ``digest`` is computed from them."""

    digest: str
    media_type: str
    data: bytes
    content: Content

    @property
    def is_index(self) -> bool:
        """Whether it lists other manifests."""
        return self.content.config is None

    @property
    def described(self) -> list[Descriptor]:
        """The config and layers of an image; nothing of an index."""
        return [self.content.config, *self.content.layers] if self.content.config else []


class Step(Struct, frozen=True):
    """An entry of a config's history."""

    created_by: Optional[str] = None
    empty_layer: Optional[bool] = None


class _RootFs(Struct, frozen=True):
    diff_ids: Optional[Annotated[list[Digest], Meta(max_length=MOST_LISTED)]] = None


class _Runtime(Struct, frozen=True):
    User: Optional[str] = None
    Env: Optional[list[str]] = None
    Entrypoint: Optional[list[str]] = None
    Cmd: Optional[list[str]] = None
    WorkingDir: Optional[str] = None
    StopSignal: Optional[str] = None
    Labels: Optional[dict[str, str]] = None
    ExposedPorts: Optional[dict[str, Any]] = None
    Volumes: Optional[dict[str, Any]] = None


class _Config(PlatformWords, frozen=True):
    created: Optional[str] = None
    config: Optional[_Runtime] = None
    history: Optional[list[Step]] = None
    rootfs: Optional[_RootFs] = None


class Config(NamedTuple):
    """An image's config; ``whole`` is all that it says, whose own ``config`` has known types.

    Source: https://github.com/opencontainers/image-spec/blob/main/config.md
    """

    platform: PlatformWords = PlatformWords()
    created: str = ""
    history: tuple[Step, ...] = ()
    diff_ids: tuple[str, ...] = ()
    whole: dict[str, Any] = {}  # noqa: RUF012 - never changed

    @property
    def runtime(self) -> dict[str, Any]:
        """How a container of the image is started: ``Entrypoint``, ``Env`` and so on."""
        found: dict[str, Any] = self.whole.get("config") or {}
        return found


def manifest_of(data: bytes, media_type: str = "", what: str = "", digest: str = "") -> Manifest:
    """Return bytes as a manifest; its own ``mediaType`` counts before the one that is given.

    ``what`` is how errors name it, ``digest`` what it was asked for by.

    Raises:
        MalformedError: they are none.

    """
    own = digest_of(data, digest)
    what = what or own
    form = _decoded(data, _Form, what)
    is_index = form.manifests is not UNSET
    if is_index and not (form.config is UNSET and form.layers is UNSET):
        raise _malformed(what, "it has manifests, and config or layers too, so it means two things")
    if form.schema == 1:
        raise _malformed(
            what,
            "it is of docker's first schema, which no engine takes any more: build and push it again, "
            "or copy it with a tool that converts it, as skopeo copy --format oci",
        )
    if not is_index and (form.config is UNSET or form.layers is UNSET):
        raise _malformed(what, "it has neither manifests nor both config and layers")
    content = _decoded(data, Content, what)
    kind = content.media_type or media_type
    kind = kind or (INDEX_TYPES if is_index else MANIFEST_TYPES)[0]
    if not re.search(_MEDIA_TYPE, kind):
        raise _malformed(what, f'"{printable(kind[:80])}" is no media type')
    if kind in (MANIFEST_TYPES if is_index else INDEX_TYPES):
        raise _malformed(
            what, f"it is said to be {kind}, and is {'an' if is_index else 'no'} index"
        )
    if not is_index and content.config is None:
        raise _malformed(what, "its config is null")
    return Manifest(own, kind, data, content)


def config_of(data: bytes, what: str) -> Config:
    """Return bytes as an image's config.

    Raises:
        MalformedError: they are none.

    """
    found = _decoded(data, _Config, what)
    whole = _decoded(data, dict[str, Any], what)
    return Config(
        PlatformWords(found.os, found.architecture, found.variant),
        found.created or "",
        tuple(found.history or ()),
        tuple((found.rootfs and found.rootfs.diff_ids) or ()),
        whole,
    )


def listed_in(data: bytes, what: str) -> list[Descriptor]:
    """Return what the ``index.json`` of an archive lists.

    Raises:
        MalformedError: it is no index.

    """
    return _decoded(data, Content, what).manifests


def descriptor_of(data: Any, what: str) -> Descriptor:
    """Return as a descriptor what the engine says is one.

    Raises:
        MalformedError: it is none.

    """
    try:
        return msgspec.convert(data, learned(Descriptor))
    except msgspec.ValidationError as error:
        raise _malformed(what, _words(str(error))) from None


def require_small(descriptor: Descriptor, what: str) -> None:
    """Refuse what is said to be larger than any JSON document may be.

    Raises:
        MalformedError: it is.

    """
    if descriptor.size > MOST_JSON:
        raise _malformed(what, f"it has {descriptor.size} bytes, at most {MOST_JSON} are read")


def digest_of(data: bytes, like: str = "") -> str:
    """Return the digest of bytes, of the kind that ``like`` is."""
    name = algorithm_of(like)
    return f"{name}:{hashlib.new(name, data).hexdigest()}"


def is_deep(data: bytes) -> bool:
    """Say whether JSON is nested deeper than anything that is read here.

    A reader would find out at the end of Python's stack, where whatever else is to run fails too.
    """
    plain = data.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, _OTHERS)
    depth = inside = 0
    for start in range(0, len(plain), _AT_ONCE):
        between = plain[start : start + _AT_ONCE].split(b'"')  # in a text, and out of one, in turn
        for mark in b"".join(between[inside::2]):
            depth += 1 if mark in b"[{" else -1
            if depth > _MOST_DEPTH:
                return True
        inside = (inside + len(between) - 1) % 2
    return False


def _decoded(data: bytes, kind: type[Made], what: str) -> Made:
    if len(data) > MOST_JSON:
        raise _malformed(what, f"it has more than the {MOST_JSON} bytes that are read")
    if is_deep(data):
        raise _malformed(what, f"it is nested more than {_MOST_DEPTH} deep")
    try:
        return msgspec.json.decode(data, type=learned(kind))
    except (msgspec.MsgspecError, ValueError) as error:
        malformed = _malformed(what, _words(str(error)))
        malformed.is_damaged = not isinstance(error, msgspec.ValidationError)
        raise malformed from None


def _malformed(what: str, problem: str) -> MalformedError:
    return MalformedError(f"{printable(what)} is no image that can be read: {problem}; {_HOW}")


def _words(text: str) -> str:
    """Return what msgspec says as a person would."""
    said, _, place = text.partition(" - at `$")
    for pattern, name in (
        (DIGEST, "a digest (sha256: and 64 hex digits)"),
        (_MEDIA_TYPE, "a media type (as in text/plain)"),
        (_WORD, "a word of a platform (letters, digits, . _ + -)"),
    ):
        said = said.replace(f"`str` matching regex {pattern!r}", name)
    for kind, name in _KINDS:
        said = said.replace(kind, name)
    place = place.rstrip("`").lstrip(".")
    return printable(f"{place}: {said[:1].lower()}{said[1:]}" if place else said)
