"""What a registry holds already is not sent again: one HEAD a tag, one for each manifest below it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from support.hostile import MANIFEST, Asked, Hostile, hostile, image, said, sha256

from buildx_tasks import references
from buildx_tasks.images.graph import assembled
from buildx_tasks.publishing import standing
from buildx_tasks.publishing.release import Release
from buildx_tasks.registry.manifests import INDEX_TYPES, manifest_of

if TYPE_CHECKING:
    from buildx_tasks.images.sources import Source
    from buildx_tasks.references import Reference

CHILDREN = [image(word)[0] for word in (b"amd64", b"arm64")]
LISTED = [{"digest": sha256(one), "size": len(one), "mediaType": MANIFEST} for one in CHILDREN]
INDEX = json.dumps({"mediaType": INDEX_TYPES[0], "manifests": LISTED}).encode()
WHOLE = {name: sha256(INDEX) for name in ("v1", "latest", sha256(INDEX))}
WHOLE.update({sha256(one): sha256(one) for one in CHILDREN})


def looked(server: Hostile, *tags: str) -> tuple[set[str], set[str]]:
    """Return which of the tags are settled, and which are absent."""
    repository = server.repository

    def reference(tag: str) -> Reference:
        return references.parse(f"{server.address}/app:{tag}")

    source: Source = None  # type: ignore[assignment]  # nothing is read
    children = [manifest_of(one) for one in CHILDREN]
    graph = assembled(manifest_of(INDEX), children)
    one = Release("app", source, graph, {}, tuple(map(reference, tags)), (), {})
    found = standing.look([one], lambda _: repository)
    return {tag.tag for tag in found.settled}, {tag.tag for tag in found.absent}


def serving(held: dict[str, str], status: int = 404) -> Hostile:
    """A registry that has these digests under these names, and answers the rest so."""

    def answer(asked: Asked) -> bytes:
        name = asked.path.rpartition("/")[2]
        if asked.method != "HEAD" or not re.search("^/v2/app/manifests/", asked.path):
            return said(500)
        if name not in held:
            return said(status)
        return said(200, Docker_Content_Digest=held[name]) if held[name] else said(200)

    return Hostile(answer)


def test_all_that_is_there_is_asked_for_once() -> None:
    with hostile(serving(WHOLE).answer) as server:
        assert looked(server, "v1", "latest") == ({"v1", "latest"}, set())
        paths = sorted(one.path.rpartition("/")[2] for one in server.asked)
        assert paths == sorted(["v1", "latest", *(sha256(one) for one in CHILDREN)])


@pytest.mark.parametrize("lacking", [*(sha256(one) for one in CHILDREN), "latest"])
def test_what_lacks_one_thing_is_published_as_a_whole(lacking: str) -> None:
    held = {name: digest for name, digest in WHOLE.items() if name != lacking}
    absent = {"latest"} & {lacking}
    with hostile(serving(held).answer) as server:
        assert looked(server, "v1", "latest") == (set(), absent)
        # Where a tag moves anyway, nobody asks for what is below it.
        assert len(server.asked) == (2 if absent else 4)


@pytest.mark.parametrize("digest", [sha256(b"other"), "", "sha256:1", "x" * 99])
def test_a_tag_that_holds_anything_else_is_neither(digest: str) -> None:
    with hostile(serving({**WHOLE, "v1": digest}).answer) as server:
        assert looked(server, "v1") == (set(), set())


@pytest.mark.parametrize("status", [401, 403, 405])
def test_of_a_registry_that_says_no_nothing_is_known(status: int) -> None:
    with hostile(serving({}, status).answer) as server:
        assert looked(server, "v1") == (set(), set())
