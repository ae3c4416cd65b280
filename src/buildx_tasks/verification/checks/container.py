"""What ``run`` and ``service`` share: how a container is started as declared, is read, and is kept."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import os
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Callable

from buildx_tasks import sizes
from buildx_tasks.engine.refusals import RefusedError
from buildx_tasks.text import printable
from buildx_tasks.verification import containers
from buildx_tasks.verification.checks.output import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from buildx_tasks.language.expectations import Container, Mount
    from buildx_tasks.platforms import Platform
    from buildx_tasks.verification.check import Found, Subject

MOST_OUTPUT = 1_000_000  # bytes kept of each stream; a flood must not fill the memory

_FOREIGN = "exec format error"
_LAST_LINES = 3
_OVER_SSH = (
    "verify cannot keep time-outs over ssh://; forward the socket: "
    "ssh -NL /tmp/docker.sock:/var/run/docker.sock HOST, "
    "and set DOCKER_HOST=unix:///tmp/docker.sock"
)


def require_timeouts(subject: Subject) -> None:
    """Refuse a connection that knows no time-outs, so that what hangs would hang for ever.

    Raises:
        RefusedError: it is docker's own one through ssh.

    """
    if _base_url(subject) == "http+docker://ssh":  # docker's own name for any of them
        raise RefusedError(_OVER_SSH)


@contextlib.contextmanager
def created(subject: Subject, spec: Container, **more: Any) -> Iterator[Any]:
    """Create a container as ``spec`` declares, not started; it is gone afterwards unless it is kept.

    ``more`` are settings of the session's ``created`` that count more.

    Raises:
        RefusedError: the engine refuses it, or what it is to mount is not there.

    """
    settings = {**_settings(subject, spec), **more}
    with subject.session.created(subject, spec.args or None, **settings) as container:
        yield container


def _settings(subject: Subject, spec: Container) -> dict[str, Any]:
    from docker.types import LogConfig, Mount

    settings: dict[str, Any] = {
        "entrypoint": _entrypoint(spec),
        "environment": spec.env,
        "user": spec.user,
        "working_dir": spec.workdir,
        "network_mode": spec.network,
        "mounts": [
            Mount(m.target, str(_seen(subject, m)), type="bind", read_only=m.readonly)
            for m in spec.mounts
        ],
        # Output is read as it comes; a log on disk could grow without bound.
        "log_config": LogConfig(type="none"),
    }
    if spec.memory is not None:
        most = sizes.parse(spec.memory)
        settings.update(mem_limit=most, memswap_limit=most)
    if spec.cpus is not None:
        settings["nano_cpus"] = round(spec.cpus * 1e9)
    return settings


def _entrypoint(spec: Container) -> list[str] | None:
    # As docker run has it: an empty one takes away the image's, and its CMD with it.
    return (spec.entrypoint or [""]) if spec.entrypoint is not None else None


def _seen(subject: Subject, mount: Mount) -> Path:
    if not _sees_project(subject):
        raise RefusedError(
            f"mount {quoted(mount.source)} is not on the engine's machine, which is another one; "
            "run verify there, or leave out what mounts with only or skip"
        )
    return source(subject.root, mount)


def _sees_project(subject: Subject) -> bool:
    """Say whether the engine can mount this machine's files: it is here, or shares them."""
    if not _base_url(subject).startswith("http+docker://"):
        return False
    # A socket may lead to another machine, or to Docker Desktop's, which has the files of this one.
    session = subject.session
    return (
        sys.platform != "linux"
        or session.is_local
        or session.client.info().get("OperatingSystem") == "Docker Desktop"
    )


def _base_url(subject: Subject) -> str:
    return str(subject.session.client.api.base_url)


def source(root: Path, mount: Mount) -> Path:
    """Return the file or folder that is mounted: links followed, and below the project's folder.

    Raises:
        RefusedError: it is not there, cannot be reached, or is elsewhere.

    """
    base = root.resolve()
    what = f"mount {quoted(mount.source)}"
    try:
        path = (base / mount.source).resolve()
        if path != base and base not in path.parents:
            raise RefusedError(
                f"{what} leads out of the project's folder, "
                f"to {quoted(str(path))}; copy what it needs into the project"
            )
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise RefusedError(
            f"{what} is not in the project's folder {quoted(str(base))}; "
            "make it, or correct the path"
        ) from None
    except (OSError, RuntimeError) as error:
        # Links in a circle are a RuntimeError before Python 3.13.
        reason = getattr(error, "strerror", None) or os.strerror(errno.ELOOP)
        raise RefusedError(f"{what} cannot be read: {reason}; correct it") from None
    return path


def arguments(image: str, platform: Platform, root: Path, spec: Container, *more: str) -> list[str]:
    """Return the ``docker run`` command that starts a container as :func:`created` does.

    ``more`` are options put before the image; ``--network`` is among them.
    """
    argv = ["docker", "run", "--rm", "--pull", "never", "--platform", str(platform), *more]
    entrypoint = _entrypoint(spec)
    if entrypoint:
        argv += ["--entrypoint", entrypoint[0]]
    for name, value in spec.env.items():
        argv += ["--env", f"{name}={value}"]
    if spec.user is not None:
        argv += ["--user", spec.user]
    if spec.workdir is not None:
        argv += ["--workdir", spec.workdir]
    for mount in spec.mounts:
        argv += ["--mount", _as_csv(root.resolve() / mount.source, mount)]
    if spec.memory is not None:
        most = str(sizes.parse(spec.memory))
        argv += ["--memory", most, "--memory-swap", most]
    if spec.cpus is not None:
        argv += ["--cpus", f"{spec.cpus:.9f}".rstrip("0").rstrip(".")]
    return [*argv, image, *(entrypoint or [])[1:], *spec.args]


def _as_csv(source: Path, mount: Mount) -> str:
    fields = ["type=bind", f"source={source}", f"target={mount.target}"]
    if mount.readonly:
        fields.append("readonly")
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()


class Output:
    """What a container prints, read from its start on in a thread of its own.

    The first MOST_OUTPUT bytes of each stream are kept. ``overflown`` names the stream that had more;
    then ``flood`` was called, once, in another thread: the engine ends a container only once its
    output is taken off.
    """

    def __init__(self, container: Any, flood: Callable[[], object] | None = None) -> None:
        self.overflown = ""
        self._flood = flood
        self._flooded: threading.Thread | None = None
        self._kept = {1: bytearray(), 2: bytearray()}
        self._attachment = _Attachment(container, stdout=1, stderr=1)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def ended(self) -> bool:
        """Whether nothing more comes: the container has ended, has closed both, or the engine has."""
        return not self._reader.is_alive()

    def close(self, seconds: float = 10) -> tuple[str, str]:
        """Return standard output and error, once they end (or after ``seconds``)."""
        self._reader.join(seconds)
        self._attachment.hang_up()
        self._reader.join()
        self._attachment.close()
        if self._flooded:
            self._flooded.join()
        stdout, stderr = (kept.decode("utf-8", errors="replace") for kept in self._kept.values())
        return stdout, stderr

    def _read(self) -> None:
        from docker.utils.socket import frames_iter

        # What a dying engine does to the connection is found by who asks for the container's end.
        with contextlib.suppress(OSError):
            for stream, piece in frames_iter(self._attachment.stream, tty=False):
                kept = self._kept[stream]
                room = MOST_OUTPUT - len(kept)
                kept += piece[:room]
                if len(piece) > room and not self.overflown:
                    self.overflown = ("stdout", "stderr")[stream - 1]
                    if self._flood:
                        self._flooded = threading.Thread(target=self._stop, daemon=True)
                        self._flooded.start()

    def _stop(self) -> None:
        from docker.errors import APIError
        from requests.exceptions import RequestException

        # Who waits for the container's end finds what is wrong with the engine.
        with contextlib.suppress(APIError, RequestException):
            if self._flood:
                self._flood()


class Input:
    """Writes a text to a container's standard input, and ends it, in a thread of its own."""

    def __init__(self, container: Any, text: str) -> None:
        # A connection of its own, whose end is the input's: not all transports can be half-closed.
        self._attachment = _Attachment(container, stdin=1)
        self._writer = threading.Thread(target=self._write, args=(text.encode(),), daemon=True)

    def start(self) -> None:
        """Begin to write: once the container was started."""
        self._writer.start()

    def close(self) -> None:
        """Stop writing: nobody reads it any more."""
        self._attachment.hang_up()
        if self._writer.ident:
            self._writer.join()
        self._attachment.close()

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # it ended without reading it all
            self._attachment.socket.sendall(data)
        self._attachment.hang_up()


class _Attachment:
    """A connection to some of a container's streams: ``socket``, and what docker wraps it in."""

    def __init__(self, container: Any, **streams: int) -> None:
        self.stream = container.attach_socket(params={**streams, "stream": 1})
        self.socket = getattr(self.stream, "_sock", self.stream)
        # That of a request; a program may be silent, or not read, for longer.
        self.socket.settimeout(None)

    def hang_up(self) -> None:
        """End it, for both sides: wakes who reads or writes."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give back what it holds; nobody may read or write any more."""
        self.stream._response.close()  # noqa: SLF001 - docker gives no other hold of the connection
        self.stream.close()


def kill(container: Any, number: str = "SIGKILL") -> bool:
    """Send a signal; False where the container has ended by itself or is gone."""
    from docker.errors import APIError

    try:
        container.kill(number)
    except APIError as error:
        if error.status_code not in (404, 409):
            raise
        return False
    return True


def exit_code_of(container: Any, began: float, seconds: float) -> int | None:
    """Wait for the container's end, ``seconds`` from ``began`` (monotonic); None if it still runs."""
    from requests.exceptions import ConnectionError as Unfinished
    from requests.exceptions import Timeout

    end = began + seconds
    try:
        code = int(container.wait(timeout=max(0.001, end - time.monotonic()))["StatusCode"])
    except (Timeout, Unfinished):
        # requests tells a read time-out in either way; before the time it is the engine's fault.
        if time.monotonic() < end - 0.05:
            raise
        return None
    containers.ended(container)
    return code


def why(container: Any, exit_code: int, spec: Container, *streams: str) -> str:
    """Return what explains an exit code, in brackets: signal, want of memory, last line printed."""
    reasons = []
    if exit_code > 128 and exit_code - 128 in set(signal.Signals):
        reasons.append(signal.Signals(exit_code - 128).name)
    killed = out_of_memory(container)
    # The engine misses some (a fifth, measured with Engine 28 on cgroup v1): then it is a guess.
    if killed or (exit_code == 128 + signal.SIGKILL and spec.memory is not None):
        limit = (
            f"more than {sizes.text(sizes.parse(spec.memory))}" if spec.memory else "all there is"
        )
        likely = "" if killed else "likely "
        reasons.append(f"{likely}killed because it wanted {limit} of memory")
    printed = next((lines for text in streams if (lines := text.strip().splitlines())), [])
    if printed:
        last = printed[-1].strip()
        reasons.append(printable(last) if len(last) <= 300 else quoted(last))
    return f" ({'; '.join(reasons)})" if reasons else ""


def out_of_memory(container: Any) -> bool:
    """Say whether the kernel is known to have killed one of its processes for want of memory."""
    container.reload()
    return bool(container.attrs["State"]["OOMKilled"])


def last_lines(*streams: str) -> str:
    """Return the end of what was printed, as in ``; it printed "a", "b"``; empty if nothing was."""
    lines = [line for text in streams for line in text.strip().splitlines()[-_LAST_LINES:]]
    return f"; it printed {', '.join(map(quoted, lines))}" if lines else ""


def with_hint(platform: Platform, found: Found) -> Found:
    """Add to problems what is likely wrong where the kernel could not run the program."""
    if found.problems and any(_FOREIGN in text for text in (*found.problems, found.stderr)):
        hint = f"no emulator for {platform}, or no binary for it; see invoke doctor"
        return found._replace(problems=(*found.problems, hint))
    return found


def kept(subject: Subject, container: Any, found: Found) -> Found:
    """Return what was found; where it failed and the session keeps such containers, it stays."""
    if not (found.problems and subject.session.keep and subject.keep):
        return found
    name = containers.keep(container)
    has_shell = _has(container, "/bin/sh")
    if container.status == "running":
        enter = f"docker exec -it {name} sh" if has_shell else f"docker export {name} | tar -tv"
    elif has_shell:
        # A name that is swept as little: the image has the container's labels.
        enter = (
            f"docker run -it --rm --name {name}-sh --platform {subject.platform} "
            f"--entrypoint sh $(docker commit {name})"
        )
    else:
        enter = f"docker start -ai {name}"
    return found._replace(enter=enter)


def _has(container: Any, path: str) -> bool:
    api = container.client.api
    url = f"{api.base_url}/v{api.api_version}/containers/{container.id}/archive"
    return bool(api.head(url, params={"path": path}).status_code == 200)
