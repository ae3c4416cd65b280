"""Manifests, indexes and configs, mutated: each is taken whole, or refused in one plain line."""

from __future__ import annotations

import copy
import json
import re
from typing import TYPE_CHECKING, Any

from support.stores import Blobs

from buildx_tasks.errors import BuildxTasksError, EngineError
from buildx_tasks.images import description, graph, layers
from buildx_tasks.images.image import platform_of
from buildx_tasks.publishing.release import platforms_of
from buildx_tasks.registry import manifests
from buildx_tasks.verification.checks.alike import of_configs

if TYPE_CHECKING:
    import random

WHAT = "x/app:v1"
OCI = "application/vnd.oci.image"
DIGEST = f"sha256:{'a' * 64}"
DESCRIPTOR = {"mediaType": f"{OCI}.layer.v1.tar+gzip", "digest": DIGEST, "size": 10}
CONFIG = {
    "os": "linux",
    "architecture": "arm64",
    "variant": "v8",
    "created": "2026-01-01T00:00:00Z",
    "config": {
        "Env": ["A=b"],
        "Entrypoint": ["/x"],
        "Labels": {"a": "b"},
        "ExposedPorts": {"80": {}},
    },
    "history": [{"created_by": "RUN x"}, {"created_by": "ENV", "empty_layer": True}],
    "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
}
IMAGE = {
    "schemaVersion": 2,
    "mediaType": f"{OCI}.manifest.v1+json",
    "config": {**DESCRIPTOR, "mediaType": f"{OCI}.config.v1+json"},
    "layers": [DESCRIPTOR, {**DESCRIPTOR, "urls": ["https://x/"], "annotations": {"a": "b"}}],
    "annotations": {"title": "x"},
    "subject": DESCRIPTOR,
}
PLATFORM = {"os": "linux", "architecture": "amd64"}
INDEX = {
    "mediaType": f"{OCI}.index.v1+json",
    "manifests": [
        {**DESCRIPTOR, "platform": PLATFORM},
        {**DESCRIPTOR, "annotations": {"vnd.docker.reference.type": "attestation-manifest"}},
    ],
}
TEXTS = (
    "",
    "\x1b]0;OWNED\x07\x1b[31m",
    "a\r\nX-Injected: 1",
    "../../../../etc/passwd",
    "\u202e\u2066",
    "::error file=x::y",
    "\0",
    DIGEST,
    f"{DIGEST}\n",
    "sha256:ab",
    f"sha512:{'b' * 128}",
    f"md5:{'c' * 32}",
    "text/plain",
    "x" * 5000,
    "linux/amd64",
    "é",
)
NASTY: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**53,
    2**53 + 1,
    2**64,
    10**400,
    1.5,
    [],
    {},
    [[]],
    {"a": {"b": [1]}},
    *TEXTS,
)
INFINITE = "@infinite@"  # what json.dumps does not write
DEEP = "@deep@"
KEYS = ("manifests", "layers", "config", "mediaType", "digest", "size", "platform", "annotations")


class Store(Blobs):
    """A store whose errors name the image."""

    def _read(self, digest: str) -> bytes:
        if digest not in self:
            raise EngineError(f"{WHAT}: lacks {digest}")
        return self[digest]


def nodes(data: Any) -> list[tuple[Any, Any]]:
    """Each place in a document: what holds it, and its key."""
    found, waiting = [], [data]
    while waiting:
        one = waiting.pop()
        keys = one if isinstance(one, dict) else range(len(one))
        for key in keys:
            found.append((one, key))
            if isinstance(one[key], (dict, list)):
                waiting.append(one[key])
    return found


def mutated(rng: random.Random, seeds: list[bytes]) -> bytes:
    """One document, wrong in one to four ways."""
    if seeds and rng.random() < 0.1:
        data = rng.choice(seeds)
    else:
        document = copy.deepcopy(rng.choice((IMAGE, INDEX, CONFIG)))
        for _ in range(rng.randint(0, 4)):
            places = nodes(document)
            if not places:
                break
            holder, key = rng.choice(places)
            kind = rng.random()
            if kind < 0.6:
                holder[key] = copy.deepcopy(rng.choice((*NASTY, INFINITE, DEEP)))
            elif kind < 0.75:
                del holder[key]
            elif kind < 0.85 and isinstance(holder, dict):
                holder[rng.choice((*KEYS, *TEXTS))] = copy.deepcopy(rng.choice(NASTY))
            elif isinstance(holder, list):
                # Once only: a thousand of a thousand would be ours to carry, not the reader's.
                most = 1001 if len(places) < 200 else 1
                holder.extend([holder[key]] * min(rng.choice((1, 10, 1001)), most))
        text = json.dumps(document, ensure_ascii=rng.random() < 0.5)
        text = text.replace(f'"{INFINITE}"', rng.choice(("1e400", "-1e400", "NaN", "1E+9999999")))
        text = text.replace(f'"{DEEP}"', "[" * 2000 + "]" * 2000)
        data = text.encode()
    return changed(rng, data) if rng.random() < 0.3 else data


def changed(rng: random.Random, data: bytes) -> bytes:
    """Bytes with a few of them changed, cut out or put in."""
    found = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(found) + 1)
        kind = rng.random()
        if kind < 0.4 and at < len(found):
            found[at] = rng.randrange(256)
        elif kind < 0.6:
            del found[at : at + rng.randint(1, 50)]
        elif kind < 0.7:
            del found[at:]
        else:
            found[at:at] = rng.choice(
                (b"\xff", b"\0", b'"', b"{", b"[", b"\xed\xa0\x80", b"9" * 40)
            )
    return bytes(found)


def run(rng: random.Random, seeds: list[bytes]) -> bytes:
    """Read one document in every way that the package does; return it."""
    data = mutated(rng, seeds)
    kind = rng.choice(("", f"{OCI}.index.v1+json", f"{OCI}.manifest.v1+json", *TEXTS))
    for look in (_as_manifest, _as_config, _as_listing):
        try:
            look(data, kind)
        except BuildxTasksError as error:
            assert str(error).isprintable(), str(error)
            assert WHAT in str(error), str(error)
    return data


def _as_manifest(data: bytes, kind: str) -> None:
    found = manifests.manifest_of(data, kind, WHAT)
    listed = [*found.content.manifests, *found.described]
    assert len(listed) <= 2 * manifests.MOST_LISTED
    for one in listed:
        assert re.fullmatch("sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", one.digest)
        assert 0 <= one.size <= 2**53
    assert re.fullmatch(r"[\x21-\x7e]+/[\x21-\x7e]+", found.media_type)
    assert found.is_index == bool(found.content.config is None)
    store = Store({found.digest: data, DIGEST: data})
    for line in description.lines(description.shown(store, WHAT, found)):
        assert line.isprintable(), line
    description.summary(description.shown(store, WHAT, found))
    layers.layers_of(found.content, manifests.Config())
    try:
        whole = graph.graph_of(store, found.digest)
        assert len({one.digest for one in whole.blobs}) == len(whole.blobs)
        platforms_of(whole)
    except BuildxTasksError as error:
        assert str(error).isprintable()


def _as_config(data: bytes, _: str) -> None:
    found = manifests.config_of(data, WHAT)
    platform_of(found.platform)
    for line in of_configs(found.whole, CONFIG):
        assert line.isprintable(), line
    assert isinstance(found.runtime, dict)


def _as_listing(data: bytes, _: str) -> None:
    manifests.listed_in(data, WHAT)
