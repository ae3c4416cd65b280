"""External commands, quoted in one place and run through invoke, so ``--dry`` and ``--echo`` work.

Commands that change something go through :func:`run`; questions that change nothing go through
:func:`query` and are really asked under ``--dry`` too, so that a dry run shows what is needed now.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Callable

import msgspec

from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from invoke import Context, Result
    from invoke.runners import Promise

_PAUSE = 0.1  # seconds between two looks at what is waited for
_ENDING_SECONDS = 5.0  # that a command has to end when it is told to


def is_dry(c: Context) -> bool:
    """Say whether this is ``invoke --dry``."""
    return bool(c.config.run.dry)


def run(
    c: Context, argv: Sequence[str], *, folder: Path, tty: bool = False, hide: bool = False
) -> Result:
    """Run a command in ``folder``; its output streams unless ``hide``. Never raises on failure.

    ``tty`` gives it a terminal (with the keyboard) where this process has one.
    """
    terminal = tty and sys.stdout.isatty() and sys.stdin.isatty()
    command = shlex.join(argv)
    if folder != Path.cwd():
        command = f"cd {shlex.quote(str(folder))} && {command}"
    options = _options(hide=hide)
    if not sys.stdout.isatty():
        # invoke prints commands in bold, which could not be pasted out of a log.
        options["echo_format"] = "{command}"
    if terminal:
        options.update(pty=True, in_stream=None)
        result: Result = c.run(command, **options)
        return result
    if not hide:
        options.update(out_stream=sys.stdout, err_stream=sys.stderr)
    return _piped(c, command, **options)


def run_while(
    c: Context, argv: Sequence[str], *, folder: Path, going_on: Callable[[], object]
) -> Result:
    """Run a command in ``folder``, hidden, for as long as ``going_on`` does not raise.

    Where it does, the command and all that it started are ended first. Never raises on failure.
    """
    from invoke.runners import Promise

    command = shlex.join(argv)
    if folder != Path.cwd():
        command = f"cd {shlex.quote(str(folder))} && {command}"
    started = _own_group(c).run(command, asynchronous=True, **_options(hide=True))
    if not isinstance(started, Promise):  # under --dry nothing is started
        result: Result = started
        return result
    process: subprocess.Popen[bytes] = vars(started.runner)["process"]
    try:
        while process.poll() is None:
            going_on()
            time.sleep(_PAUSE)
    except BaseException:
        _end_group(process)
        raise
    finally:
        ended = _joined(started)
    return ended


def _own_group(c: Context) -> Any:
    """Return a runner of invoke's whose command leads a process group: docker starts buildx beside it."""
    from invoke.runners import Local

    class OwnGroup(Local):
        def start(self, command: str, shell: str, env: dict[str, Any]) -> None:
            self.process = subprocess.Popen(
                [shell, "-c", command],
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )

    return OwnGroup(c)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_ENDING_SECONDS)


def query(c: Context, argv: Sequence[str]) -> Result:
    """Ask something that changes nothing; output is kept, not shown. Never raises on failure."""
    return _piped(c, shlex.join(argv), dry=False, **_options(hide=True))


def query_within(c: Context, argv: Sequence[str], seconds: int) -> Result | None:
    """Ask as :func:`query` does; None where there is no answer in time."""
    from invoke.exceptions import CommandTimedOut

    try:
        return _piped(c, shlex.join(argv), dry=False, timeout=seconds, **_options(hide=True))
    except CommandTimedOut:
        return None


def _piped(c: Context, command: str, **options: Any) -> Result:
    """Run through invoke, and close the process's pipes, which invoke leaves open until collected."""
    from invoke.runners import Promise

    # Only of what it does not wait for does invoke hand out the runner, which has the pipes.
    started = c.run(command, asynchronous=True, **options)
    if not isinstance(started, Promise):  # under --dry nothing is started
        result: Result = started
        return result
    return _joined(started)


def _joined(started: Promise) -> Result:
    try:
        return started.join()
    finally:
        process = getattr(started.runner, "process", None)
        for pipe in (process.stdin, process.stdout, process.stderr) if process else ():
            pipe.close()


def _options(*, hide: bool) -> dict[str, Any]:
    options: dict[str, Any] = {"warn": True, "hide": hide, "in_stream": False}
    if not shutil.which("bash"):
        # invoke's default, which not every distribution has.
        options["shell"] = "/bin/sh"
    return options


def write_file(path: Path, text: str) -> None:
    """Write a file whole or not at all, on the disk when this returns: beside it first, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    with suppress(OSError):  # some file systems refuse it for folders
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def print_files(files: Mapping[str, str], root: Path) -> None:
    """Print how a person would write files below ``root``: as here-documents, to be pasted."""
    if files and root != Path.cwd():
        print(f"cd {shlex.quote(str(root))}")
    for path, text in files.items():
        folder = shlex.quote(str(Path(path).parent))
        print(f"mkdir -p {folder} && cat > {shlex.quote(path)} <<'EOF'\n{text}EOF")


@contextmanager
def locked(
    path: Path, holder: str = "", going_on: Callable[[], object] | None = None
) -> Iterator[None]:
    """Hold a lock that other processes respect too; say once which holder it waits for.

    It waits until ``going_on`` raises, where that is given.

    Raises:
        EngineError: its file cannot be written.

    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = path.open("w")
    except OSError as error:
        raise EngineError(f"{path} cannot be written: {error.strerror}; allow it") from None
    with opened as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if holder:
                print(f"waiting for {holder}", file=sys.stderr, flush=True)
            _wait_for(lock, going_on)
        yield


def _wait_for(lock: IO[str], going_on: Callable[[], object] | None) -> None:
    if going_on is None:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return
    while True:
        going_on()
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE)
        else:
            return


def json_text(data: Any) -> str:
    """Return data as the JSON that our files hold: indented, one newline at its end."""
    return msgspec.json.format(msgspec.json.encode(data)).decode() + "\n"


def json_line(data: Any) -> str:
    """Return data as JSON in one line."""
    return msgspec.json.encode(data).decode()
