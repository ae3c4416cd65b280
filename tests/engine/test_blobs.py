"""Layers as the engine's content store gives them."""

from __future__ import annotations

import json
import os
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from buildx_tasks.engine import content as blobs
from buildx_tasks.engine.api import Library, Sockets
from buildx_tasks.engine.engine import Engine
from buildx_tasks.errors import EngineError
from buildx_tasks.images import store
from buildx_tasks.machine.commands import Commands

from .conftest import docker, engine_socket

if TYPE_CHECKING:
    from docker import DockerClient

    from buildx_tasks.engine.api import Api


@pytest.fixture(params=["plain", "library"])
def asked(engine: DockerClient, request: pytest.FixtureRequest) -> Api:
    return Library(engine) if request.param == "library" else Sockets(engine_socket())


def test_what_a_name_means_is_said_as_inspecting_it_says() -> None:
    with closing(Engine(Commands(Path()))) as engine:
        facts = store.inspected(engine, "alpine:3.22")
        assert facts
        assert store.target(engine, "alpine:3.22") == facts["Descriptor"]["digest"]
        assert store.target(engine, "nothing-like:this") == ""


SIZE = 24_000_000  # more than the engine may send unasked


def test_a_layer_comes_in_pieces(
    engine: DockerClient, asked: Api, name: str, tmp_path: Path
) -> None:
    (tmp_path / "random").write_bytes(os.urandom(SIZE))
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY random /\n")
    flags = ("--builder=default", "--provenance=false", f"--tag={name}")
    docker("buildx", "build", *flags, str(tmp_path))
    manifest = json.loads(blobs.read(asked, engine.api.inspect_image(name)["Id"]))
    layer = manifest["layers"][0]

    def size() -> int:
        return sum(map(len, blobs.stream(asked, layer["digest"])))

    tracemalloc.start()
    try:
        assert size() == layer["size"] > SIZE
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
    with ThreadPoolExecutor(4) as pool:
        assert {f.result() for f in [pool.submit(size) for _ in range(4)]} == {layer["size"]}

    with closing(blobs.stream(asked, layer["digest"])) as left:  # type: ignore[type-var]
        assert 0 < len(next(left)) <= 1 << 20
    assert len(blobs.read(asked, layer["digest"])) == layer["size"]


def test_a_blob_that_the_store_lacks(asked: Api) -> None:
    with pytest.raises(EngineError, match="lacks sha256:000"):
        next(blobs.stream(asked, f"sha256:{0:064}"))
