"""External commands, quoted in one place and run through invoke, so ``--dry`` and ``--echo`` work."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from invoke import Context, Result
    from invoke.runners import Promise

_PAUSE = 0.1  # seconds between two looks at what is waited for
_ENDING_SECONDS = 5.0  # that a command has to end when it is told to


class Commands:
    """What runs commands for one project, in its ``folder``.

    Commands that change something go through :meth:`run`; questions that change nothing go through
    :meth:`query` and are really asked under ``--dry`` too, so that a dry run shows what is needed
    now. None of them raises where the command fails.
    """

    def __init__(self, folder: Path, context: Context | None = None) -> None:
        self.folder = folder
        self._given = context

    @cached_property
    def context(self) -> Context:
        """Invoke's own; one without ``--dry`` and ``--echo`` where this was not called by a task."""
        from invoke import Context

        return self._given or Context()

    @property
    def is_dry(self) -> bool:
        """Whether this is ``invoke --dry``."""
        return bool(self.context.config.run.dry)

    @property
    def is_echoed(self) -> bool:
        """Whether this is ``invoke --echo``."""
        return bool(self.context.config.run.echo)

    def run(self, argv: Sequence[str], *, tty: bool = False, hide: bool = False) -> Result:
        """Run a command; its output streams unless ``hide``.

        ``tty`` gives it a terminal (with the keyboard) where this process has one.
        """
        terminal = tty and sys.stdout.isatty() and sys.stdin.isatty()
        options = _options(hide=hide)
        if not sys.stdout.isatty():
            # invoke prints commands in bold, which could not be pasted out of a log.
            options["echo_format"] = "{command}"
        if terminal:
            options.update(pty=True, in_stream=None)
            result: Result = self.context.run(self._in_folder(argv), **options)
            return result
        if not hide:
            options.update(out_stream=sys.stdout, err_stream=sys.stderr)
        return self._piped(self._in_folder(argv), **options)

    def run_while(self, argv: Sequence[str], going_on: Callable[[], object]) -> Result:
        """Run a command, hidden, for as long as ``going_on`` does not raise.

        Where it does, the command and all that it started are ended first.
        """
        from invoke.runners import Promise

        started = _own_group(self.context).run(
            self._in_folder(argv), asynchronous=True, **_options(hide=True)
        )
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

    def query(self, argv: Sequence[str]) -> Result:
        """Ask something that changes nothing; output is kept, not shown."""
        return self._piped(shlex.join(argv), dry=False, **_options(hide=True))

    def query_within(self, argv: Sequence[str], seconds: int) -> Result | None:
        """Ask as :meth:`query` does; None where there is no answer in time."""
        from invoke.exceptions import CommandTimedOut

        try:
            return self._piped(shlex.join(argv), dry=False, timeout=seconds, **_options(hide=True))
        except CommandTimedOut:
            return None

    def print_files(self, files: Mapping[str, str]) -> None:
        """Print how a person would write files below the folder: as here-documents, to be pasted."""
        if files and self.folder != Path.cwd():
            print(f"cd {shlex.quote(str(self.folder))}")
        for path, text in files.items():
            folder = shlex.quote(str(Path(path).parent))
            print(f"mkdir -p {folder} && cat > {shlex.quote(path)} <<'EOF'\n{text}EOF")

    def _in_folder(self, argv: Sequence[str]) -> str:
        command = shlex.join(argv)
        if self.folder == Path.cwd():
            return command
        return f"cd {shlex.quote(str(self.folder))} && {command}"

    def _piped(self, command: str, **options: Any) -> Result:
        """Run, and close the process's pipes, which invoke leaves open until they are collected."""
        from invoke.runners import Promise

        # Only of what it does not wait for does invoke hand out the runner, which has the pipes.
        started = self.context.run(command, asynchronous=True, **options)
        if not isinstance(started, Promise):  # under --dry nothing is started
            result: Result = started
            return result
        return _joined(started)


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
