"""What a part says of itself: a record, written into a small OCI artifact beside the image."""

# No `from __future__ import annotations`: msgspec evaluates these on Python 3.9.
import json
from typing import Any, NamedTuple

import msgspec

from buildx_tasks.errors import RegistryError
from buildx_tasks.images import statements
from buildx_tasks.images.artifacts import described
from buildx_tasks.images.sources import Source
from buildx_tasks.registry.manifests import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    Descriptor,
    Manifest,
    digest_of,
    manifest_of,
)
from buildx_tasks.text import printable

TYPE = "application/vnd.buildx-tasks.part.v1+json"
MARK = "dev.buildx-tasks.part"  # annotation of the record's descriptor in a part's index

# Source: https://github.com/opencontainers/image-spec/blob/main/manifest.md#guidance-for-an-empty-descriptor
_EMPTY = b"{}"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"


class Verdict(msgspec.Struct, frozen=True):
    """One check of the part: ``status`` is ok, FAIL, skip or xfail."""

    name: str
    kind: str
    status: str


class Record(msgspec.Struct, frozen=True):
    """What a part is: of which run, commit and plan, what was made, and how it was verified.

    ``digest`` is the manifest's of the platform, ``at`` when it was handed in (UTC, ISO 8601);
    ``native`` says that its platform ran without an emulator; ``verified`` is passed, or unchecked
    where nothing is expected; ``tools`` maps names to versions; ``fingerprint`` stands for all that it
    was built from, and ``expected`` (hex) for all that was expected, ``""`` where that is not known.
    """

    run: str
    commit: str
    plan: str
    target: str
    platform: str
    digest: str
    verified: str
    native: bool
    at: str
    checks: list[Verdict] = []
    tools: dict[str, str] = {}
    fingerprint: str = ""
    expected: str = ""

    @property
    def how(self) -> str:
        """How its programs ran, for people."""
        if not self.platform.startswith("linux/"):
            return "not run"
        return "native" if self.native else "emulated"

    def verdict(self) -> statements.Verdict:
        """Return the verdict of a part that passed."""
        named = {
            status: tuple(one.name for one in self.checks if one.status == status)
            for status in ("ok", "xfail")
        }
        cell = f"{self.target}@{self.platform}"
        return statements.Verdict(
            cell, named["ok"], named["xfail"], expected=self.expected, native=self.native
        )


class Written(NamedTuple):
    """A record as an artifact: its manifest, and its blobs by digest."""

    manifest: Manifest
    blobs: dict[str, bytes]


def written(record: Record) -> Written:
    """Return a record as the artifact that is uploaded beside its image."""
    data = msgspec.json.encode(record, order="deterministic")
    content = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPES[0],
        "artifactType": TYPE,
        "config": described(TYPE, data),
        "layers": [described(_EMPTY_TYPE, _EMPTY)],
    }
    blobs = {digest_of(data): data, digest_of(_EMPTY): _EMPTY}
    return Written(manifest_of(json_bytes(content)), blobs)


def index_of(
    entries: list[dict[str, Any]], annotations: dict[str, str], record: Written
) -> Manifest:
    """Return the index of a part: its platform, what is attested of that, and its record."""
    own = {
        **described(MANIFEST_TYPES[0], record.manifest.data),
        "artifactType": TYPE,
        "annotations": {MARK: "record"},
        "platform": {"architecture": "unknown", "os": "unknown"},
    }
    return whole([*entries, own], annotations)


def whole(entries: list[dict[str, Any]], annotations: dict[str, str]) -> Manifest:
    """Return an index of entries, in their order; equal ones give equal bytes."""
    content: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPES[0],
        "manifests": entries,
    }
    if annotations:
        content["annotations"] = dict(sorted(annotations.items()))
    return manifest_of(json_bytes(content))


def read(source: Source, index: Manifest, what: str) -> Record:
    """Return the record of a part.

    Raises:
        RegistryError: the index is no part's, or its record says something else than records do.

    """
    found = [one for one in index.content.manifests if MARK in one.marks]
    if len(found) != 1:
        raise RegistryError(f"{what} is no part of a run: it has {len(found)} records, not one")
    config = source.manifest(found[0].digest).content.config
    if config is None:
        raise RegistryError(f"{what} is no part of a run: its record is an index")
    try:
        return msgspec.convert(source.config(config).whole, Record)
    except msgspec.ValidationError as error:
        said = printable(str(error))
        raise RegistryError(f"{what} has a record that cannot be read: {said}") from None


def entries_of(index: Manifest) -> list[tuple[Descriptor, dict[str, Any]]]:
    """Return what an index lists, without records: each as it is read here, and as it was written."""
    plain = json.loads(index.data)["manifests"]
    return [(one, raw) for one, raw in zip(index.content.manifests, plain) if MARK not in one.marks]


def json_bytes(data: Any) -> bytes:
    """Return data as JSON without spaces."""
    return json.dumps(data, separators=(",", ":")).encode()
