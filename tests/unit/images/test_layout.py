"""A folder that others wrote: what is wrong in it is one error; what ELF files are for; records."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from backports import zstd

from buildx_tasks import platforms
from buildx_tasks.errors import BuildxTasksError
from buildx_tasks.images import graph, machines
from buildx_tasks.images.layout import Layout
from buildx_tasks.images.sources import Beside
from buildx_tasks.joining import records
from buildx_tasks.machine import executables
from buildx_tasks.registry.manifests import Descriptor, digest_of, manifest_of

if TYPE_CHECKING:
    from pathlib import Path

AMD64 = platforms.parse("linux/amd64")


def layer(*architectures: str, text: str = "") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for number, name in enumerate(architectures):
            data = executables.binary(platforms.parse(name)) or b""
            info = tarfile.TarInfo(f"bin/{number}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        info = tarfile.TarInfo("text")
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text.encode()))
    return made.getvalue()


def described(data: bytes, kind: str) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest_of(data), "size": len(data)}


def image(data: bytes) -> tuple[graph.Graph, dict[str, bytes]]:
    config = json.dumps({"os": "linux", "architecture": "amd64"}).encode()
    content = {
        "schemaVersion": 2,
        "config": described(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [described(data, "application/vnd.oci.image.layer.v1.tar")],
    }
    manifest = manifest_of(json.dumps(content).encode())
    return graph.assembled(manifest, ()), {digest_of(config): config, digest_of(data): data}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "parts")
    for name, architecture in (("one", "amd64"), ("two", "arm64")):
        whole, blobs = image(layer(architecture))
        made.add(name, whole, Beside(made, blobs))
    return made


def test_what_is_written_is_read(layout: Layout) -> None:
    assert list(layout.listed()) == ["one", "two"]
    whole, blobs = image(layer("s390x"))
    layout.add("one", whole, Beside(layout, blobs))
    assert list(layout.listed()) == ["two", "one"]
    found = layout.manifest(layout.listed()["one"].digest)
    assert found.data == whole.root.data
    assert found.content.config
    assert layout.config(found.content.config).platform.architecture == "amd64"
    only = found.content.layers[0]
    assert b"".join(layout.blob(only.digest, only.size)) == layer("s390x")
    assert not list(layout.folder.glob(".tmp-*"))


def spoil(layout: Layout, how: str) -> str:
    digest = layout.listed()["one"].digest
    path = layout.folder / "blobs" / digest.replace(":", "/")
    if how == "gone":
        path.unlink()
    elif how == "other bytes":
        path.write_bytes(path.read_bytes() + b" ")
    elif how == "link":
        kept = layout.folder / "elsewhere"
        path.rename(kept)
        path.symlink_to(kept)
    elif how == "pipe":
        path.unlink()
        os.mkfifo(path)
    else:
        path.write_bytes(b" " * (5 << 20))
    return digest


@pytest.mark.parametrize("how", ["gone", "other bytes", "link", "pipe", "huge"])
def test_what_is_spoilt_is_said(layout: Layout, how: str) -> None:
    digest = spoil(layout, how)
    with pytest.raises(BuildxTasksError) as caught:
        layout.manifest(digest)
    assert digest[7:] in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "[" * 5000, '{"manifests": 3}', '{"manifests":[{}]}']
)
def test_a_list_that_is_none_is_said(layout: Layout, text: str) -> None:
    (layout.folder / "index.json").write_text(text)
    with pytest.raises(BuildxTasksError, match=r"index\.json"):
        layout.listed()


@pytest.mark.parametrize("packed", [bytes, gzip.compress, zstd.compress])
def test_elf_files_are_counted_by_what_they_are_for(layout: Layout, packed: Any) -> None:
    data = packed(layer("amd64", "amd64", "arm64", "s390x", text="no program"))
    source = Beside(layout, {digest_of(data): data})
    found = machines.of_layer(source, Descriptor(digest_of(data), len(data)))
    assert found
    assert Counter(one.architecture for one in found) == Counter(
        {"amd64": 2, "arm64": 1, "s390x": 1, "": 1}
    )


def test_a_layer_that_is_none_is_said(layout: Layout) -> None:
    data = gzip.compress(b"x" * 5000)
    source = Beside(layout, {digest_of(data): data})
    with pytest.raises(BuildxTasksError, match="cannot be read"):
        machines.of_layer(source, Descriptor(digest_of(data), len(data)))


@pytest.mark.parametrize(
    ("found", "platform", "foreign"),
    [
        ({}, "linux/amd64", ""),
        ({"amd64": 1, "arm64": 9}, "linux/amd64", ""),
        ({"386": 1}, "linux/amd64", ""),
        ({"amd64": 1}, "linux/386", "amd64"),
        ({"arm64": 3}, "linux/arm/v7", "arm64"),
        ({"arm": 3}, "linux/arm/v6", ""),
        ({"EM_AVR": 1, "amd64": 2}, "linux/riscv64", "EM_AVR, amd64"),
    ],
)
def test_an_image_without_a_program_of_its_platform_is_another_ones(
    found: dict[str, int], platform: str, foreign: str
) -> None:
    assert machines.foreign(Counter(found), platforms.parse(platform)) == foreign


def test_a_record_is_found_and_nothing_else_is_taken_for_one(layout: Layout) -> None:
    record = records.Record("1", "", "2", "app", "linux/amd64", "sha256:0", "passed", True, "now")
    written = records.written(record)
    root = records.index_of([], {"a": "b"}, written)
    whole = graph.assembled(root, [written.manifest])
    layout.add("part", whole, Beside(layout, written.blobs))
    assert records.read(layout, root, "x") == record
    assert records.entries_of(root) == []
    for wrong in (records.whole([], {}), layout.manifest(layout.listed()["one"].digest)):
        with pytest.raises(BuildxTasksError, match="x is no part of a run"):
            records.read(layout, wrong, "x")
