"""Registries that mean harm: sizes that lie, places that they lead to, answers without an end."""

from __future__ import annotations

import gzip
import itertools
import json
import resource
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.hostile import Asked, Hostile, Taking, hostile, image, said, serving, sha256

from buildx_tasks.engine.accounts import Account
from buildx_tasks.errors import EngineError, RegistryError
from buildx_tasks.images import graph, sources
from buildx_tasks.publishing import upload
from buildx_tasks.registry import authentication, connection, faults, wire
from buildx_tasks.registry.connection import Request
from buildx_tasks.registry.faults import PassingError

if TYPE_CHECKING:
    from collections.abc import Iterator

SMUGGLED = b"A" * 10 + b"PUT /v2/victim/manifests/latest HTTP/1.1\r\nContent-Length: 1\r\n\r\nx"
CHALLENGE = 'Bearer realm="{realm}",service="x",scope="repository:app:pull"'


class Quiet:
    def planned(self, *_: object) -> None: ...
    def sent(self, *_: object) -> None: ...
    def present(self, *_: object) -> None: ...


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(faults, "LONGEST_PAUSE", 0.001)
    monkeypatch.setattr(faults, "ATTEMPTS", 2)


def copied(source: Hostile, target: Hostile) -> None:
    """Do as promote does, up to the tag."""
    found = sources.RepositorySource(source.repository)
    whole = graph.graph_of(found, source.repository.get("v1").digest)
    upload.upload(found, whole, target.repository, Quiet())


@pytest.mark.parametrize(
    ("layer", "size", "words"),
    [
        (SMUGGLED, 10, "it has more than the 10 bytes that its descriptor says"),
        (SMUGGLED, len(SMUGGLED) - 1, "more than the"),
        (b"x" * 3_000_000 + SMUGGLED, 3_000_000, "more than the 3000000 bytes"),
        (SMUGGLED, 0, "more than the 0 bytes"),
        (b"short", 6, "it ended after 5 of the 6 bytes that its descriptor says"),
    ],
)
def test_a_size_that_lies_sends_nothing_on(layer: bytes, size: int, words: str) -> None:
    taking = Taking()
    manifest, blobs = image(layer, sizes={sha256(layer): size})
    with hostile(serving(manifest, blobs)) as source, hostile(taking) as target:
        with pytest.raises(RegistryError, match=words) as caught:
            copied(source, target)
        assert sha256(layer) in str(caught.value)
        assert sha256(layer) not in taking.blobs
        assert taking.tags == {}
        # What was sent of it is the body of a request whose end never came, on a closed connection.
        assert not [one for one in target.asked if "victim" in one.path]


def test_a_body_of_another_length_closes_its_connection() -> None:
    taking = Taking()
    with hostile(taking) as target:
        repository = target.repository
        for chunks in ([b"abc", SMUGGLED], [SMUGGLED], [b"ab"]):
            before = target.connections
            with pytest.raises(RegistryError, match=r"than the 3 bytes that its descriptor says"):
                repository.upload(sha256(b"abc"), 3, lambda c=chunks: c, lambda _: None)  # type: ignore[misc]
            repository.has(sha256(b"abc"))
            assert target.connections > before
        assert taking.blobs == {}
        repository.upload(sha256(b"abc"), 3, lambda: [b"a", b"bc"], lambda _: None)
        assert taking.blobs == {sha256(b"abc"): b"abc"}


def test_bytes_of_another_digest_are_never_sent_whole() -> None:
    taking = Taking()
    manifest, blobs = image(b"right")
    blobs[sha256(b"right")] = b"wrong"
    with hostile(serving(manifest, blobs)) as source, hostile(taking) as target:
        with pytest.raises(RegistryError, match="its bytes are others than its digest says"):
            copied(source, target)
        assert sha256(b"right") not in taking.blobs


def test_a_child_of_another_size_than_the_index_says() -> None:
    manifest, blobs = image(b"layer")
    child = {"digest": sha256(manifest), "size": len(manifest) + 1}
    index = json.dumps({"manifests": [child]}).encode()

    def answer(asked: Asked) -> bytes:
        if asked.path.endswith("/manifests/v1") or sha256(index) in asked.path:
            return said(200, index, Content_Type="application/vnd.oci.image.index.v1+json")
        return serving(manifest, blobs)(asked)  # type: ignore[return-value]

    with hostile(answer) as source:
        found = sources.RepositorySource(source.repository)
        with pytest.raises(EngineError, match="it is no image to go on with"):
            _ = graph.graph_of(found, sha256(index)).blobs


def leading(status: int, location: str) -> Any:
    return lambda asked: (
        said(200, b"{}") if asked.path == "/v2/" else said(status, Location=location)
    )


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("file:///etc/passwd", "it leads to what is no address"),
        ("ftp://127.0.0.1/x", "it leads to ftp:, not to http or https"),
        ("gopher://127.0.0.1:25/x", "it leads to gopher:"),
        ("http://[::1", "it leads to what is no address"),
        ("http://x:99999999/", "it leads to what is no address"),
        ("http://u:p@other.example/x", "with a log-in in the address"),
        ("/v2/app/manifests/v1", "it leads on more than 5 times, as in a circle"),
        ("http://127.0.0.1:1/\x1b[31m", "no address"),
    ],
)
def test_where_a_registry_may_not_lead(status: int, location: str, words: str) -> None:
    with (
        hostile(leading(status, location)) as server,
        pytest.raises(RegistryError, match=words) as caught,
    ):
        server.repository.get("v1")
    assert "/app:v1: " in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("https://r.example/v2/", "http://127.0.0.1/x"),
        ("https://r.example/v2/", "https://localhost:2376/containers/json"),
        ("http://r.example/v2/", "http://169.254.169.254/latest/meta-data"),
        ("https://r.example/v2/", "https://[::1]/x"),
        ("https://r.example/v2/", "https://[fe80::1]/x"),
        ("https://r.example/v2/", "https://x@127.0.0.1/x"),
    ],
)
def test_no_registry_elsewhere_leads_into_this_machine(url: str, location: str) -> None:
    with pytest.raises(wire.UnboundedError, match="it leads to"):
        wire.onward(url, location)


def test_a_log_in_does_not_follow_to_another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account("me", "secret")
    monkeypatch.setattr(authentication, "account_for", lambda _: account)
    with hostile(lambda _: said(401, WWW_Authenticate='Basic realm="x"')) as other:

        def answer(asked: Asked) -> bytes:
            if asked.fields.get("authorization") != account.basic:
                return said(401, WWW_Authenticate='Basic realm="x"')
            return said(307, Location=f"http://{other.address}/elsewhere")

        with hostile(answer) as server:
            with pytest.raises(RegistryError, match="HTTP 401"):
                server.repository.get("v1")
            assert server.asked[-1].fields["authorization"] == account.basic
        assert other.asked
        assert not [one for one in other.asked if "authorization" in one.fields]


@pytest.mark.parametrize(
    ("realm", "words"),
    [
        ("http://{token}/t", "by http, where all could read it"),
        ("https://me:pw@127.0.0.1/t", "with a log-in in its address"),
        ("/token", "it names no service"),
        ("", "it names no service"),
        ("file:///etc/passwd", "no address"),
        ("https://[", "no address"),
    ],
)
def test_a_log_in_goes_to_no_service_that_a_registry_may_not_name(
    realm: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "account_for", lambda _: Account("me", "secret"))
    with hostile(lambda _: said(200, b'{"token": "x"}')) as service:
        challenge = CHALLENGE.format(realm=realm.format(token=service.address))
        with hostile(lambda _: said(401, WWW_Authenticate=challenge)) as server:
            repository = server.repository
            access = repository.registry._access
            answer = repository.registry._session.get(f"http://{server.address}/v2/")
            answer.url = f"https://{server.address}/v2/"  # as a registry by https
            with pytest.raises(RegistryError, match=words):
                access.challenged(answer, "", "", (1, 1))
        assert service.asked == []


def endless(start: bytes, piece: bytes) -> Any:
    return lambda asked: (
        said(200, b"{}") if asked.path == "/v2/" else itertools.chain([start], endless_of(piece))
    )


def endless_of(piece: bytes) -> Iterator[bytes]:
    while True:
        yield piece


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("start", "piece", "words"),
    [
        (HEAD + b"\r\n", b" " * 65536, "more than 4194304 bytes"),
        (CHUNKED, b"10000\r\n" + b" " * 65536 + b"\r\n", "more than 4194304 bytes"),
        pytest.param(
            CHUNKED, b"1\r\n \r\n" * 1000, "more than 4194304 bytes", marks=pytest.mark.slow
        ),
        (CHUNKED, b"1;" + b"x" * 65536, "."),
        (CHUNKED + b"0\r\n", b"A: b\r\n", "no end|no manifest|no image"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", "headers have no end"),
        (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n", "."),
        (b"HTTP/1.1 200 OK\r\nA: ", b"b" * 65536, "."),
        (b"", b"x" * 65536, "."),
        (HEAD + b"Content-Length: 9223372036854775807\r\n\r\n", b" " * 65536, "more than 4194304"),
        (HEAD + b"Content-Length: -1\r\n\r\n", b" " * 65536, "more than 4194304"),
        (b"HTTP/1.1 404 X\r\n\r\n", b'{"errors":[' * 6000, "not found"),
        (b"HTTP/1.1 500 X\r\n\r\n", b"[" * 65536, "HTTP 500"),
    ],
)
def test_an_answer_without_an_end_has_one_here(start: bytes, piece: bytes, words: str) -> None:
    with hostile(endless(start, piece)) as server, pytest.raises(RegistryError, match=words):
        server.repository.get("v1")


def test_a_blob_without_an_end_is_cut_at_its_size() -> None:
    with (
        hostile(endless(HEAD + b"\r\n", b"x" * 65536)) as server,
        pytest.raises(RegistryError, match="it has more than the 100000 bytes"),
    ):
        list(server.repository.read(sha256(b"x"), 100_000))


def dripping() -> Iterator[bytes]:
    for _ in range(500):
        time.sleep(0.02)
        yield b" "


def test_an_answer_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "GRACE_SECONDS", 0.3)
    for start in (b"HTTP/1.1 200 OK\r\nA: ", HEAD + b"\r\n", CHUNKED + b"fff\r\n"):

        def drip(asked: Asked, start: bytes = start) -> Any:
            if asked.path == "/v2/":
                return said(200, b"{}")
            return itertools.chain([start], dripping())

        began = time.monotonic()
        with hostile(drip) as server, pytest.raises(RegistryError, match="it answers too slowly"):
            server.repository.get("v1")
        assert time.monotonic() - began < 30


def test_what_is_compressed_is_not_unpacked() -> None:
    bomb = gzip.compress(b" " * 100_000_000)
    answer = said(200, bomb, Content_Encoding="gzip")
    with (
        hostile(lambda asked: said(200) if asked.path == "/v2/" else answer) as server,
        pytest.raises(RegistryError, match="it compresses its answer"),
    ):
        server.repository.get("v1")
    assert server.asked[-1].fields["accept-encoding"] == "identity"


def test_wrong_lengths_are_a_fault_that_may_pass() -> None:
    manifest, _ = image(b"x")
    for length in (len(manifest) - 5, len(manifest) + 5):

        def answer(asked: Asked, length: int = length) -> Any:
            if asked.path == "/v2/":
                return said(200)
            return iter([said(200, manifest, length=length)])

        with hostile(answer) as server, pytest.raises(RegistryError):
            server.repository.get("v1")


@pytest.mark.parametrize(
    "reply",
    [
        b'{"token": "' + b"x" * 100_000_000 + b'"}',
        b'{"token": "a\\r\\nX-Injected: 1"}',
        b'{"token": ["x"]}',
        b'{"token": null, "access_token": 5}',
        b"[" * 100_000,
        b"\xff",
        b"",
    ],
    ids=["100 MB", "CR LF", "list", "number", "nested", "no UTF-8", "nothing"],
)
def test_replies_of_a_log_ins_service(reply: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "account_for", lambda _: Account("me", "secret"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def answer(asked: Asked) -> bytes:
        if asked.path.startswith("/t"):
            return said(200, reply)
        realm = f"http://{asked.fields['host']}/t"
        return said(401, WWW_Authenticate=CHALLENGE.format(realm=realm))

    with hostile(answer) as server:
        with pytest.raises(RegistryError, match=r"log-in at http://127\.0\.0\.1"):
            server.repository.get("v1")
        assert not [one for one in server.asked if "x-injected" in one.fields]
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < 100_000  # kB


def test_a_log_ins_service_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "account_for", lambda _: Account(token="refresh"))  # noqa: S106
    with hostile(lambda _: said(200, b'{"token": "x"}')) as other:

        def answer(asked: Asked) -> bytes:
            if asked.path.startswith("/t"):
                return said(307, Location=f"http://{other.address}/t")
            realm = f"http://{asked.fields['host']}/t"
            return said(401, WWW_Authenticate=CHALLENGE.format(realm=realm))

        with hostile(answer) as server, pytest.raises(RegistryError, match="HTTP 307"):
            server.repository.get("v1")
        assert other.asked == []


def test_a_challenge_of_64_kb_is_read_at_once() -> None:
    challenge = "Bearer " + "a" * 60_000
    began = time.monotonic()
    with (
        hostile(lambda _: said(401, WWW_Authenticate=challenge)) as server,
        pytest.raises(RegistryError, match="it names no service"),
    ):
        server.repository.get("v1")
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "location", ["http://{other}/v2/victim/manifests/latest", "//{other}/v2/victim/manif%65sts/x"]
)
def test_an_upload_is_led_to_no_tag_of_another_registry(location: str) -> None:
    with hostile(lambda _: said(201)) as other:
        place = location.format(other=other.address)
        with hostile(
            lambda asked: said(202, Location=place) if asked.method == "POST" else said(404)
        ) as server:
            with pytest.raises(RegistryError, match="it leads to another registry"):
                server.repository.upload(sha256(b"abc"), 3, lambda: [b"abc"], lambda _: None)
            server.repository.require_writable()  # takes back what it began: by DELETE
        assert other.asked == []


def test_an_upload_by_https_does_not_go_on_by_http() -> None:
    with hostile(lambda _: said(200)) as server:
        registry = server.repository.registry
        registry._scheme = "https"
        with pytest.raises(RegistryError, match="it leads from https to http"):
            registry.ask(Request("PUT", "http://127.0.0.1:9/x", "what", body=lambda: b"x"))


@pytest.mark.parametrize(
    "body",
    [
        b'{"errors": [{"code": ["DIGEST_INVALID"], "message": {"a": 1}}]}',
        b'{"errors": [{"code": {}, "message": null}]}',
        b'{"errors": {"code": 1}}',
        b"[" * 50_000,
        b'{"errors": [{"message": "\\u001b[31m\\u202e\\r\\n::error::x"}]}',
    ],
)
def test_what_a_registry_says_is_wrong_may_have_any_form(body: bytes) -> None:
    with (
        hostile(lambda asked: said(200) if asked.path == "/v2/" else said(400, body)) as server,
        pytest.raises(RegistryError) as caught,
    ):
        server.repository.get("v1")
    assert str(caught.value).isprintable()


def test_what_is_no_http_is_shown_escaped() -> None:
    with (
        hostile(lambda _: iter([b"\x1b]0;OWNED\x07 \x1b[31m\r\n\r\n"])) as server,
        pytest.raises(PassingError) as caught,
    ):
        server.repository.registry.ask(Request("GET", "/x", "what"))
    assert str(caught.value).isprintable()


def test_a_digest_that_a_registry_says_is_shown_escaped() -> None:
    manifest, _ = image(b"x")

    def answer(asked: Asked) -> bytes:
        if asked.path == "/v2/":
            return said(200)
        return said(200, manifest, Docker_Content_Digest="sha256:\x1b[31mx")

    with hostile(answer) as server:
        assert server.repository.get("v1").digest == sha256(manifest)


def test_time_is_bounded_as_declared() -> None:
    assert connection.READ_SECONDS + wire.GRACE_SECONDS <= 120
