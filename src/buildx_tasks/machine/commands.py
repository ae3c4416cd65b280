"""External commands, quoted in one place and run through invoke, so ``--dry`` and ``--echo`` work."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections import deque
from contextlib import contextmanager, nullcontext, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

from buildx_tasks.machine import interruption, output, processes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from invoke import Context, Result
    from invoke.runners import Promise

_PAUSE = 0.1  # seconds between two looks at what is waited for
_MOST = 1 << 16  # bytes that are read at once
_NAMED = 3  # words of a command that tell which it is


class Commands:
    """What runs commands for one project, in its ``folder``.

    Commands that change something go through :meth:`run`; questions that change nothing go through
    :meth:`query` and are really asked under ``--dry`` too, so that a dry run shows what is needed
    now. None of them raises where the command fails.
    """

    def __init__(self, folder: Path, context: Context | None = None) -> None:
        self.folder = folder
        self.changes = 0  # commands that may have changed something
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
        terminal = tty and sys.stdout.isatty() and _is_own_terminal()
        options = _options(hide=hide)
        if _is_plain():
            options["echo_format"] = "{command}"
        if terminal:
            options.update(pty=True, in_stream=sys.stdin)
        if not hide:
            options.update(out_stream=sys.stdout, err_stream=sys.stderr)
        heard = hide or self.is_dry
        with output.doing(_named(argv)), nullcontext() if heard else output.without_commands():
            return self._started(self._in_folder(argv), None, **options)

    def run_read(
        self, argv: Sequence[str], shown: Sequence[str], told: Callable[[bytes], object]
    ) -> Result:
        """Run a command whose standard error is read, not shown; what it prints besides streams.

        ``told`` gets the bytes as they come, in this thread, and ``b""`` where there are none for a
        moment. Under ``--echo`` a person sees ``shown``, which is another way to write the command.
        """
        if self.is_echoed:
            form = "{command}" if _is_plain() else str(self.context.config.run.echo_format)
            print(form.format(command=self._in_folder(shown)), flush=True)
        waiting: deque[bytes] = deque()

        def take() -> None:
            while waiting:
                told(waiting.popleft())
            told(b"")

        options = _options(hide=False)
        options.update(out_stream=sys.stdout, err_stream=sys.stderr, echo=False)
        with output.without_commands(), _reading(self.context, waiting):
            result = self._started(self._in_folder(argv), take, **options)
            take()
        return result

    def run_while(self, argv: Sequence[str], going_on: Callable[[], object]) -> Result:
        """Run a command, hidden, for as long as ``going_on`` does not raise.

        Where it does, the command and all that it started are ended first.
        """
        return self._started(self._in_folder(argv), going_on, **_options(hide=True))

    def hand_over(self, argv: Sequence[str]) -> int:
        """Run a command that has this process's own input and outputs, byte for byte.

        Return its exit code. It runs in the folder where the person is; where the waiting for it
        ends early, it is ended.
        """
        self.changes += 1
        command = shlex.join(argv)
        if self.is_dry or self.is_echoed:
            print(command, flush=True)
        if self.is_dry:
            return 0
        sys.stdout.flush()
        process: subprocess.Popen[bytes] | None = None
        try:
            with output.without_commands():  # before it can print anything
                with interruption.deferred():  # as in _started
                    process = subprocess.Popen(argv)
                code = process.wait()
                return 128 - code if code < 0 else code  # as shells do where a signal ended it
        except OSError as error:
            print(f"{argv[0]}: {error.strerror}", file=sys.stderr)
            return 127
        except BaseException:
            with interruption.deferred():
                if process:
                    processes.end(process.pid)
                    process.wait()
            raise

    def query(self, argv: Sequence[str]) -> Result:
        """Ask something that changes nothing; output is kept, not shown."""
        with output.doing(_named(argv)):
            return self._started(shlex.join(argv), None, dry=False, **_options(hide=True))

    def query_within(self, argv: Sequence[str], seconds: int) -> Result | None:
        """Ask as :meth:`query` does; None where there is no answer in time."""
        end = time.monotonic() + seconds

        def going_on() -> None:
            if time.monotonic() > end:
                raise TimeoutError

        try:
            with output.doing(_named(argv)):
                return self._started(shlex.join(argv), going_on, dry=False, **_options(hide=True))
        except TimeoutError:
            return None

    def print_files(self, files: Mapping[str, str]) -> None:
        """Print how a person would write files below the folder: as here-documents, to be pasted."""
        if files and self.folder != Path.cwd():
            print(f"cd {shlex.quote(str(self.folder))}")
        for path, text in files.items():
            folder = shlex.quote(str(Path(path).parent))
            end = "EOF"
            while end in text.splitlines():
                end += "_"
            print(f"mkdir -p {folder} && cat > {shlex.quote(path)} <<'{end}'\n{text}{end}")

    def _in_folder(self, argv: Sequence[str]) -> str:
        self.changes += 1
        command = shlex.join(argv)
        if self.folder == Path.cwd() and not self.context.cwd:  # as in a person's `with c.cd(…)`
            return command
        return f"cd {shlex.quote(str(self.folder))} && {command}"

    def _started(
        self, command: str, going_on: Callable[[], object] | None, **options: Any
    ) -> Result:
        """Run a command; where the waiting for it ends early, end all that it started.

        Invoke would wait for its end: it knows SIGINT alone, and hands that to a terminal only.
        """
        from invoke.runners import Promise

        started: Any = None
        try:
            with interruption.deferred():  # or a process could be running that nobody knows of
                # Only of what it does not wait for does invoke hand out the runner, with the process.
                started = self.context.run(command, asynchronous=True, **options)
            if isinstance(started, Promise):  # under --dry nothing is started
                _wait(started.runner, going_on)
            result: Result = started.join() if isinstance(started, Promise) else started
        except BaseException:
            if isinstance(started, Promise):
                with interruption.deferred():
                    processes.end(vars(started)["runner"].get_pid())
                    _let_go(started)
            raise
        else:
            return result
        finally:
            process = getattr(getattr(started, "runner", None), "process", None)
            # invoke leaves them open until they are collected.
            for pipe in (process.stdin, process.stdout, process.stderr) if process else ():
                pipe.close()


def _is_own_terminal() -> bool:
    """Say whether the keyboard is ours: one that controls another session cannot be asked for."""
    with suppress(OSError, ValueError, AttributeError):
        return sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) >= 0
    return False


def _is_plain() -> bool:
    """Say whether commands are printed plainly: invoke's bold could not be pasted out of a log."""
    return not sys.stdout.isatty() or bool(os.environ.get("NO_COLOR"))


@contextmanager
def _reading(context: Context, waiting: deque[bytes]) -> Iterator[None]:
    """Have what invoke runs hand over its standard error, all of which it would keep and search."""
    runners = context.config.runners
    plain = runners.local

    class Reading(plain):  # type: ignore[misc,valid-type]
        def read_proc_stderr(self, num_bytes: int) -> bytes:  # noqa: ARG002
            while data := os.read(self.process.stderr.fileno(), _MOST):
                waiting.append(data)
            return b""

    runners.local = Reading
    try:
        yield
    finally:
        runners.local = plain


def _wait(runner: Any, going_on: Callable[[], object] | None) -> None:
    """Wait until a command prints nothing more, which is when it ends."""
    for target, thread in runner.threads.items():
        while target != runner.handle_stdin and thread.is_alive():
            thread.join(_PAUSE)
            if going_on:
                going_on()


def _let_go(started: Promise) -> None:
    """Let invoke give back the terminal and its threads; the process has ended."""
    from invoke.exceptions import Failure, ThreadException

    with suppress(Failure, ThreadException, ChildProcessError):
        started.join()


def _named(argv: Sequence[str]) -> str:
    """Return the words that tell which command it is, as in ``docker buildx bake``."""
    words = list(argv)
    if words[:1] == ["env"] and "docker" in words:
        del words[: words.index("docker")]
    if "--builder" in words:
        at = words.index("--builder")
        del words[at : at + 2]
    return shlex.join(words[:_NAMED])


def _options(*, hide: bool) -> dict[str, Any]:
    options: dict[str, Any] = {"warn": True, "hide": hide, "in_stream": False}
    if not shutil.which("bash"):
        # invoke's default, which not every distribution has.
        options["shell"] = "/bin/sh"
    return options
