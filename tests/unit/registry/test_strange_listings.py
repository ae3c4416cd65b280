"""Lists of tags that lead in a circle, away, or have no end."""

from __future__ import annotations

import json

import pytest
from support.hostile import Asked, hostile, said

from buildx_tasks.errors import RegistryError
from buildx_tasks.registry import listing


def test_a_list_that_leads_to_itself_ends() -> None:
    def answer(asked: Asked) -> bytes:
        body = json.dumps({"name": "app", "tags": ["v1"]}).encode()
        return said(200, body, Link=f'<{asked.path}>; rel="next"')

    with hostile(answer) as registry:
        assert listing.tags(registry.repository) == ["v1"] * 10
        assert len(registry.paths("GET")) == 10


def test_who_needs_all_tags_gets_all_or_an_error() -> None:
    def answer(asked: Asked) -> bytes:
        body = json.dumps({"tags": ["v1", "../x", "a b", "", "-x", "x" * 129]}).encode()
        return said(200, body, Link=f'<{asked.path}>; rel="next"')

    said_so = "it has more than 10, too many to be sure of all"
    with hostile(answer) as registry, pytest.raises(RegistryError, match=said_so):
        listing.tags(registry.repository, whole=True)
    with hostile(lambda _: said(200, b'{"tags": ["v1"]}')) as registry:
        assert listing.tags(registry.repository, whole=True) == ["v1"]


def test_a_list_leads_to_no_other_place() -> None:
    def answer(_: Asked) -> bytes:
        return said(200, b'{"tags": ["v1"]}', Link='<http://127.0.0.1:1/v2/other?n=1>; rel="next"')

    with hostile(answer) as registry:
        listing.tags(registry.repository)
        assert {path.partition("?")[0] for path in registry.paths("GET")} == {"/v2/app/tags/list"}


def test_a_million_tags_in_one_answer_are_refused() -> None:
    body = json.dumps({"tags": [f"v{number}" for number in range(1_000_000)]}).encode()
    with hostile(lambda _: said(200, body)) as registry, pytest.raises(RegistryError) as caught:
        listing.tags(registry.repository)
    assert "it answers with more than 1048576 bytes" in str(caught.value)


@pytest.mark.parametrize("body", [b"[]", b'{"tags": {"a": 1}}', b'{"tags": [1, null, {}]}', b"{"])
def test_what_is_no_list_gives_no_tag(body: bytes) -> None:
    with hostile(lambda _: said(200, body)) as registry:
        try:
            assert all(isinstance(tag, str) for tag in listing.tags(registry.repository))
        except RegistryError as error:
            assert "the answer is no list of tags" in str(error)  # noqa: PT017
