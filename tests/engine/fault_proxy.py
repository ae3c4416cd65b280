"""A proxy in front of a real registry that does it wrong on purpose: one fault, at one stage of a push.

Plain http on loopback. Without an armed fault it only passes on; uploads come through it as well,
because it rewrites where the registry sends them.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import socket
import struct
import sys
import threading
import uuid
from collections import Counter
from http.client import HTTPConnection, HTTPException, HTTPResponse, responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from email.message import Message
    from io import BufferedIOBase

    from typing_extensions import Self

INDEX = "application/vnd.oci.image.index.v1+json"
STAGES = ("blobs", "manifests", "tags", "reading")
FAULTS = tuple(
    "refuse reset 429 500 503 401 403 404 quota slow truncated wrong-digest lost".split()
)
OTHER_DIGEST = f"sha256:{'0123456789abcdef' * 4}"  # what "wrong-digest" says was written

_MANIFEST = re.compile(r"/v2/.+/manifests/([^/]+)")
_BLOBS = re.compile(r"/v2/.+/blobs/")
_DIGEST = "Docker-Content-Digest"
_PIECE = 65536  # bytes
# RFC 9110, 7.6.1: they speak of one connection only. Host and Expect are the proxy's own business.
_OF_CONNECTION = frozenset("connection keep-alive te trailer transfer-encoding upgrade".split())
_NOT_PASSED_ON = _OF_CONNECTION | {"host", "expect", "content-length"}


def _errors(code: str, message: str) -> bytes:
    """Return a body as registries send it (OCI distribution specification, error codes)."""
    return json.dumps({"errors": [{"code": code, "message": message, "detail": None}]}).encode()


class _Canned(NamedTuple):
    status: int
    body: bytes
    kind: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


_CANNED = {
    "429": _Canned(
        429, _errors("TOOMANYREQUESTS", "too many requests"), headers=(("Retry-After", "1"),)
    ),
    "500": _Canned(500, _errors("UNKNOWN", "unknown error")),
    "503": _Canned(503, b"<html><body><h1>503 Service Unavailable</h1></body></html>", "text/html"),
    "401": _Canned(
        401,
        _errors("UNAUTHORIZED", "authentication required"),
        headers=(("WWW-Authenticate", 'Basic realm="x"'),),
    ),
    "403": _Canned(403, _errors("DENIED", "requested access to the resource is denied")),
    "404": _Canned(404, _errors("NAME_UNKNOWN", "repository name not known to registry")),
    "quota": _Canned(403, _errors("DENIED", "quota exceeded")),
}


class TokenRealm:
    """An authorization server's memory: who gets tokens, and for how many requests each is good.

    ``issued`` counts the tokens that were given, ``refused`` the requests that came with a used one.
    """

    def __init__(self, user: str, password: str, uses: int | None = None) -> None:
        self.issued = self.refused = 0
        self._basic = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._uses = sys.maxsize if uses is None else uses
        self._left: dict[str, int] = {}
        self._lock = threading.Lock()

    def issue(self, authorization: str) -> str | None:
        """Return a new token for ``Basic …`` credentials, if they are right."""
        kind, _, given = authorization.partition(" ")
        if (kind.lower(), given) != ("basic", self._basic):
            return None
        token = uuid.uuid4().hex
        with self._lock:
            self._left[token] = self._uses
            self.issued += 1
        return token

    def spend(self, authorization: str) -> bool:
        """Use ``Bearer …`` for one request; return whether it was still good."""
        token = authorization.partition(" ")[2]
        with self._lock:
            if self._left.get(token, 0) > 0:
                self._left[token] -= 1
                return True
            self.refused += bool(authorization)
            return False


class Referrers:
    """A registry's memory of what is about a manifest, for one that keeps none (OCI 1.1's API)."""

    def __init__(self) -> None:
        self._listed: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}

    def note(self, repository: str, kind: str, data: bytes) -> str:
        """Take note of a manifest that was put; return the digest that it is about, or ""."""
        content = json.loads(data)
        subject = str((content.get("subject") or {}).get("digest", ""))
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        entry = {"mediaType": kind, "digest": digest, "size": len(data)}
        more = {key: content[key] for key in ("artifactType", "annotations") if key in content}
        if subject:
            self._listed.setdefault((repository, subject), {})[digest] = {**entry, **more}
        return subject

    def listed(self, repository: str, digest: str) -> bytes:
        entries = list(self._listed.get((repository, digest), {}).values())
        return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()


class FaultProxy:
    """Listens on loopback while entered; ``address`` is ``localhost:PORT``.

    ``log`` has (method, path, status) of every answered request, in order; status 0 is no answer.
    ``hits`` counts how often the fault happened since it was armed. ``stall`` is how long "slow" is
    silent, in seconds. ``given`` counts the bytes of blobs that were given, by digest. With ``tokens``
    the proxy asks for tokens, and gives them at ``/token``; with ``referrers`` it lists what is about
    a manifest.
    """

    def __init__(
        self,
        upstream: str,
        tokens: TokenRealm | None = None,
        referrers: Referrers | None = None,
    ) -> None:
        self.upstream = upstream
        self.referrers = referrers
        self.tokens = tokens
        self.stall = 5.0
        self.hits = 0
        self.given: Counter[str] = Counter()
        self.over = threading.Event()
        self._lock = threading.Lock()
        self._log: list[tuple[str, str, int]] = []
        self._struck: Counter[tuple[str, str]] = Counter()
        self._armed: tuple[str, str, str | None] | None = None
        self._left = 0
        self._server = _Server(self)
        self.address = f"localhost:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        serve = self._server.serve_forever
        threading.Thread(target=serve, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.cut_connections()

    @property
    def most_hits(self) -> int:
        """How often the blob, manifest or tag was hit that was hit most; several are sent at once."""
        with self._lock:
            return max(self._struck.values(), default=0)

    @property
    def log(self) -> list[tuple[str, str, int]]:
        with self._lock:
            return list(self._log)

    def gave(self, path: str, size: int) -> None:
        if _BLOBS.match(path):
            with self._lock:
                self.given[path.rpartition("/")[2]] += size

    def arm(
        self, fault: str, stage: str, count: int | None = 1, *, method: str | None = None
    ) -> None:
        """Let the next ``count`` requests of the stage go wrong (None: all); replaces what was armed.

        ``method`` narrows the stage down: PUT of "blobs" is the upload without the POST before it.
        """
        assert fault in FAULTS, fault
        assert stage in STAGES, stage
        with self._lock:
            self._armed = (fault, stage, method)
            self._left = sys.maxsize if count is None else count
            self.hits = 0
            self._struck.clear()

    def calm(self) -> None:
        """Let nothing go wrong any more; ``hits`` stays."""
        with self._lock:
            self._armed = None

    def strike(self, method: str, path: str, *, has_body: bool, query: str = "") -> str:
        """Return the fault that this request gets, and count it; "" is none."""
        with self._lock:
            if self._armed is None or self._left == 0:
                return ""
            fault, stage, only = self._armed
            if stage != stage_of(method, path) or only not in {None, method}:
                return ""
            if not _can_have(fault, method, has_body=has_body):
                return ""
            self._left -= 1
            self.hits += 1
            # Each try to upload a blob has an address of its own.
            digest = parse_qs(query).get("digest", [""])[0]
            self._struck[path.partition("/blobs/")[0] if digest else path, digest] += 1
            return fault

    def note(self, method: str, path: str, status: int) -> None:
        with self._lock:
            self._log.append((method, path, status))


def stage_of(method: str, path: str) -> str:
    """Return the stage that a request belongs to, or ""; the path is without its query."""
    if method in {"POST", "PATCH", "PUT"} and _BLOBS.match(path):
        return "blobs"
    if found := _MANIFEST.fullmatch(path):
        if method == "PUT":
            return "manifests" if ":" in found[1] else "tags"
        if method in {"GET", "HEAD"}:
            return "reading"
    return ""


def _can_have(fault: str, method: str, *, has_body: bool) -> bool:
    if fault == "truncated":  # otherwise there is nothing to cut
        return method == "GET" or has_body
    if fault == "wrong-digest":  # the beginning and the middle of an upload have none
        return method in {"GET", "HEAD", "PUT"}
    return True


class _Server(ThreadingHTTPServer):
    """Knows its open connections, so that closing it closes them."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own asks the name service who 127.0.0.1 is, which can take seconds.
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def get_request(self) -> tuple[socket.socket, Any]:
        request, address = super().get_request()
        with self._lock:
            self._open.add(request)
        return request, address

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def cut_connections(self) -> None:
        with self._lock:
            for request in self._open:
                # Wakes the thread that reads from it, which then closes it.
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Somebody went away: the client, or the fault cut it off.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def handle(self) -> None:
        # Engines try https first. A line of that never ends, and they wait for an answer to it.
        if self.rfile.peek(1)[:1] == b"\x16":  # type: ignore[attr-defined] # it is buffered
            self.wfile.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            return
        super().handle()

    def log_message(self, *_: object) -> None:
        """Say nothing: ``FaultProxy.log`` has it."""

    def serve(self) -> None:
        proxy, self.plain_path = self.server.proxy, urlsplit(self.path).path
        self.pieces = _pieces(self.rfile, self.headers)
        self.subject = ""
        if proxy.tokens and not self._admitted(proxy.tokens):
            return
        if proxy.referrers and self._listed(proxy.referrers):
            return
        fault = proxy.strike(
            self.command,
            self.plain_path,
            has_body=_has_body(self.headers),
            query=urlsplit(self.path).query,
        )
        if fault in _CANNED:
            self._answer_canned(fault)
        elif fault == "refuse":
            self._hang_up()
        elif fault == "reset":
            self._reset()
        else:
            self._pass_on(fault)

    # The names are http.server's.
    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = serve  # noqa: N815

    def _admitted(self, tokens: TokenRealm) -> bool:
        """Return whether the request may go on; answer it otherwise."""
        given = self.headers.get("Authorization", "")
        if self.plain_path == "/token" and self.command == "GET":
            if token := tokens.issue(given):
                body = json.dumps({"token": token, "expires_in": 300}).encode()
                self._answer(_Canned(200, body))
            else:
                self._answer(_CANNED["401"])
            return False
        if self.plain_path == "/token":  # OAuth2's way; registries without it say so like this
            self._answer(_CANNED["404"])
            return False
        if tokens.spend(given):
            return True
        self._answer(self._challenge())
        return False

    def _challenge(self) -> _Canned:
        proxy = self.server.proxy
        said = f'Bearer realm="http://{proxy.address}/token",service="test"'
        if found := re.match(r"/v2/(.+)/(?:blobs|manifests|tags|referrers)/", self.plain_path):
            said += f',scope="repository:{found[1]}:pull,push"'
        if "Authorization" in self.headers:
            said += ',error="invalid_token"'
        return _CANNED["401"]._replace(headers=(("WWW-Authenticate", said),))

    def _listed(self, referrers: Referrers) -> bool:
        """Answer who asks for a list; take note of what is put, for the lists."""
        found = re.match(r"/v2/(.+)/referrers/(.+)", self.plain_path)
        if found and self.command == "GET":
            self._answer(_Canned(200, referrers.listed(found[1], found[2]), INDEX))
        elif self.command == "PUT" and _MANIFEST.fullmatch(self.plain_path):
            data = b"".join(self.pieces)
            self.pieces = iter([data])
            repository = self.plain_path.partition("/manifests/")[0].removeprefix("/v2/")
            self.subject = referrers.note(repository, self.headers["Content-Type"], data)
        return found is not None

    def _answer_canned(self, fault: str) -> None:
        expired = fault == "401" and self.server.proxy.tokens
        self._answer(self._challenge() if expired else _CANNED[fault])

    def _answer(self, canned: _Canned) -> None:
        # Closed with a body unread, the connection would be reset and the answer lost.
        for _ in self.pieces:
            pass
        headers = [
            ("Content-Type", canned.kind),
            ("Content-Length", str(len(canned.body))),
            *canned.headers,
        ]
        self._begin(canned.status, headers)
        if self.command != "HEAD":
            self.wfile.write(canned.body)

    def _hang_up(self) -> None:
        """Leave the request without an answer."""
        self._note(0)
        self.close_connection = True

    def _reset(self) -> None:
        """Read half of the body (of one in chunks, the first), then send RST."""
        half = int(self.headers.get("Content-Length", 0)) // 2
        if half:
            self.rfile.read(half)
        else:
            next(self.pieces, b"")
        self._note(0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The socket closes with the last of the three; the server's own way would send FIN first.
        for end in (self.rfile, self.wfile, self.connection):
            end.close()
        raise ConnectionAbortedError

    def _pass_on(self, fault: str) -> None:
        cut_request = fault == "truncated" and self.command != "GET"
        connection = HTTPConnection(self.server.proxy.upstream, timeout=60)
        with contextlib.closing(connection):
            try:
                with contextlib.closing(self._ask(connection, cut=cut_request)) as answer:
                    if fault == "lost":
                        answer.read()
                        self._hang_up()
                    elif fault in {"slow", "wrong-digest"} or (fault and not cut_request):
                        self._relay_wrong(answer, fault)
                    else:
                        self._relay(answer)
            except (HTTPException, ConnectionRefusedError) as error:
                self._answer(_Canned(502, f"no registry behind the proxy: {error}".encode()))

    def _ask(self, connection: HTTPConnection, *, cut: bool) -> HTTPResponse:
        """Put the same request, or one with the first half of its body, to the registry."""
        connection.putrequest(self.command, self.path, skip_accept_encoding=True)
        dropped = _NOT_PASSED_ON | ({"authorization"} if self.server.proxy.tokens else set())
        for key, value in self.headers.items():  # not a dict: Accept can be there several times
            if key.lower() not in dropped:
                connection.putheader(key, value)
        body: Iterable[bytes] = self.pieces
        chunked = _chunked(self.headers) and not cut
        if cut:
            whole = b"".join(self.pieces)
            half = whole[: len(whole) // 2]
            body = [half]
            connection.putheader("Content-Length", str(len(half)))
        elif chunked:
            connection.putheader("Transfer-Encoding", "chunked")
        elif "Content-Length" in self.headers:
            connection.putheader("Content-Length", self.headers["Content-Length"])
        connection.endheaders(body, encode_chunked=chunked)
        return connection.getresponse()

    def _relay(self, answer: HTTPResponse) -> None:
        """Answer as the registry did, piece by piece."""
        headers = self._headers_of(answer)
        none = self.command == "HEAD" or answer.status in {204, 304}
        chunked = not none and answer.length is None
        if chunked:
            headers.append(("Transfer-Encoding", "chunked"))
        self._begin(answer.status, headers)
        while piece := answer.read(_PIECE):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            if self.command == "GET":
                self.server.proxy.gave(self.plain_path, len(piece))
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _relay_wrong(self, answer: HTTPResponse, fault: str) -> None:
        """Answer as the registry did, but for the fault."""
        body, headers = answer.read(), self._headers_of(answer)
        if self.command != "HEAD" and answer.getheader("Content-Length") is None:
            headers.append(("Content-Length", str(len(body))))
        if fault == "slow":
            head = _head(answer.status, headers)
            # Without a body the head is all of the answer, so that its end has to come late.
            at_once = head if body else head[:-2]
            self._note(answer.status)
            self.wfile.write(at_once)
            self.server.proxy.over.wait(self.server.proxy.stall)
            self.wfile.write((head + body)[len(at_once) :])
            return
        if fault == "truncated":
            body = body[: len(body) // 2]
            self.close_connection = True
        elif answer.status < 400:
            body = _other(body)
            digest = f"sha256:{hashlib.sha256(body).hexdigest()}" if body else OTHER_DIGEST
            headers = [(key, value) for key, value in headers if key.lower() != _DIGEST.lower()]
            headers.append((_DIGEST, digest))
        self._begin(answer.status, headers)
        self.wfile.write(body)

    def _headers_of(self, answer: HTTPResponse) -> list[tuple[str, str]]:
        """Return the answer's headers, with uploads sent through the proxy."""
        found = []
        for key, value in answer.getheaders():
            if key.lower() == "location" and urlsplit(value).netloc == self.server.proxy.upstream:
                ours = urlsplit(value)._replace(scheme="http", netloc=self.server.proxy.address)
                found.append((key, ours.geturl()))
            elif key.lower() not in _OF_CONNECTION:
                found.append((key, value))
        if self.subject and answer.status == 201:
            found.append(("OCI-Subject", self.subject))
        return found

    def _begin(self, status: int, headers: list[tuple[str, str]]) -> None:
        # Noted first: who has the answer finds it in the log.
        self._note(status)
        self.wfile.write(_head(status, headers))

    def _note(self, status: int) -> None:
        self.server.proxy.note(self.command, self.plain_path, status)


def _head(status: int, headers: list[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status} {responses.get(status, '')}"]
    lines += [f"{key}: {value}" for key, value in headers]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


def _other(body: bytes) -> bytes:
    """Return other bytes of equal length; of a manifest another manifest, whose first blob differs."""
    at = body.rfind(b":", 0, body.find(b"sha256:") + 7) + 1
    digit = b"0" if body[at : at + 1] != b"0" else b"1"
    return body and body[:at] + digit + body[at + 1 :]


def _chunked(headers: Message) -> bool:
    return "chunked" in headers.get("Transfer-Encoding", "").lower()


def _has_body(headers: Message) -> bool:
    return _chunked(headers) or int(headers.get("Content-Length", 0)) > 0


def _pieces(source: BufferedIOBase, headers: Message) -> Iterator[bytes]:
    """Yield a request's body as it comes in; ConnectionError if it ends too early."""
    if not _chunked(headers):
        yield from _exactly(source, int(headers.get("Content-Length", 0)))
        return
    while size := int(_line(source).split(b";")[0], 16):
        yield from _exactly(source, size)
        _line(source)
    while _line(source).strip():
        pass  # trailers


def _exactly(source: BufferedIOBase, left: int) -> Iterator[bytes]:
    while left:
        piece = source.read(min(left, _PIECE))
        if not piece:
            raise ConnectionAbortedError
        left -= len(piece)
        yield piece


def _line(source: BufferedIOBase) -> bytes:
    line = source.readline(_PIECE)
    if not line:
        raise ConnectionAbortedError
    return line
