"""A platform in; whether this machine runs its programs, out: the smallest one says so by running.

That an emulator is registered proves little: it can be missing, broken, or of another machine. What
counts is that a program for the platform ran. The programs here do nothing but ``exit(0)``; they
are made by ``executables``, so that neither an image nor a compiler is needed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from buildx_tasks.machine.executables import binary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildx_tasks.platforms import Platform

_SECONDS = 5.0


def runs_here(platform: Platform) -> bool:
    """Say whether this machine runs programs for ``platform``, natively or emulated: try it.

    Takes about 10 ms, 5 s at most; safe to call from several threads. False also where there is no
    program to try with, and where this machine lets no new file run.
    """
    program = binary(platform)
    if program is None or sys.platform != "linux":
        return False
    for stored in (_in_memory, _in_folder):
        # No memfd (or not to be run: vm.memfd_noexec), no /proc, a folder mounted noexec.
        with contextlib.suppress(PermissionError, FileNotFoundError), stored(program) as held:
            path, descriptors = held
            return _exits_well(path, descriptors)
    return False


@contextlib.contextmanager
def _in_memory(program: bytes) -> Iterator[tuple[str, Sequence[int]]]:
    if not hasattr(os, "memfd_create"):
        raise FileNotFoundError(errno.ENOENT, "this Python has no memfd_create")
    descriptor = os.memfd_create("buildx-tasks-probe")
    try:
        os.write(descriptor, program)
        # Inherited: an emulator registered without flag O opens the path itself.
        yield f"/proc/self/fd/{descriptor}", (descriptor,)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _in_folder(program: bytes) -> Iterator[tuple[str, Sequence[int]]]:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="buildx-tasks-probe-") as folder:
        path = Path(folder, "probe")
        path.write_bytes(program)
        path.chmod(0o700)
        yield str(path), ()


def _exits_well(path: str, descriptors: Sequence[int]) -> bool:
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            done = subprocess.run(
                [path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                pass_fds=descriptors,
                timeout=_SECONDS,
                check=False,
            )
        except (PermissionError, FileNotFoundError):
            raise
        except subprocess.TimeoutExpired:
            return False
        except OSError as error:
            # Another thread forked while the file was open for writing; its child closes it soon.
            if error.errno != errno.ETXTBSY or time.monotonic() > deadline:
                return False
            time.sleep(0.001)
        else:
            return done.returncode == 0
