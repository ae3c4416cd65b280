"""A question for the engine in; its answer out: by docker's library only where that is needed.

docker's library and what it stands on take longer to import than most questions take to answer.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Union
from urllib.parse import urlencode

from buildx_tasks.engine import faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    import docker

Address = Union[str, tuple[str, int]]  # a unix socket's path, or host and port

_SECONDS = 60.0  # that an answer may let wait: as docker's library has it
_UPGRADE_SECONDS = 30.0
_UPGRADE = {"Connection": "Upgrade", "Upgrade": "h2c"}


class Answer(NamedTuple):
    """What the engine said, whatever it was: its HTTP status, and the body's bytes.

    ``api_version`` is the newest version of the API that it has; ``""`` where it does not say.
    Source: https://docs.docker.com/reference/api/engine/version/v1.48/#tag/System/operation/SystemPing
    """

    status: int
    data: bytes
    api_version: str = ""

    @property
    def text(self) -> str:
        """The body as text, for people."""
        return self.data.decode("utf-8", "replace").strip()

    def json(self) -> Any:
        """Return what the body says.

        Raises:
            faults.lost_connections: it is no JSON, so that no engine said it.

        """
        try:
            return json.loads(self.data)
        except ValueError as error:
            raise faults.lost(f"what answers is no engine: {error}") from None

    def good(self) -> Any:
        """Return what the body says of a question that must be answered.

        Raises:
            faults.api_errors: the engine says no.
            faults.lost_connections: what answers is no engine.

        """
        if self.status < 400:
            return self.json()
        words = self.text
        with contextlib.suppress(ValueError, AttributeError):
            words = str(json.loads(self.data).get("message") or words)
        raise faults.AnswerError(self.status, words)


class Upgraded(NamedTuple):
    """A connection on which something else than HTTP/1 is spoken, once ``status`` is 101.

    ``source`` is a buffered reader of what the engine says, ``sink`` has ``sendall``.
    """

    status: int
    source: Any
    sink: Any


class Api(Protocol):
    """An engine that can be asked; safe to use from several threads."""

    @property
    def is_unix(self) -> bool:
        """Whether it is asked on a socket of this machine."""

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        """Ask for a path, with its version where that has one.

        Raises:
            faults.lost_connections: nobody answers, or not in time.

        """

    def upgraded(self, path: str) -> AbstractContextManager[Upgraded]:
        """Open a connection of its own, which ends with the block.

        Raises:
            faults.lost_connections: nobody answers.

        """

    def close(self) -> None:
        """End what is open."""


class Sockets:
    """An engine behind a unix socket, or plain HTTP."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._idle: list[http.client.HTTPConnection] = []
        self._guard = threading.Lock()  # guards the idle ones

    @property
    def is_unix(self) -> bool:
        """As an Api."""
        return isinstance(self._address, str)

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        """As an Api."""
        with self._guard:
            kept = self._idle.pop() if self._idle else None
        target = f"{path}?{urlencode(query)}" if query else path
        if kept:
            # The engine may have ended it meanwhile, as when it was started again.
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self._asked(kept, target)
        try:
            return self._asked(_connection(self._address, _SECONDS), target)
        except (OSError, http.client.HTTPException) as error:
            raise _lost(error) from error

    def _asked(self, connection: http.client.HTTPConnection, target: str) -> Answer:
        try:
            connection.request("GET", target, headers=_OURS)
            response = connection.getresponse()
            spoken = response.headers.get("Api-Version", "")
            answer = Answer(response.status, response.read(), spoken)
        except BaseException:
            connection.close()
            raise
        with self._guard:
            self._idle.append(connection)
        return answer

    @contextlib.contextmanager
    def upgraded(self, path: str) -> Iterator[Upgraded]:
        """As an Api."""
        connection = _connection(self._address, _UPGRADE_SECONDS)
        try:
            try:
                connection.request("POST", path, headers={**_OURS, **_UPGRADE})
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                raise _lost(error) from error
            # The engine speaks at once: what it said may be in this reader's buffer already.
            yield Upgraded(response.status, response.fp, connection.sock)
            response.close()
        finally:
            connection.close()

    def close(self) -> None:
        """As an Api."""
        with self._guard:
            for connection in self._idle:
                connection.close()
            self._idle = []


class Library:
    """An engine that docker's library reaches: by ssh, TLS or a proxy, or with a client that is given."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._api = client.api

    @property
    def is_unix(self) -> bool:
        """As an Api."""
        address = str(self._api.base_url)
        return address.startswith("http+docker://") and address != "http+docker://ssh"

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        """As an Api."""
        answer = self._api.get(
            f"{self._api.base_url}{path}", params=query, timeout=self._api.timeout
        )
        spoken = answer.headers.get("Api-Version", "")
        return Answer(answer.status_code, answer.content, spoken)

    @contextlib.contextmanager
    def upgraded(self, path: str) -> Iterator[Upgraded]:
        """As an Api."""
        response = self._api.post(
            f"{self._api.base_url}{path}", headers=_UPGRADE, stream=True, timeout=_UPGRADE_SECONDS
        )
        try:
            source = sink = None
            if response.status_code == 101:
                sink = self._api._get_raw_response_socket(response)  # noqa: SLF001 - as docker's attach
                sink = getattr(sink, "_sock", sink)
                source = response.raw._fp.fp  # noqa: SLF001
            yield Upgraded(response.status_code, source, sink)
        finally:
            response.close()

    def close(self) -> None:
        """As an Api: the client's owner does."""


_OURS = {"User-Agent": "buildx-tasks"}


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _connection(address: Address, seconds: float) -> http.client.HTTPConnection:
    if isinstance(address, str):
        return _Unix(address, seconds)
    return http.client.HTTPConnection(*address, timeout=seconds)


def _lost(error: Exception) -> Exception:
    return faults.late(str(error)) if isinstance(error, TimeoutError) else faults.lost(str(error))
