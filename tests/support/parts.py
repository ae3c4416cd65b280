"""Parts of a run without an engine: small images in memory, each with the record of a part."""

from __future__ import annotations

import gzip
import io
import tarfile
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from buildx_tasks.images import graph
from buildx_tasks.joining import records
from buildx_tasks.machine import executables
from buildx_tasks.planning.runs import part_tag
from buildx_tasks.registry.manifests import digest_of

from .stores import Blobs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildx_tasks.planning.runs import Run, TargetRun
    from buildx_tasks.platforms import Platform

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Sample(NamedTuple):
    """One part: the tag that it waits under, its record, all that is uploaded, and what gives that."""

    tag: str
    record: records.Record
    whole: graph.Graph
    source: Blobs


def parts(run: Run, word: str) -> list[Sample]:
    """All parts of a run: each platform with a program for it, and a file that says the word."""
    found = []
    for one in run.targets:
        for platform in one.target.declared:
            program = executables.binary(platform)
            assert program
            files = {"app": program, "word": f"{one.target.name} {word}".encode() * 5000}
            found.append(part(run, one, platform, files))
    return found


def part(
    run: Run,
    one: TargetRun,
    platform: Platform,
    files: Mapping[str, bytes],
    start: Mapping[str, Any] | None = None,
    **record: Any,
) -> Sample:
    """One part whose only layer has these files; ``start`` is how a container of it is started.

    ``record`` is what its record says otherwise.
    """
    store = Blobs()
    layer = _layer(files)
    store[digest_of(layer)] = layer
    words = zip(("os", "architecture", "variant"), platform)
    its = {key: value for key, value in words if value}
    config = {
        **its,
        "config": start or {},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _described(store, store.add(config), "application/vnd.oci.image.config.v1+json"),
        "layers": [
            _described(store, digest_of(layer), "application/vnd.oci.image.layer.v1.tar+gzip")
        ],
    }
    digest = store.add(manifest)
    entry = {**_described(store, digest, MANIFEST), "platform": its}
    told = {
        "run": run.fixed.id,
        "commit": run.fixed.commit,
        "plan": one.hash,
        "target": one.target.name,
        "platform": str(platform),
        "digest": digest,
        "verified": "unchecked",
        "native": True,
        "at": "2026-01-31T12:00:00+00:00",
        **record,
    }
    said = msgspec.convert(told, records.Record)
    written = records.written(said)
    store.update(written.blobs)
    store[written.manifest.digest] = written.manifest.data
    root = records.index_of([entry], {}, written)
    store[root.digest] = root.data
    tag = part_tag(run.fixed.id, one.target.name, platform)
    return Sample(tag, said, graph.graph_of(store, root.digest), store)


def _described(store: Blobs, digest: str, kind: str) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest, "size": len(store[digest])}


def _layer(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(stream.getvalue(), mtime=0)
