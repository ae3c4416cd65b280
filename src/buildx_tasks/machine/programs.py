"""A program of this machine in; its exit code and the end of what it printed, out: in bounds."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING, Callable, NamedTuple

from buildx_tasks.machine import processes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_PAUSE = 0.02  # seconds between two looks


class Ended(NamedTuple):
    """What a program did: ``code`` is None where it was ended, ``why`` says for what then."""

    code: int | None
    stdout: bytes
    stderr: bytes
    why: str = ""


class Bounds(NamedTuple):
    """What a program may take: ``seconds``, bytes of each output, bytes of each process's memory."""

    seconds: float
    output: int
    memory: int = 0


def run(
    argv: Sequence[str],
    folder: Path,
    bounds: Bounds,
    going_on: Callable[[], object],
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run a program without input until it ends; it and all that it started end where it must not.

    ``going_on`` is called again and again; where it raises, the program is ended first.

    Raises:
        OSError: it cannot be started.

    """
    if bounds.memory:
        # A process's own heap: what Go and Java only reserve does not count.
        limit = f'ulimit -d {max(1, bounds.memory // 1024)} && exec "$@"'
        if shutil.which(argv[0]) is None:
            raise FileNotFoundError(argv[0])
        argv = ["sh", "-c", limit, "sh", *argv]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
        why = ""
        try:
            end = time.monotonic() + bounds.seconds
            while process.poll() is None and not why:
                going_on()
                time.sleep(_PAUSE)
                if time.monotonic() > end:
                    why = f"it did not end within {bounds.seconds:g} s"
                elif max(out.seek(0, 2), err.seek(0, 2)) > bounds.output:
                    why = f"it printed more than {bounds.output} bytes"
        finally:
            if process.poll() is None:
                processes.end(process.pid)
                process.wait()
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read(bounds.output))
        return Ended(None if why else process.returncode, texts[0], texts[1], why)
