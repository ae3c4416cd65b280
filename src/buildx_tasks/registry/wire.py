"""A registry's endpoint in; a session that speaks to it, whose answers have bounds, out.

What is answered may be endless, slow, or compressed to a thousandth: none of that is waited for, and
none of it comes into memory.
"""

from __future__ import annotations

import functools
import http.client
import io
import re
import ssl
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from buildx_tasks.registry.endpoints import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator
    from urllib.parse import SplitResult

    from requests import Response, Session

    from buildx_tasks.registry.endpoints import Endpoint

MOST_BODY = 1 << 20  # bytes of an answer that is no manifest and no blob
MOST_FAULT = 1 << 16  # bytes that are read of what a registry says is wrong
GRACE_SECONDS = 30.0  # that may be waited altogether once an answer has begun, besides:
SLOWEST = 8192  # bytes a second
_MOST_HEAD = 1 << 18  # bytes before a body
_MOST_TRAILERS = 100  # lines behind a body that comes in chunks
_PIECE = 1 << 16
_ADDRESS = re.compile(r"[!-~]{1,16000}")
_LINK_LOCAL = re.compile(r"169\.254\.|\[?fe80:", re.IGNORECASE)


class UnboundedError(Exception):
    """An answer has no end, comes too slowly, or leads where a registry may not lead."""


def session(endpoint: Endpoint) -> Session:
    """Return a session for an endpoint, with its TLS settings."""
    import requests
    import urllib3
    from requests.adapters import HTTPAdapter

    checked = endpoint.context.verify_mode != ssl.CERT_NONE
    if not checked:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # it is as declared

    class Bounded(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, **options)
            _bound(self.poolmanager)

        def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
            return _bound(super().proxy_manager_for(*args, **options))

    class OwnTls(Bounded):
        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, ssl_context=endpoint.context, **options)

        def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
            return super().proxy_manager_for(*args, ssl_context=endpoint.context, **options)

        def send(self, *args: Any, **options: Any) -> Response:
            """Have urllib3 leave the context's mode as it is."""
            return super().send(*args, **{**options, "verify": checked})

        def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
            """Leave it to the context, which knows the authorities."""

    class Here(requests.Session):
        def get_redirect_target(self, resp: Response) -> None:
            """Lead nowhere: it would read the whole body first, even where redirects are not wanted."""

    made = Here()
    # Where any certificate is taken, that is for this registry alone: not for whom it leads to.
    alone = not checked and not endpoint.own_network
    made.mount(f"https://{endpoint.host}/" if alone else "https://", OwnTls(pool_maxsize=16))
    if alone:
        made.mount("https://", Bounded(pool_maxsize=16))
    made.mount("http://", Bounded(pool_maxsize=16))
    made.trust_env = not endpoint.own_network
    made.auth = _as_it_is
    made.headers["User-Agent"] = "buildx-tasks"
    made.headers["Accept-Encoding"] = "identity"  # what is compressed has no bounds of its own
    return made


def _as_it_is(request: Any) -> Any:
    """Keep requests from looking into ``.netrc``: only docker's log-ins count."""
    return request


def body(answer: Response, most: int, *, cut: bool = False) -> bytes:
    """Return an answer's body; the connection is closed on the first byte too many.

    ``cut`` takes what is there until then.

    Raises:
        UnboundedError: it is longer, or too slow.
        OSError: the connection broke: requests' exceptions, and urllib3's, are such too.

    """
    found = bytearray()
    for piece in pieces(answer):
        found += piece
        if len(found) > most:
            answer.close()
            if not cut:
                raise UnboundedError(f"it answers with more than {most} bytes")
            break
    return bytes(found[:most])


def pieces(answer: Response) -> Iterator[bytes]:
    """Give an answer's body as it comes, never decompressed.

    Raises:
        UnboundedError: it is too slow, or compressed.
        OSError: the connection broke.

    """
    import requests
    from urllib3.exceptions import HTTPError

    if answer.headers.get("Content-Encoding", "identity").strip().lower() not in ("identity", ""):
        answer.close()
        raise UnboundedError("it compresses its answer, which was not asked for")
    whole = False
    try:
        while piece := answer.raw.read(_PIECE, decode_content=False):
            yield piece
        whole = True
    except (HTTPError, http.client.HTTPException, ValueError) as error:
        raise requests.exceptions.ConnectionError(error) from error
    finally:
        if whole:
            answer.raw.release_conn()
        else:
            answer.close()


def onward(url: str, location: str) -> SplitResult:
    """Return where an address leads to, as a registry says it.

    Raises:
        UnboundedError: it may not lead there.

    """
    try:
        place = urlsplit(urljoin(url, location))
        host = place.hostname or ""
        valid = bool(host) and place.port != 0 and _ADDRESS.fullmatch(place.geturl())
    except ValueError:
        valid = None
    if not valid:
        raise UnboundedError("it leads to what is no address")
    own = urlsplit(url)
    is_here = is_loopback(place.netloc.rpartition("@")[2]) or _LINK_LOCAL.match(host)
    if place.username is not None and host != own.hostname:
        raise UnboundedError(f"it leads to {host} with a log-in in the address")
    if place.scheme not in ("http", "https"):
        raise UnboundedError(f"it leads to {place.scheme}:, not to http or https")
    if is_here and not is_loopback(own.netloc):
        raise UnboundedError(f"it leads to {host}, into this machine's own network")
    return place


class _Paced(io.RawIOBase):
    """What a socket receives, given up where it is much too slow; our own pauses do not count."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._waited = 0.0
        self._received = 0
        self.most: int | None = None  # of bytes that may come still

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        began = time.monotonic()
        count = self._raw.readinto(buffer) or 0
        if self._received:  # before the first byte, the socket's own time-out counts
            self._waited += time.monotonic() - began
        self._received += count
        if self._waited > GRACE_SECONDS + self._received / SLOWEST:
            raise UnboundedError(
                f"it answers too slowly: {self._received} bytes in {self._waited:.0f} s"
            )
        if self.most is not None:
            self.most -= count
            if self.most < 0:
                raise UnboundedError("its headers have no end")
        return count

    def close(self) -> None:
        super().close()
        self._raw.close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        plain: Any = self.fp
        self._paced = _Paced(plain.detach())
        self.fp = io.BufferedReader(self._paced, _PIECE)

    def begin(self) -> None:
        self._paced.most = _MOST_HEAD
        super().begin()
        self._paced.most = None

    def _read_and_discard_trailer(self) -> None:
        for _ in range(_MOST_TRAILERS):
            if self.fp.readline(_PIECE) in (b"\r\n", b"\n", b""):
                return
        raise UnboundedError("what follows its answer has no end")


def _bound(manager: Any) -> Any:
    manager.pool_classes_by_scheme = _pools()
    return manager


@functools.cache
def _pools() -> dict[str, Any]:
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    class Plain(HTTPConnection):
        response_class = _Answer

    class Secure(HTTPSConnection):
        response_class = _Answer

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}
