"""HTTP conversations: a registry that answers anything, and a bystander that must hear nothing."""

from __future__ import annotations

import itertools
import ssl
from typing import TYPE_CHECKING, Any, Callable

from support.hostile import Asked, Hostile, image, said, sha256

from buildx_tasks.engine.accounts import Account
from buildx_tasks.errors import BuildxTasksError
from buildx_tasks.images import description, graph
from buildx_tasks.images.sources import RepositorySource
from buildx_tasks.registry import authentication, connection, faults
from buildx_tasks.registry.connection import Registry
from buildx_tasks.registry.endpoints import Endpoint
from buildx_tasks.registry.faults import PassingError
from buildx_tasks.registry.manifests import digest_of, manifest_of
from buildx_tasks.registry.repository import Repository

from .manifests import mutated

if TYPE_CHECKING:
    import random

SECRET = Account("me", "a-secret-value")
MANIFEST, BLOBS = image(b"one layer", b"two layers")
LAYER = sha256(b"one layer")


class Bystander:
    """Servers for all conversations of a session; close it in the end."""

    def __init__(self) -> None:
        self.rng: random.Random
        self.last: list[bytes] = []
        self.hostile = Hostile(self._answer)
        self.other = Hostile(lambda _: said(200, b"{}"))
        context = ssl.create_default_context()
        self.endpoint = Endpoint(
            self.hostile.address, self.hostile.address, ("http",), context, own_network=True
        )
        setattr(authentication, "account_for", lambda _: SECRET)  # noqa: B010 - it is imported there
        faults.FIRST_PAUSE = faults.LONGEST_PAUSE = 0.0
        faults.ATTEMPTS = 2
        connection.CONNECT_SECONDS, connection.READ_SECONDS = 0.3, 0.5

    def close(self) -> None:
        self.hostile.close()
        self.other.close()

    def _answer(self, asked: Asked) -> Any:
        data, is_whole = _answered(self.rng, asked, self.hostile.address, self.other.address)
        self.last.append(data)
        # As pieces, the connection ends with it: what is not whole is waited for otherwise.
        return data if is_whole else iter([data])


def _answered(rng: random.Random, asked: Asked, own: str, other: str) -> tuple[bytes, bool]:
    places = (
        "",
        f"http://{other}/v2/victim/manifests/latest",
        f"https://{other}/x",
        f"//{other}/v2/victim/blobs/uploads/1",
        f"http://u:p@{other}/x",
        "file:///etc/passwd",
        f"http://{own}/v2/app/manifests/v1",
        "/v2/app/blobs/uploads/1?a=b",
        "http://[::1",
        "http://x:99999999/",
        "a b\x1b[31m",
        "x" * 20000,
    )
    realms = (f"http://{own}/t", f"http://{other}/t", "https://u:p@x/", "", "ftp://x/", "http://[")
    values = ("", "\x1b[31mx", "-1", "9" * 400, "1e400", "Mon, 99 Foo 99999", DIGEST_LIKE, "gzip")
    body = rng.choice(
        (
            MANIFEST,
            b"{}",
            b"",
            b"one layer",
            b'{"errors":[{"code":[],"message":{}}]}',
            b'{"token":"a\\r\\nb"}',
            b'{"token":"t"}',
            b"[" * 5000,
            mutated(rng, []),
            rng.randbytes(200) if hasattr(rng, "randbytes") else b"\xff" * 200,
        )
    )
    status = rng.choice((200, 200, 200, 201, 202, 204, 206, 301, 302, 307, 308, 400, 401, 401))
    status = rng.choice((status, status, 403, 404, 429, 500, 503, 999))
    fields: dict[str, str] = {}
    for name in ("Location", "Docker_Content_Digest", "Retry_After", "Content_Encoding", "Link"):
        if rng.random() < 0.3:
            fields[name] = rng.choice(places if name == "Location" else values)
    if rng.random() < 0.5:
        fields["WWW_Authenticate"] = rng.choice(
            (
                'Basic realm="x"',
                f'Bearer realm="{rng.choice(realms)}",service="x",scope="repository:victim:push"',
                "Bearer " + "a" * 3000,
                "\x1b[31m",
            )
        )
    length = rng.choice((None, None, None, len(body) + 5, max(len(body) - 1, 0), -1))
    answer = whole = said(status, body, length=length, **fields)
    if rng.random() < 0.1:
        answer = answer.replace(b"Content-Length", b"Transfer-Encoding: chunked\r\nX")
    if rng.random() < 0.15:
        at = rng.randrange(len(answer))
        answer = (
            answer[:at] + rng.choice((b"", b"\r\n\r\n", b"\xff", b"\0", b"zz\r\n")) + answer[at:]
        )
    if rng.random() < 0.1:
        answer = answer[: rng.randrange(len(answer))]
    return answer, answer is whole and length is None and asked.method != "HEAD"


DIGEST_LIKE = digest_of(MANIFEST)


def run(rng: random.Random, by: Bystander) -> bytes:
    """Hold one conversation; return what was answered."""
    by.rng, by.last = rng, []
    by.other.asked.clear()
    by.hostile.asked.clear()
    registry = Registry(by.endpoint)
    repository = Repository(registry, "app")
    source = RepositorySource(repository)
    asks: tuple[Callable[[], object], ...] = (
        lambda: repository.get("v1"),
        lambda: repository.get(DIGEST_LIKE),
        lambda: repository.find("v1"),
        lambda: list(repository.read(LAYER, 9)),
        lambda: list(repository.read(LAYER)),
        lambda: repository.has(LAYER),
        lambda: repository.mount(LAYER, "other"),
        lambda: repository.put("v1", manifest_of(MANIFEST)),
        lambda: repository.upload(LAYER, 9, lambda: [b"one ", b"layer"], lambda _: None),
        lambda: repository.upload(LAYER, 4, lambda: [b"one ", b"layer"], lambda _: None),
        repository.require_writable,
        lambda: graph.graph_of(source, DIGEST_LIKE).blobs,
        lambda: list(description.lines(description.published(repository, "x/app:v1", "v1"))),
    )
    try:
        for ask in itertools.islice(rng.sample(asks, 2), 2):
            try:
                ask()
            except (BuildxTasksError, PassingError) as error:
                assert str(error).isprintable(), repr(str(error))
                assert SECRET.password not in str(error)
    finally:
        registry.close()
    for one in by.other.asked:
        _harmless(one)
    return b"\n--\n".join(by.last)


def _harmless(asked: Asked) -> None:
    """What may reach a bystander: questions without our log-in, an upload's own body."""
    token = asked.path.startswith("/t?")  # named as the log-in's service, by http for one by http
    assert token or "authorization" not in asked.fields, asked
    assert asked.method in ("GET", "HEAD") or "/manifests/" not in asked.path, asked
    assert asked.method != "DELETE", asked
