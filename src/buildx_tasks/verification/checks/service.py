"""``service``: a container is started, answers, is told to stop, and ends cleanly.

On Linux a service is asked at the container's own address, where the engine is this machine's. Any
other engine publishes its port, which takes ``network = "default"``.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import string
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit

from buildx_tasks.engine.faults import RefusedError
from buildx_tasks.text import printable
from buildx_tasks.verification import containers
from buildx_tasks.verification.check import Found
from buildx_tasks.verification.checks import container, output
from buildx_tasks.verification.checks.streams import MOST_OUTPUT, Output

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from buildx_tasks.language.expectations import Http, Service
    from buildx_tasks.platforms import Platform
    from buildx_tasks.verification.check import Subject

_PAUSE = 0.1  # seconds between two questions
_MOST_SECONDS = 10.0  # for one answer; then it is asked again
_SOONER = 0.3  # seconds in which an engine's proxy closes what it cannot pass on


class _Way(NamedTuple):
    """How a service is reached: ``host`` "" is the container's own address.

    ``through_proxy``: the port is published at ``host``, and the engine accepts connections to it
    though nothing listens behind.
    """

    settings: dict[str, Any]
    host: str = ""
    through_proxy: bool = False


def check(subject: Subject, spec: Service) -> Found:
    """Start the subject's image as ``spec`` declares, ask it, and stop it.

    Raises:
        faults.api_errors: the engine fails.
        faults.lost_connections: the engine cannot be reached.

    """
    try:
        container.require_timeouts(subject)
        with _way(subject, spec) as way:
            more = {**way.settings, "stop_signal": spec.stop_signal}
            with container.created(subject, spec, **more) as box:
                found = container.with_hint(subject, box, _serve(box, spec, way))
                return container.kept(subject, box, found)
    except RefusedError as refused:
        return Found((str(refused),))


class Answering:
    """A service that answers at ``host`` and ``port``."""

    def __init__(self, box: Any, spec: Service, read: Output, address: tuple[str, int]) -> None:
        self._box = box
        self._spec = spec
        self._read = read
        self.host, self.port = address
        self.expected = spec.exit_code

    def stop(self) -> Found:
        """Tell it to stop, and return what is wrong with how it ends, and all that it printed.

        Raises:
            faults.api_errors: the engine fails.
            faults.lost_connections: the engine cannot be reached.

        """
        return _stopped(self._box, self._spec, self._read)


@contextlib.contextmanager
def answering(subject: Subject, spec: Service) -> Iterator[Answering]:
    """Start the subject's image as ``spec`` declares; give it once it answers. It is gone afterwards.

    Raises:
        RefusedError: it cannot be started, ends, or does not answer in time; says why.
        faults.api_errors: the engine fails.
        faults.lost_connections: the engine cannot be reached.

    """
    container.require_timeouts(subject)
    with _way(subject, spec) as way:
        more = {**way.settings, "stop_signal": spec.stop_signal}
        with container.created(subject, spec, **more) as box:
            read = Output(box)
            try:
                problems = _begun(box, spec, read, way)
                address = _address(box, spec, way)
                if problems or address is None:
                    found = container.with_hint(subject, box, Found(problems))
                    raise RefusedError("; ".join(found.problems))
                yield Answering(box, spec, read, address)
            finally:
                read.close(0)


def _begun(box: Any, spec: Service, read: Output, way: _Way) -> tuple[str, ...]:
    """Start it; return what is wrong until it answers."""
    try:
        containers.start(box)
    except RefusedError as refused:
        return (str(refused),)
    late = _asked(box, spec, way, read, time.monotonic())
    if late is None:
        return _ended(box, spec, read, f"before it answered on port {spec.port}").problems
    return (*late[:-1], late[-1] + container.last_lines(*read.close(0))) if late else ()


def command(image: str, platform: Platform, root: Path, spec: Service) -> list[str]:
    """Return the command that a person can type to run the service, its port on 127.0.0.1.

    A network without a way out has no published ports, so that it is the engine's default one.
    """
    more = ["--publish", f"127.0.0.1:{spec.port}:{spec.port}"]
    if spec.network == "host":
        more = ["--network", "host"]
    if spec.stop_signal is not None:
        more += ["--stop-signal", spec.stop_signal]
    return container.arguments(image, platform, root, spec, *more)


@contextlib.contextmanager
def _way(subject: Subject, spec: Service) -> Iterator[_Way]:
    is_here = subject.engine.is_local
    if is_here and spec.network == "host":
        # Services that share the machine's ports take turns.
        with subject.session.host_ports:
            if _connection("127.0.0.1", spec.port, 1) == "":
                raise RefusedError(
                    f"something else listens on port {spec.port} of this machine, "
                    'which network = "host" shares; stop it, or leave network out'
                )
            yield _Way({}, "127.0.0.1")
    elif is_here and spec.network == "none":
        yield _Way({"network_mode": subject.session.network().name})
    elif is_here:
        yield _Way({})
    elif spec.network != "default":
        raise RefusedError(
            f'cannot be asked: the engine is not on this machine, and network is "{spec.network}"; '
            'write network = "default", or run verify on its machine'
        )
    else:
        # A socket is Docker Desktop's, which publishes on this machine; tcp names the engine's.
        base = container.address_of(subject)
        host = urlsplit(base).hostname if base.startswith(("http:", "https:")) else None
        bound = "" if host else "127.0.0.1"
        settings = {
            "ports": [(spec.port, "tcp")],
            "port_bindings": {f"{spec.port}/tcp": (bound, None)},
        }
        yield _Way(settings, host or "127.0.0.1", through_proxy=True)


def _serve(box: Any, spec: Service, way: _Way) -> Found:
    read = Output(box)
    try:
        containers.start(box)
        began = time.monotonic()
        late = _asked(box, spec, way, read, began)
        if late is None:
            return _ended(box, spec, read, f"before it answered on port {spec.port}")
        if late:
            return Found(late, (), *read.close(0))
        answered = f"answered after {time.monotonic() - began:.1f} s"
        found = _stopped(box, spec, read)
        return found._replace(facts=(answered, *found.facts))
    except RefusedError as refused:
        return Found((str(refused),))
    finally:
        read.close(0)


def _asked(
    box: Any, spec: Service, way: _Way, read: Output, began: float
) -> tuple[str, ...] | None:
    """Ask until the service answers as expected, or its time is over; return what is wrong then.

    None: it has ended.
    """
    end = began + spec.ready_within
    answer: list[str] = []
    while True:
        left = end - time.monotonic()
        if left <= 0:
            what = f"not ready within {spec.ready_within:g} s"
            return tuple(f"{what}: {problem}" for problem in answer or ["it has no address"])
        if read.ended or not box.attrs["State"].get("Running"):
            box.reload()
            if box.status == "exited":
                return None
        address = _address(box, spec, way)
        if address:
            last = _answer(*address, spec, min(left, _MOST_SECONDS), way)
            if not last:
                return ()
            # One that the end of the time cut short says less than the one before.
            if not answer or time.monotonic() < end:
                answer = last
        time.sleep(min(_PAUSE, max(0.0, end - time.monotonic())))


def _stopped(box: Any, spec: Service, read: Output) -> Found:
    """Tell the service to stop, and see how it ends."""
    number = box.attrs["Config"].get("StopSignal") or "SIGTERM"
    began = time.monotonic()
    if not container.kill(box, number):
        return _ended(box, spec, read, f"before it got {number}")
    exit_code = container.exit_code_of(box, began, spec.stop_within)
    if exit_code is None:
        container.kill(box)
        problem = (
            f"still running {spec.stop_within:g} s after {number}; it was killed "
            "(a container's first program gets only the signals that it handles)"
        )
        return Found((problem,), (), *read.close())
    facts = (f"stopped in {time.monotonic() - began:.1f} s",)
    stdout, stderr = read.close()
    if exit_code == spec.exit_code:
        return Found((), facts, stdout, stderr)
    reason = container.why(box, exit_code, spec, stderr, stdout)
    problem = f"exit code after {number}: expected {spec.exit_code}, got {exit_code}{reason}"
    return Found((problem,), facts, stdout, stderr)


def _ended(box: Any, spec: Service, read: Output, when: str) -> Found:
    stdout, stderr = read.close()
    box.reload()
    exit_code = box.attrs["State"]["ExitCode"]
    reason = container.why(box, exit_code, spec) + container.last_lines(stderr, stdout)
    return Found((f"ended with exit code {exit_code} {when}{reason}",), (), stdout, stderr)


def _address(box: Any, spec: Service, way: _Way) -> tuple[str, int] | None:
    network = box.attrs["NetworkSettings"]
    if way.through_proxy:
        published = network["Ports"].get(f"{spec.port}/tcp")
        return (way.host, int(published[0]["HostPort"])) if published else None
    if way.host:
        return way.host, spec.port
    own = (entry["IPAddress"] for entry in network["Networks"].values())
    return next(((address, spec.port) for address in own if address), None)


def _answer(host: str, port: int, spec: Service, seconds: float, way: _Way) -> list[str]:
    if spec.http:
        return _http(host, port, spec.http, seconds)
    refused = _connection(host, port, seconds, through_proxy=way.through_proxy)
    return [f"port {spec.port}: {refused}"] if refused else []


def _connection(host: str, port: int, seconds: float, *, through_proxy: bool = False) -> str:
    """Return why nothing answers at the port; ``""`` if something does."""
    try:
        with socket.create_connection((host, port), timeout=seconds) as connection:
            if through_proxy:
                connection.settimeout(_SOONER)
                if connection.recv(1) == b"":
                    return "nothing listens there"
    except socket.timeout:
        return "" if through_proxy else "no connection in time"
    except OSError as error:
        return _in_words(error)
    return ""


def _http(host: str, port: int, wanted: Http, seconds: float) -> list[str]:
    connection = http.client.HTTPConnection(host, port, timeout=seconds)
    what = f"GET {printable(wanted.path)}"
    # The time-out is of each piece only: a body that trickles in is cut off.
    timer = threading.Timer(seconds, _cut, args=(connection,))
    timer.daemon = True
    timer.start()
    end = time.monotonic() + seconds
    try:
        connection.request("GET", quote(wanted.path, safe=string.punctuation))
        response = connection.getresponse()
        body = response.read(MOST_OUTPUT).decode("utf-8", errors="replace")
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, socket.timeout) or time.monotonic() >= end:
            return [f"{what}: no whole answer in {seconds:.1f} s"]
        return [f"{what}: {_in_words(error)}"]
    finally:
        timer.cancel()
        connection.close()
    if response.status != wanted.status:
        got = f"{response.status} with {output.quoted(body.rstrip())}" if body else response.status
        return [f"{what}: expected status {wanted.status}, got {got}"]
    return output.problems(f"body of {what}", wanted.body, body)


def _cut(connection: http.client.HTTPConnection) -> None:
    with contextlib.suppress(OSError, AttributeError):  # not connected, or closed meanwhile
        connection.sock.shutdown(socket.SHUT_RDWR)


def _in_words(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there (127.0.0.1 inside the container is not enough)"
    if isinstance(error, http.client.HTTPException) and not isinstance(error, OSError):
        return f"no HTTP answer: {type(error).__name__} {printable(str(error))}".rstrip()
    return printable(getattr(error, "strerror", None) or str(error)).lower()
