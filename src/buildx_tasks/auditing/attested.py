"""What an index says attests its platforms, in; what of it does not hold, and what was built on, out.

Source: https://github.com/moby/buildkit/blob/master/docs/attestations/attestation-storage.md
"""

# No `from __future__ import annotations`: msgspec evaluates these on Python 3.9.
import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple, Optional, TypeVar, Union
from urllib.parse import parse_qs, unquote

import msgspec

from buildx_tasks import references
from buildx_tasks.auditing.places import Held, Place
from buildx_tasks.engine.bodies import DIGEST
from buildx_tasks.errors import EngineError, MissingError, RegistryError
from buildx_tasks.images.attestations import ATTESTED, PREDICATE
from buildx_tasks.machine.learning import learned
from buildx_tasks.registry.manifests import Descriptor, is_deep
from buildx_tasks.text import printable

_STATEMENT = "https://in-toto.io/Statement/"
_TYPE = "application/vnd.in-toto+json"
_MOST = 16 << 20  # bytes of a statement that is read
_MOST_LISTED = 1 << 20  # bytes of a list in a document: its tables take ten times as much
_SHOWN = 80  # characters of other people's words
_IMAGE = "pkg:docker/"  # how an image's package URL begins
# Types of which an empty predicate says nothing; a signature's own, as of cosign, is empty.
_TELLING = (
    "https://slsa.dev/",
    "https://spdx.dev/",
    "https://cyclonedx.org/",
    "https://in-toto.io/",
)


_Kind = TypeVar("_Kind")


class _Digests(msgspec.Struct, frozen=True, gc=False):
    sha256: str = ""
    sha512: str = ""


class _Subject(msgspec.Struct, frozen=True, gc=False):
    digest: _Digests = _Digests()


class _Material(msgspec.Struct, frozen=True, gc=False):
    uri: str = ""
    digest: _Digests = _Digests()


class _Definition(msgspec.Struct, rename="camel"):
    resolved_dependencies: msgspec.Raw = msgspec.Raw(b"[]")


class _Provenance(msgspec.Struct, rename="camel"):
    materials: msgspec.Raw = msgspec.Raw(b"[]")
    build_definition: Optional[_Definition] = None


class _Statement(msgspec.Struct):
    kind: str = msgspec.field(name="_type")
    predicate: msgspec.Raw = msgspec.Raw(b"{}")
    subject: msgspec.Raw = msgspec.Raw(b"[]")
    predicate_type: str = msgspec.field(name="predicateType", default="")


class Attested(NamedTuple):
    """What attestations of an image come to: ``problems``, notes (``facts``), and the bases of builds.

    ``bases`` maps the digest of a platform's manifest to the images that it was built on: names as in
    ``alpine:3.22``, each with its digest.
    """

    problems: tuple[str, ...]
    facts: tuple[str, ...]
    bases: Mapping[str, Mapping[str, str]]


def attested(image: Held, of: Mapping[str, str]) -> Attested:
    """Read all that an index lists as attestations; ``of`` maps the digests it lists to platforms."""
    problems: list[str] = []
    count = 0
    bases: dict[str, dict[str, str]] = {}
    for one in image.attesting:
        about = one.marks.get(ATTESTED, "")
        if about not in of:
            what = printable(about[:_SHOWN]) or "nothing"
            problems.append(f"{one.digest} attests {what}, which this index does not list")
            continue
        named = f"attestation {one.digest} of {of[about]}"
        try:
            for statement in _statements(image.place, one, about):
                count += 1
                if isinstance(statement, str):
                    problems.append(f"{named}: {statement}")
                else:
                    bases.setdefault(about, {}).update(statement)
        except MissingError:
            problems.append(f"{named} is not there")
        except (EngineError, RegistryError) as error:
            problems.append(f"{named} cannot be read: {error}")
    facts = (f"{count} statement{'' if count == 1 else 's'}",) if count and not problems else ()
    return Attested(tuple(problems), facts, bases)


def _statements(place: Place, one: Descriptor, about: str) -> Iterator[Union[str, dict[str, str]]]:
    """Yield for each statement of a manifest what is wrong with it, or the bases that it names."""
    content = place.source.manifest(one.digest).content
    layers = [layer for layer in content.layers if layer.media_type == _TYPE]
    if not layers:
        yield "it holds no in-toto statement"
    for layer in layers:
        if layer.size > _MOST:
            yield f"its statement {layer.digest} has {layer.size:,} bytes, at most {_MOST:,} are read"
            continue
        yield _read(text_of(place, layer), layer.marks.get(PREDICATE, ""), about)


def text_of(place: Place, layer: Descriptor) -> bytes:
    """Return a small blob.

    Raises:
        EngineError, RegistryError: it is not there, or cannot be read.

    """
    found: bytes = place.insist(f"{place.name}: {layer.digest}", partial(_whole, place, layer))
    return found


def require(place: Place, layer: Descriptor) -> None:
    """Do nothing where a blob is there, whole; of it, little is in memory.

    Raises:
        EngineError, RegistryError: as :func:`text_of`.

    """
    place.insist(f"{place.name}: {layer.digest}", partial(_passed, place, layer))


def few(raw: msgspec.Raw, kind: type[_Kind]) -> _Kind:
    """Return a list in a document, as a type of list; empty for ``null``.

    Raises:
        ValueError: it is no such list, or a hostile one, which would take much memory.

    """
    if len(memoryview(raw)) > _MOST_LISTED:
        raise ValueError(f"a list in it has more than the {_MOST_LISTED:,} bytes that are read")
    is_null = bytes(memoryview(raw)[:1]) == b"n"
    return kind() if is_null else msgspec.json.decode(raw, type=learned(kind))


def is_told(raw: msgspec.Raw) -> bool:
    """Say whether a part of a document is a table with something in it."""
    return re.match(rb"\{(?!\s*\})", memoryview(raw)) is not None


def problem_of(data: bytes, said: str, about: str) -> str:
    """Return what is wrong with an in-toto statement of the digest ``about``, ``""`` for nothing.

    ``said`` is its type as it is listed, ``""`` where that is not said.
    """
    found = _read(data, said, about)
    return found if isinstance(found, str) else ""


def _whole(place: Place, layer: Descriptor) -> bytes:
    return b"".join(place.source.blob(layer.digest, layer.size))


def _passed(place: Place, layer: Descriptor) -> None:
    for _ in place.source.blob(layer.digest, layer.size):
        pass


def _read(data: bytes, said: str, about: str) -> Union[str, dict[str, str]]:
    try:
        if is_deep(data):
            return "its statement is nested too deep to be read"
        statement = msgspec.json.decode(data, type=learned(_Statement))
        listed = few(statement.subject, list[_Subject])
    except (msgspec.MsgspecError, ValueError) as error:
        return f"its statement cannot be read: {printable(str(error))}"
    if not statement.kind.startswith(_STATEMENT):
        return f'its statement is no in-toto statement, but "{_short(statement.kind)}"'
    if said and said != statement.predicate_type:
        return f"it is said to be {_short(said)}, and its statement is {_short(statement.predicate_type)}"
    if not _says_something(statement):
        return f"its statement says nothing of {_short(statement.predicate_type)}"
    algorithm, _, digest = about.partition(":")
    subjects = [getattr(one.digest, algorithm, "") for one in listed]
    subjects = [one for one in subjects if one]
    if subjects and digest not in subjects:
        return f"its statement is of another digest, {_short(f'{algorithm}:{subjects[0]}')}"
    return _bases(statement.predicate)


def _says_something(statement: _Statement) -> bool:
    """Say whether there is a table, and something in it where its type is of no use without."""
    if statement.predicate_type.startswith(_TELLING):
        return is_told(statement.predicate)
    return re.match(rb"\{|null\Z", memoryview(statement.predicate)) is not None


def _bases(predicate: Any) -> dict[str, str]:
    try:
        found = msgspec.json.decode(predicate, type=learned(_Provenance))
        definition = found.build_definition or _Definition()
        listed = few(found.materials, list[_Material]) or few(
            definition.resolved_dependencies, list[_Material]
        )
    except (msgspec.MsgspecError, ValueError):
        return {}
    bases = {}
    for one in listed:
        name, digest = _named(one.uri), f"sha256:{one.digest.sha256}"
        if name and re.match(DIGEST, digest):
            bases[name] = digest
    return bases


def _named(uri: str) -> str:
    """Return the name of an image that a package URL stands for, ``""`` for all else."""
    if not uri.startswith(_IMAGE):
        return ""
    path, _, query = uri[len(_IMAGE) :].partition("?")
    repository, _, tag = path.partition("@")
    if not tag or tag.startswith("sha256") or "type" in parse_qs(query):
        return ""
    try:
        return references.familiar(unquote(f"{repository}:{tag}"))
    except ValueError:
        return ""


def _short(text: str) -> str:
    return printable(text[:_SHOWN])
