"""Manifests of an index in; which of them attest something, and what, out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from buildx_tasks.registry.manifests import Content


ATTESTATION = "vnd.docker.reference.type"  # annotation of manifests that describe another one

ATTESTED_AS = "attestation-manifest"  # what that says of them

ATTESTED = "vnd.docker.reference.digest"  # the digest of that one

PREDICATE = "in-toto.io/predicate-type"  # annotation of the layers of such a manifest


def predicates_of(manifest: Content) -> list[str]:
    """Return the predicate types of an attestation manifest.

    Source: https://github.com/moby/buildkit/blob/master/docs/attestations/attestation-storage.md
    """
    marks = [layer.marks for layer in manifest.layers]
    return [mark[PREDICATE] for mark in marks if PREDICATE in mark]


class Kind(NamedTuple):
    """A kind of attestation; ``predicates`` is how its predicate types begin."""

    type: str
    name: str
    predicates: tuple[str, ...]


# Source: https://docs.docker.com/build/metadata/attestations/
SBOM = Kind("sbom", "SBOM", ("https://spdx.dev/Document", "https://cyclonedx.org/bom"))

PROVENANCE = Kind("provenance", "provenance", ("https://slsa.dev/provenance/",))
