"""Manifests of any shape: taken whole, or refused in one line that names the reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.hostile import Asked, hostile, image, said, sha256

from buildx_tasks.engine.bodies import OtherBytesError, checked
from buildx_tasks.errors import BuildxTasksError
from buildx_tasks.images import description, graph
from buildx_tasks.images.sources import RepositorySource
from buildx_tasks.registry import faults, manifests
from buildx_tasks.registry.manifests import MalformedError, manifest_of

SEEDS = sorted((Path(__file__).parents[2] / "fuzz" / "seeds" / "manifests").glob("*.json"))
LARGE = {
    "3,000 children": {
        "manifests": [{"digest": f"sha256:{n:064x}", "size": 1} for n in range(3000)]
    },
    "4 MiB": {"layers": [], "config": {"digest": sha256(b""), "size": 0}, "x": "y" * (4 << 20)},
}
DEEP = (b"[" * 200_000, b'{"layers":' + b"[" * 200_000, b'{"x":' * 200_000)
RIGHT: dict[str, Any] = json.loads(image(b"layer")[0])


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "FIRST_PAUSE", 0.001)


@pytest.mark.parametrize(
    "data",
    [
        *(path.read_bytes() for path in SEEDS),
        *(json.dumps(d).encode() for d in LARGE.values()),
        *DEEP,
    ],
    ids=[*(path.stem for path in SEEDS), *LARGE, "deep", "deep layers", "deep elsewhere"],
)
@pytest.mark.parametrize(
    "kind", [manifests.INDEX_TYPES[0], manifests.MANIFEST_TYPES[0], "\x1b[31m"]
)
def test_what_is_no_image_is_refused(data: bytes, kind: str) -> None:
    def answer(asked: Asked) -> bytes:
        if asked.path == "/v2/":
            return said(200)
        return said(200, data if "/manifests/" in asked.path else b"{}", Content_Type=kind)

    with hostile(answer) as server:
        repository = server.repository
        for look in (
            lambda: description.published(repository, "x/app:v1", "v1"),
            lambda: graph.graph_of(RepositorySource(repository), sha256(data)).blobs,
        ):
            with pytest.raises(BuildxTasksError) as caught:
                look()
            said_so = str(caught.value)
            assert said_so.isprintable()
            assert f"{server.address}/app" in said_so
            assert len(said_so) < 500


def test_a_real_one_is_read() -> None:
    data, _ = image(b"layer")
    found = manifest_of(data)
    assert [one.digest for one in found.described] == [sha256(b"{}"), sha256(b"layer")]
    assert not found.is_index
    assert found.media_type == manifests.MANIFEST_TYPES[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"manifests": []}, "it has manifests, and config or layers too"),
        ({"mediaType": manifests.INDEX_TYPES[0]}, "and is no index"),
        ({"config": None}, "its config is null"),
        ({"layers": None}, "layers: expected a list, got null"),
        ({"mediaType": "text"}, "mediaType: expected a media type"),
        ({"mediaType": "a/b;c"}, "mediaType: expected a media type"),
        ({"mediaType": "a/b;c=d\n"}, "mediaType: expected a media type"),
        ({"annotations": {"a": 1}}, "expected text, got a whole number"),
        ({"layers": [{"digest": sha256(b""), "size": 2**53 + 1}]}, r"layers\[0\].size: "),
        ({"layers": [{"digest": sha256(b""), "size": -1}]}, r"layers\[0\].size: "),
        ({"layers": [{"digest": sha256(b""), "size": 1.5}]}, r"layers\[0\].size: "),
        ({"layers": [{"digest": f"{sha256(b'')}\n", "size": 1}]}, "expected a digest"),
        ({"layers": [{"digest": sha256(b"").upper(), "size": 1}]}, "expected a digest"),
        ({"layers": [{"size": 1}]}, "missing required field `digest`"),
        ({"layers": [{"digest": sha256(b""), "size": 1}] * 1001}, "layers: expected a list of at"),
    ],
)
def test_each_rule_of_a_manifest(change: dict[str, Any], words: str) -> None:
    with pytest.raises(MalformedError, match=words):
        manifest_of(json.dumps({**RIGHT, **change}).encode(), what="x/app:v1")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"os": 5}, "os: expected text"),
        ({"os": "linux/amd64"}, "a word of a platform"),
        ({"os": "\x1b[31m"}, "a word of a platform"),
        ({"config": {"Env": 5}}, r"config.Env: expected a list"),
        ({"config": {"Env": [5]}}, r"config.Env\[0\]: expected text"),
        ({"config": []}, "config: expected a table"),
        ({"history": {}}, "history: expected a list"),
        ({"rootfs": {"diff_ids": ["x"]}}, "expected a digest"),
        ({"x": json.loads("[" * 60 + "]" * 60)}, "nested more than 32 deep"),
    ],
)
def test_each_rule_of_a_config(config: dict[str, Any], words: str) -> None:
    with pytest.raises(MalformedError, match=words):
        manifests.config_of(json.dumps(config).encode(), "x/app:v1")


def test_digests_are_checked_by_their_own_kind() -> None:
    for kind in ("sha256:", "sha512:"):
        digest = manifests.digest_of(b"abc", kind)
        assert b"".join(checked([b"a", b"bc"], digest, 3)) == b"abc"
        given = []
        with pytest.raises(OtherBytesError):
            given += list(checked([b"a", b"bd"], digest, 3))
        assert given == []


@pytest.mark.parametrize(
    ("data", "deep"),
    [
        (b"[" * 32 + b"]" * 32, False),
        (b"[" * 33, True),
        (b'{"a":' * 33, True),
        (b"[]" * 1000, False),
        (b'"' + b"[" * 99 + b'"', False),
        (b'"\\"' + b"[" * 99 + b'"', False),
        (b'"\\\\"' + b"[" * 99, True),
        (b'"' + b"[" * 99, False),  # no JSON, as the reader will say
        (b'"\\' * 1_000_000, False),
        (b'"' + b"[" * 200_000 + b'"', False),  # more than is looked at in one go
        (b'""' * 50_000 + b'"' + b"]" * 99_999 + b'"' + b"[" * 33, True),
        (b'""' * 50_000 + b'"' + b"[" * 99_999 + b'"' + b"[" * 32, False),
    ],
)
def test_what_is_nested_is_counted_outside_of_texts(data: bytes, deep: bool) -> None:
    assert manifests.is_deep(data) is deep
