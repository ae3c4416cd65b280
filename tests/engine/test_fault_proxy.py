"""The tests' own proxy and registries do what they say: nothing but real requests to a real one."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from .conftest import docker
from .fault_proxy import FAULTS, OTHER_DIGEST, STAGES, FaultProxy, TokenRealm, stage_of
from .secured import htpasswd_registry, tls_registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

BLOB = b"{}" + b" " * 200_000
KIND = "application/vnd.oci.image.manifest.v1+json"


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def code(self) -> str:
        return str(json.loads(self.body)["errors"][0]["code"])


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def ask(
    address: str,
    method: str,
    path: str,
    body: bytes | Iterable[bytes] | None = None,
    *,
    timeout: float = 10,
    tls: ssl.SSLContext | None = None,
    **headers: str,
) -> Reply:
    """Make one request on a connection of its own; header names are written with underscores."""
    made: http.client.HTTPConnection = (
        http.client.HTTPSConnection(address, timeout=timeout, context=tls)
        if tls
        else http.client.HTTPConnection(address, timeout=timeout)
    )
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    with contextlib.closing(made):
        made.request(method, path, body, named, encode_chunked=not isinstance(body, bytes))
        answer = made.getresponse()
        with contextlib.closing(answer):
            lowered = {key.lower(): value for key, value in answer.getheaders()}
            return Reply(answer.status, lowered, answer.read())


def upload_place(address: str, name: str) -> str:
    """Begin an upload; return the path to put the blob to."""
    reply = ask(address, "POST", f"/v2/{name}/blobs/uploads/")
    assert reply.status == 202
    place = reply.headers["location"]
    assert place.startswith(f"http://{address}/v2/")
    return place[len(f"http://{address}") :]


def put_blob(address: str, name: str, blob: bytes = BLOB) -> Reply:
    place = upload_place(address, name)
    return ask(address, "PUT", f"{place}&digest={digest_of(blob)}", blob)


def manifest_of(blob: bytes) -> bytes:
    """Return a manifest whose configuration is the blob, without layers."""
    described = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": digest_of(blob),
        "size": len(blob),
    }
    made = {"schemaVersion": 2, "mediaType": KIND, "config": described, "layers": []}
    return json.dumps(made).encode()


MANIFEST = manifest_of(BLOB)


def put_manifest(address: str, name: str, reference: str) -> Reply:
    return ask(address, "PUT", f"/v2/{name}/manifests/{reference}", MANIFEST, Content_Type=KIND)


def get(address: str, name: str, reference: str = "v1", method: str = "GET", **more: Any) -> Reply:
    return ask(address, method, f"/v2/{name}/manifests/{reference}", Accept=KIND, **more)


@pytest.fixture
def proxy(registry: str) -> Iterator[FaultProxy]:
    with FaultProxy(registry) as proxy:
        yield proxy


@pytest.fixture
def kept(registry: str, name: str) -> str:
    """A repository in which the blob is, and the manifest as v1."""
    assert put_blob(registry, name).status == 201
    assert put_manifest(registry, name, "v1").status == 201
    return name


def test_passes_on(proxy: FaultProxy, registry: str, name: str) -> None:
    assert put_blob(proxy.address, name).headers["docker-content-digest"] == digest_of(BLOB)
    place = upload_place(proxy.address, name)
    assert ask(proxy.address, "PATCH", place, iter([BLOB, BLOB])).headers["range"] == "0-400003"
    assert put_manifest(proxy.address, name, digest_of(MANIFEST)).status == 201
    assert put_manifest(proxy.address, name, "v1").status == 201
    assert get(proxy.address, name).body == get(registry, name).body == MANIFEST
    head = get(proxy.address, name, method="HEAD")
    assert (head.headers["content-length"], head.body) == (str(len(MANIFEST)), b"")
    assert ask(proxy.address, "GET", f"/v2/{name}/blobs/{digest_of(BLOB)}").body == BLOB
    assert get(proxy.address, name, "none").code() == "MANIFEST_UNKNOWN"
    assert proxy.hits == 0
    assert [status for _, _, status in proxy.log] == [
        202,
        201,
        202,
        202,
        201,
        201,
        200,
        200,
        200,
        404,
    ]
    assert proxy.log[5] == ("PUT", f"/v2/{name}/manifests/v1", 201)


def test_keeps_a_connection(proxy: FaultProxy, kept: str) -> None:
    with contextlib.closing(http.client.HTTPConnection(proxy.address, timeout=5)) as connection:
        ports = set()
        for method in ("GET", "HEAD", "GET"):
            connection.request(method, f"/v2/{kept}/manifests/v1", headers={"Accept": KIND})
            assert connection.getresponse().read() == (b"" if method == "HEAD" else MANIFEST)
            ports.add(connection.sock.getsockname())
        assert len(ports) == 1


def test_stages() -> None:
    assert stage_of("POST", "/v2/a/b/blobs/uploads/") == "blobs"
    assert stage_of("HEAD", "/v2/a/blobs/sha256:0") == ""
    assert stage_of("PUT", "/v2/a/manifests/sha256:0") == "manifests"
    assert stage_of("PUT", "/v2/a/manifests/v1") == "tags"
    assert stage_of("HEAD", "/v2/a/manifests/v1") == "reading"
    assert stage_of("GET", "/v2/") == ""


def test_count_method_and_calm(proxy: FaultProxy, kept: str) -> None:
    proxy.arm("500", "reading", 2, method="GET")
    seen = [
        get(proxy.address, kept, method=method).status for method in ("GET", "HEAD", "GET", "GET")
    ]
    assert (seen, proxy.hits) == ([500, 200, 500, 200], 2)
    proxy.arm("500", "reading", None)
    assert [get(proxy.address, kept).status for _ in range(3)] == [500] * 3
    proxy.calm()
    assert (get(proxy.address, kept).status, proxy.hits) == (200, 3)


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        ("429", 429, "TOOMANYREQUESTS"),
        ("500", 500, "UNKNOWN"),
        ("503", 503, ""),
        ("401", 401, "UNAUTHORIZED"),
        ("403", 403, "DENIED"),
        ("404", 404, "NAME_UNKNOWN"),
        ("quota", 403, "DENIED"),
    ],
)
def test_answers_of_its_own(
    proxy: FaultProxy, registry: str, kept: str, fault: str, status: int, said: str
) -> None:
    replies = {}
    for stage in STAGES:
        proxy.arm(fault, stage)
        if stage == "blobs":
            replies[stage] = ask(proxy.address, "POST", f"/v2/{kept}/blobs/uploads/", BLOB)
        elif stage == "reading":
            replies[stage] = get(proxy.address, kept)
        else:
            reference = "v2" if stage == "tags" else digest_of(MANIFEST)
            replies[stage] = put_manifest(proxy.address, kept, reference)
        assert proxy.hits == 1
    for reply in replies.values():
        assert reply.status == status
        assert reply.code() == said if said else reply.body.startswith(b"<html>")
        assert reply.headers.get("retry-after") == ("1" if fault == "429" else None)
        assert ("www-authenticate" in reply.headers) == (fault == "401")
        assert (b"quota exceeded" in reply.body) == (fault == "quota")
    assert get(registry, kept, "v2").status == 404


@pytest.mark.parametrize("fault", ["refuse", "reset", "lost"])
def test_no_answer(proxy: FaultProxy, registry: str, kept: str, fault: str) -> None:
    end = ConnectionResetError if fault == "reset" else http.client.RemoteDisconnected
    proxy.arm(fault, "tags")
    with pytest.raises(end) as raised:
        put_manifest(proxy.address, kept, "v2")
    # http.client's error for a plain end is of the same family.
    assert isinstance(raised.value, http.client.RemoteDisconnected) == (fault != "reset")
    assert get(registry, kept, "v2").status == (200 if fault == "lost" else 404)
    proxy.arm(fault, "reading")
    with pytest.raises(end):
        get(proxy.address, kept)
    assert proxy.log == [
        ("PUT", f"/v2/{kept}/manifests/v2", 0),
        ("GET", f"/v2/{kept}/manifests/v1", 0),
    ]


def test_reset_in_the_middle_of_a_blob(proxy: FaultProxy, registry: str, name: str) -> None:
    proxy.arm("reset", "blobs", method="PUT")
    many = BLOB * 100
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        put_blob(proxy.address, name, many)
    proxy.arm("reset", "blobs", method="PATCH")
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        ask(proxy.address, "PATCH", upload_place(proxy.address, name), iter([BLOB] * 100))
    assert proxy.hits == 1
    assert ask(registry, "HEAD", f"/v2/{name}/blobs/{digest_of(many)}").status == 404


def test_slow(proxy: FaultProxy, registry: str, kept: str) -> None:
    proxy.arm("slow", "tags")
    with pytest.raises(socket.timeout):  # TimeoutError only from Python 3.10 on
        ask(
            proxy.address,
            "PUT",
            f"/v2/{kept}/manifests/v2",
            MANIFEST,
            timeout=0.3,
            Content_Type=KIND,
        )
    assert get(registry, kept, "v2").body == MANIFEST
    for method in ("GET", "HEAD"):
        proxy.arm("slow", "reading")
        with pytest.raises(socket.timeout):
            get(proxy.address, kept, method=method, timeout=0.3)
    proxy.stall = 0.2
    proxy.arm("slow", "reading")
    started = time.monotonic()
    assert get(proxy.address, kept).body == MANIFEST
    assert time.monotonic() - started >= 0.2


def test_truncated(proxy: FaultProxy, registry: str, kept: str) -> None:
    proxy.arm("truncated", "reading")
    assert get(proxy.address, kept, method="HEAD").status == 200
    with pytest.raises(http.client.IncompleteRead) as raised:
        get(proxy.address, kept)
    assert raised.value.partial == MANIFEST[: len(MANIFEST) // 2]
    proxy.arm("truncated", "blobs")
    other = BLOB + b"\n"
    assert put_blob(proxy.address, kept, other).code() == "DIGEST_INVALID"
    assert proxy.hits == 1
    assert ask(registry, "HEAD", f"/v2/{kept}/blobs/{digest_of(other)}").status == 404
    proxy.arm("truncated", "blobs")
    place = upload_place(proxy.address, kept)
    assert ask(proxy.address, "PATCH", place, iter([BLOB, BLOB])).headers["range"] == "0-200001"
    proxy.arm("truncated", "manifests")
    # The registry reads the manifest before it looks at the digest.
    assert put_manifest(proxy.address, kept, digest_of(MANIFEST)).code() == "MANIFEST_INVALID"
    proxy.arm("truncated", "tags")
    assert put_manifest(proxy.address, kept, "v2").code() == "MANIFEST_INVALID"
    assert get(registry, kept, "v2").status == 404


def test_wrong_digest(proxy: FaultProxy, registry: str, kept: str) -> None:
    proxy.arm("wrong-digest", "reading", 2)
    reply = get(proxy.address, kept)
    assert (reply.status, len(reply.body)) == (200, len(MANIFEST))
    assert json.loads(reply.body)["config"]["digest"] != digest_of(BLOB)
    assert reply.headers["docker-content-digest"] == digest_of(reply.body) != digest_of(MANIFEST)
    head = get(proxy.address, kept, method="HEAD")
    assert head.headers["docker-content-digest"] == OTHER_DIGEST
    for stage, reference in (("tags", "v2"), ("manifests", digest_of(MANIFEST))):
        proxy.arm("wrong-digest", stage)
        reply = put_manifest(proxy.address, kept, reference)
        assert (reply.status, reply.headers["docker-content-digest"]) == (201, OTHER_DIGEST)
    assert get(registry, kept, "v2").body == MANIFEST
    proxy.arm("wrong-digest", "blobs")
    reply = put_blob(proxy.address, kept)
    assert (reply.status, reply.headers["docker-content-digest"]) == (201, OTHER_DIGEST)


def test_every_fault_is_tested() -> None:
    canned = {"429", "500", "503", "401", "403", "404", "quota"}
    assert canned | {"refuse", "reset", "lost", "slow", "truncated", "wrong-digest"} == set(FAULTS)


def test_closes_at_once_and_for_good(registry: str, kept: str) -> None:
    with FaultProxy(registry) as proxy:
        proxy.arm("slow", "reading")
        host, port = proxy.address.split(":")
        idle = socket.create_connection((host, int(port)), timeout=5)
        with contextlib.closing(idle):
            lines = [f"GET /v2/{kept}/manifests/v1 HTTP/1.1", f"Accept: {KIND}", "", ""]
            idle.sendall("\r\n".join(lines).encode())
            assert idle.recv(10) == b"HTTP/1.1 2"
            started = time.monotonic()
            proxy.__exit__()
            while idle.recv(65536):
                pass
    assert time.monotonic() - started < 10
    with pytest.raises(ConnectionRefusedError):
        get(proxy.address, kept)


def test_an_attempt_at_tls_ends_at_once(proxy: FaultProxy) -> None:
    with pytest.raises(ssl.SSLError):
        ask(proxy.address, "GET", "/v2/", tls=ssl.create_default_context(), timeout=5)


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def test_tokens(registry: str, kept: str) -> None:
    tokens = TokenRealm("me", "secret", uses=2)
    with FaultProxy(registry, tokens=tokens) as proxy:
        asked = f'Bearer realm="http://{proxy.address}/token",service="test"'
        assert ask(proxy.address, "GET", "/v2/").headers["www-authenticate"] == asked
        asked += f',scope="repository:{kept}:pull,push"'
        reply = get(proxy.address, kept)
        assert (reply.status, reply.headers["www-authenticate"]) == (401, asked)
        wrong = ask(proxy.address, "GET", "/token", Authorization=basic("me", "wrong"))
        assert wrong.status == 401
        given = ask(proxy.address, "GET", "/token?x=y", Authorization=basic("me", "secret")).body
        bearer = f"Bearer {json.loads(given)['token']}"
        seen = [get(proxy.address, kept, Authorization=bearer) for _ in range(3)]
        assert [reply.status for reply in seen] == [200, 200, 401]
        assert seen[2].headers["www-authenticate"] == f'{asked},error="invalid_token"'
        assert (tokens.issued, tokens.refused) == (1, 1)


def test_htpasswd(tmp_path: Path) -> None:
    with htpasswd_registry(tmp_path, "me", "s3cret") as address, FaultProxy(address) as proxy:
        assert ask(proxy.address, "GET", "/v2/").status == 401
        given = basic("me", "s3cret")
        assert ask(proxy.address, "GET", "/v2/", Authorization=given).status == 200
        wrong = ask(proxy.address, "GET", "/v2/", Authorization=basic("me", "S3cret"))
        assert wrong.status == 401


def test_tls_with_a_password(tmp_path: Path) -> None:
    with tls_registry(tmp_path, "me", "s3cret") as (address, authority):
        trust = ssl.create_default_context(cafile=str(authority))
        assert ask(address, "GET", "/v2/", tls=trust).status == 401
        given = basic("me", "s3cret")
        assert ask(address, "GET", "/v2/", tls=trust, Authorization=given).status == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            ask(address, "GET", "/v2/", tls=ssl.create_default_context())


def test_the_engine_pushes_through_it(proxy: FaultProxy, name: str) -> None:
    docker("tag", "alpine:3.22", f"{proxy.address}/{name}:v1")
    docker("push", "--quiet", f"{proxy.address}/{name}:v1")
    assert ("PUT", f"/v2/{name}/manifests/v1", 201) in proxy.log
    assert {stage_of(*line[:2]) for line in proxy.log} >= {"blobs", "tags"}


def test_the_engine_pushes_with_tokens(registry: str, name: str) -> None:
    # Some 120 requests, of several tokens. Of 4 uses each, others take the new token's before a
    # refused one is repeated.
    tokens = TokenRealm("me", "secret", uses=15)
    with FaultProxy(registry, tokens=tokens) as proxy:
        docker("login", "--username", "me", "--password", "secret", proxy.address)
        docker("tag", "alpine:3.22", f"{proxy.address}/{name}:v1")
        docker("push", "--quiet", f"{proxy.address}/{name}:v1")
        docker("logout", proxy.address)
        assert ("PUT", f"/v2/{name}/manifests/v1", 201) in proxy.log
        assert tokens.refused > 0
