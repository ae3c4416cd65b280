"""Containers as docker's library has them: how they are created, their streams, their files."""

from __future__ import annotations

import contextlib
import io
import socket
import tarfile
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import docker

_MOST_LINKS = 40  # the kernel's own limit: man 7 path_resolution
_HEADERS = 16384  # bytes of a tar archive before a file's content, and more
_CREATE_SECONDS = 1800  # for one container: a big image is unpacked for it, on a busy disk


def patient_api(client: docker.DockerClient) -> Any:
    """Return a view of the client's API, with the same connections, that waits long for an answer."""
    api = client.api
    view = object.__new__(type(api))
    vars(view).update(vars(api), timeout=_CREATE_SECONDS)
    return view


def bind_mount(source: str, target: str, *, readonly: bool) -> Any:
    """Return the setting that shows a file or folder of the engine's machine in a container."""
    from docker.types import Mount

    return Mount(target, source, type="bind", read_only=readonly)


def no_log() -> Any:
    """Return the setting that keeps the engine from writing down what a container prints."""
    from docker.types import LogConfig

    return LogConfig(type="none")


def has_path(container: Any, path: str) -> bool:
    """Say whether something is at a path in a container, running or not."""
    api = container.client.api
    url = f"{api.base_url}/v{api.api_version}/containers/{container.id}/archive"
    return bool(api.head(url, params={"path": path}).status_code == 200)


def is_executable(container: Any, path: str) -> bool:
    """Say whether a file in a container may be run by anybody, links followed; so is what is not known.

    Raises:
        faults.api_errors: the engine fails.

    """
    for _ in range(_MOST_LINKS):
        chunks, facts = _archive(container, path)
        if chunks is None:
            break
        chunks.close()
        if not facts.get("linkTarget"):
            return bool(facts.get("mode", 0o111) & 0o111)
        path = facts["linkTarget"]
    return True


def read_file(container: Any, path: str, most: int) -> bytes | None:
    """Return the first bytes of the file at a path in a container; None where no file is.

    Raises:
        faults.api_errors: the engine fails.

    """
    for _ in range(_MOST_LINKS):
        chunks, facts = _archive(container, path)
        if chunks is None:
            break
        if not facts.get("linkTarget"):
            return _first_file(chunks, most)
        chunks.close()
        path = facts["linkTarget"]
    return None


@contextlib.contextmanager
def members(container: Any, path: str) -> Iterator[Iterator[tuple[tarfile.TarInfo, Any]] | None]:
    """Give what is at a path in a container, running or not, with all that is in it; None for nothing.

    Of each, its header and what reads its content, which is gone when the next one is asked for. A
    link at the very end is not followed.

    Raises:
        faults.api_errors: the engine fails.

    """
    chunks, _ = _archive(container, path)
    if chunks is None:
        yield None
        return
    file: Any = Chunks(chunks)
    with contextlib.closing(file), tarfile.open(fileobj=file, mode="r|") as archive:
        yield ((info, archive.extractfile(info) if info.isreg() else None) for info in archive)


def link_target(container: Any, path: str) -> str | None:
    """Return where a link at a path of a container leads, ``""`` for no link; None for nothing there.

    Raises:
        faults.api_errors: the engine fails.

    """
    chunks, facts = _archive(container, path)
    if chunks is None:
        return None
    chunks.close()
    return str(facts.get("linkTarget") or "")


def _archive(container: Any, path: str) -> tuple[Any, dict[str, Any]]:
    """Return what is at a path of a container, and the facts about it; None and none for nothing."""
    from docker.errors import NotFound

    try:
        chunks, facts = container.get_archive(path)
    except NotFound:
        return None, {}
    return chunks, facts


class Exec:
    """A command in a running container, whose output is taken off by a thread of its own."""

    def __init__(self, container: Any, command: Sequence[str], most: int) -> None:
        self._api = patient_api(container.client)  # a command may be silent for long
        self._id = self._api.exec_create(container.id, list(command))["Id"]
        self._most = most
        self._kept = bytearray(), bytearray()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def ended(self, seconds: float) -> tuple[int, bytes, bytes] | None:
        """Return exit code, output and errors (``most`` bytes of each); None where it still runs.

        Raises:
            faults.api_errors: the engine fails.

        """
        self._thread.join(seconds)
        facts = self._api.exec_inspect(self._id)
        if self._thread.is_alive() or facts["Running"]:
            return None
        return int(facts["ExitCode"] or 0), bytes(self._kept[0]), bytes(self._kept[1])

    def _read(self) -> None:
        from docker.errors import APIError

        # What is wrong with the engine is found by who asks for the end.
        with contextlib.suppress(OSError, APIError):
            for pieces in self._api.exec_start(self._id, stream=True, demux=True):
                for kept, piece in zip(self._kept, pieces):
                    kept.extend((piece or b"")[: self._most - len(kept)])


class Chunks:
    """What the engine sends, piece by piece, as the file that tarfile reads."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._buffer = bytearray()

    def read(self, size: int) -> bytes:
        """Return so many bytes; fewer at the end."""
        while len(self._buffer) < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._buffer += chunk
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def close(self) -> None:
        """Let the engine send no more."""
        close: Any = getattr(self._chunks, "close", None)
        if close:
            close()


def _first_file(chunks: Any, most: int) -> bytes | None:
    data = b""
    with contextlib.closing(chunks):
        for chunk in chunks:
            data += chunk
            if len(data) > most + _HEADERS:
                break
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        info = archive.next()
        file = archive.extractfile(info) if info and info.isfile() else None
        return file.read(most) if file else None


class Attachment:
    """A connection to some of a container's streams, as in ``stdout=1, stderr=1``."""

    def __init__(self, container: Any, **streams: int) -> None:
        self._stream = container.attach_socket(params={**streams, "stream": 1})
        self._socket = getattr(self._stream, "_sock", self._stream)
        # That of a request; a program may be silent, or not read, for longer.
        self._socket.settimeout(None)

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """Give what the container prints as it comes, each with its stream: 1 or 2.

        Raises:
            OSError: the connection broke.

        """
        from docker.utils.socket import frames_iter

        pieces: Iterator[tuple[int, bytes]] = frames_iter(self._stream, tty=False)
        return pieces

    def send(self, data: bytes) -> None:
        """Write to the container's standard input.

        Raises:
            OSError: nobody reads it any more.

        """
        self._socket.sendall(data)

    def hang_up(self) -> None:
        """End it, for both sides: wakes who reads or writes."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give back what it holds; nobody may read or write any more."""
        self._stream._response.close()  # noqa: SLF001 - docker gives no other hold of the connection
        self._stream.close()
