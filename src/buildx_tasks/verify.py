"""Run every cell and compare it with what ``[target.NAME.verify]`` expects."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from buildx_tasks import platforms
from buildx_tasks.emulators import engine_platform
from buildx_tasks.errors import EngineError, RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import docker

    from buildx_tasks.config import Verify
    from buildx_tasks.images import Image
    from buildx_tasks.plan import Cell, TargetPlan

LABEL = "dev.buildx-tasks.session"  # every container of ours carries it, so that none stays behind

_MOST_OUTPUT = 1_000_000  # bytes kept of a cell's output; a runaway cell must not fill the memory
_EMULATOR_MISSING = "exec format error"


class CellResult(NamedTuple):
    """One verified cell; ``problems`` is empty unless ``status`` is FAIL, seconds are wall time."""

    cell: Cell
    status: Literal["ok", "FAIL", "unchecked"]
    digest: str
    seconds: float
    problems: tuple[str, ...] = ()
    stdout: str = ""
    stderr: str = ""


class _Ended(NamedTuple):
    exit_code: int | None  # None: still running when its time was over
    stdout: str
    stderr: str
    overflown: bool = False


def fill_in(text: str, cell: Cell) -> str:
    """Replace ``{platform}``, ``{os}``, ``{arch}``, ``{variant}`` and ``{target}``."""
    values = {
        "platform": str(cell.platform),
        "os": cell.platform.os,
        "arch": cell.platform.architecture,
        "variant": cell.platform.variant,
        "target": cell.target,
    }
    # Not str.format: other braces, as in JSON, stay as they are.
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def compare(expected: Verify, cell: Cell, ended: _Ended) -> tuple[str, ...]:
    """Return what is wrong with how a cell ended, each in one line or with its output below."""
    if ended.overflown:
        return (f"printed more than {_MOST_OUTPUT:,} bytes; it was stopped",)
    if ended.exit_code is None:
        return (f"still running after {expected.timeout:g} s; it was stopped",)
    problems = []
    if ended.exit_code != expected.exit_code:
        problem = f"exit code: expected {expected.exit_code}, got {ended.exit_code}"
        last = (ended.stderr.strip() or ended.stdout.strip()).splitlines()[-1:]
        problems.append(problem + (f" ({last[0]})" if last else ""))
    if expected.stdout is not None:
        wanted = fill_in(expected.stdout, cell).rstrip("\n")
        got = ended.stdout.rstrip("\n")
        if wanted != got:
            problems.append(f"stdout: expected {_quoted(wanted)}, got {_quoted(got)}")
    return tuple(problems)


def _quoted(text: str) -> str:
    shown = text if len(text) <= 300 else f"{text[:300]}… ({len(text)} characters)"
    # Control characters would act on the terminal that the table is read on.
    return '"' + "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown) + '"'


def docker_run_command(image: str, cell: Cell, expected: Verify) -> list[str]:
    """Return the command that a person can type to run a cell as verify does."""
    arguments = [fill_in(argument, cell) for argument in expected.args]
    return [
        *("docker", "run", "--rm", "--pull", "never", "--network", "none"),
        *("--platform", str(cell.platform), image, *arguments),
    ]


def verify(
    client: docker.DockerClient,
    targets: Sequence[TargetPlan],
    done: Callable[[CellResult], None],
    locate: Callable[[TargetPlan], Image],
) -> list[CellResult]:
    """Run all cells of the targets, in parallel, from exactly the digests that were built.

    ``done`` is called with each result as it comes, ``locate`` gives each target's image.
    Containers are removed whatever happens.

    Raises:
        EngineError: an image is not built, or the engine fails.

    """
    found = [(target, locate(target)) for target in targets]
    native = engine_platform(client)
    cells = [(target, image, cell) for target, image in found for cell in target.cells]
    # Emulated cells take longest: started first, they do not end last.
    cells.sort(key=lambda item: platforms.runs_natively(item[2].platform, native))
    session = uuid.uuid4().hex
    # SIGTERM ends a task as Ctrl-C does, so that its containers are removed all the same.
    previous = signal.signal(signal.SIGTERM, _terminate)
    try:
        with ThreadPoolExecutor(max_workers=2 * (os.cpu_count() or 1)) as pool:
            try:
                pending = [pool.submit(_verify_cell, client, session, *item) for item in cells]
                by_cell = {}
                for future in pending:
                    result = future.result()
                    done(result)
                    by_cell[result.cell] = result
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                _sweep(client, session)
                raise
    finally:
        _sweep(client, session)
        signal.signal(signal.SIGTERM, previous)
    return [by_cell[cell] for target, _ in found for cell in target.cells]


def _terminate(_number: int, _frame: object) -> None:
    raise RunError("terminated; the containers are removed", 128 + signal.SIGTERM)


def _sweep(client: docker.DockerClient, session: str) -> None:
    from docker.errors import APIError

    for container in client.containers.list(all=True, filters={"label": f"{LABEL}={session}"}):
        try:
            container.remove(force=True, v=True)
        except APIError as error:
            if error.status_code not in (404, 409):  # gone, or going
                raise


def _verify_cell(
    client: docker.DockerClient, session: str, target: TargetPlan, image: Image, cell: Cell
) -> CellResult:
    from docker.errors import APIError
    from requests.exceptions import RequestException

    expected = target.spec.verify
    digest = image.manifests.get(cell.platform, "")
    if not digest:
        problem = f"{image.reference} has no {cell.platform}; run invoke build -t {target.name}"
        return CellResult(cell, "FAIL", "", 0.0, (problem,))
    if expected is None:
        return CellResult(cell, "unchecked", digest, 0.0)
    started = time.monotonic()
    try:
        ended = _run(client, session, image, cell, expected)
        problems = compare(expected, cell, ended)
    except APIError as error:
        ended = _Ended(None, "", "")
        problems = (str(error.explanation or error),)
    except RequestException as error:
        raise EngineError(f"the engine went away while {cell} ran: {error}") from None
    seconds = time.monotonic() - started
    if any(_EMULATOR_MISSING in text for text in (*problems, ended.stderr, ended.stdout)):
        hint = f"no emulator for {cell.platform}, or no binary for it; see invoke doctor"
        problems = (*problems, hint)
    status: Literal["ok", "FAIL"] = "FAIL" if problems else "ok"
    return CellResult(cell, status, digest, seconds, problems, ended.stdout, ended.stderr)


def _run(
    client: docker.DockerClient, session: str, image: Image, cell: Cell, expected: Verify
) -> _Ended:
    from docker.types import LogConfig
    from requests.exceptions import ConnectionError as Unfinished
    from requests.exceptions import Timeout

    container = client.containers.create(
        image.runnable(cell.platform),
        [fill_in(argument, cell) for argument in expected.args] or None,
        platform=str(cell.platform),
        network_mode="none",
        labels={LABEL: session, "dev.buildx-tasks.cell": str(cell)},
        # Output is read as it comes; a log on disk could grow without bound.
        log_config=LogConfig(type="none"),
    )
    try:
        output = _Output(client, container)
        container.start()
        try:
            exit_code = container.wait(timeout=expected.timeout)["StatusCode"]
        except (Timeout, Unfinished):
            # requests tells a read time-out in either way; a dead engine fails the next call.
            _kill(container)
            exit_code = None
        return output.ended(exit_code)
    finally:
        container.remove(force=True, v=True)


def _kill(container: Any) -> None:
    from docker.errors import APIError

    with contextlib.suppress(APIError):  # it may end by itself just now
        container.kill()


class _Output:
    """Reads what a container prints from its start on, in a thread of its own."""

    def __init__(self, client: docker.DockerClient, container: Any) -> None:
        self._container = container
        self._kept = {1: bytearray(), 2: bytearray()}
        self._overflown = False
        parameters = {"stdout": 1, "stderr": 1, "stream": 1}
        self._socket = client.api.attach_socket(container.id, params=parameters)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        from docker.utils.socket import frames_iter

        for stream, piece in frames_iter(self._socket, tty=False):
            kept = self._kept[stream]
            room = _MOST_OUTPUT - len(kept)
            kept += piece[:room]
            if len(piece) > room and not self._overflown:
                self._overflown = True
                # Beside the reading: the engine ends a container only once its output is taken off.
                threading.Thread(target=_kill, args=(self._container,), daemon=True).start()

    def ended(self, exit_code: int | None) -> _Ended:
        self._reader.join()
        self._socket.close()
        stdout, stderr = (kept.decode("utf-8", errors="replace") for kept in self._kept.values())
        return _Ended(exit_code, stdout, stderr, overflown=self._overflown)
