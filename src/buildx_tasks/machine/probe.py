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
from typing import TYPE_CHECKING, TypeVar

from buildx_tasks.machine.executables import binary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from buildx_tasks.platforms import Platform

Result = TypeVar("Result")

_SECONDS = 5.0


# With this, QEMU prints its version in place of running anything.
# Source: arg_table in https://gitlab.com/qemu-project/qemu/-/blob/master/linux-user/main.c
ASKING = {"QEMU_VERSION": "1"}


def runs_here(platform: Platform) -> bool:
    """Say whether this machine runs programs for ``platform``, natively or emulated: try it.

    Takes about 10 ms, 5 s at most; safe to call from several threads. False also where there is no
    program to try with, and where this machine lets no new file run.
    """
    return bool(_with_program(platform, _exits_well))


def said_of_version(platform: Platform) -> str:
    """Return what the emulator of a platform says of its version; ``""`` where it says nothing.

    Takes as long as :func:`runs_here`. What runs natively, or under an emulator that is not QEMU, says
    nothing.
    """
    return _with_program(platform, _said) or ""


def _with_program(platform: Platform, run: Callable[[str, Sequence[int]], Result]) -> Result | None:
    """Return what comes of running the program for a platform; None where nothing can be run."""
    program = binary(platform)
    if program is None or sys.platform != "linux":
        return None
    for stored in (_in_memory, _in_folder):
        # No memfd (or not to be run: vm.memfd_noexec), no /proc, a folder mounted noexec.
        with contextlib.suppress(PermissionError, FileNotFoundError), stored(program) as held:
            path, descriptors = held
            return run(path, descriptors)
    return None


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
    return _ended(path, descriptors, {}, subprocess.DEVNULL) is not None


def _said(path: str, descriptors: Sequence[int]) -> str:
    return (_ended(path, descriptors, ASKING, subprocess.PIPE) or b"").decode(errors="replace")


def _ended(
    path: str, descriptors: Sequence[int], environment: Mapping[str, str], stdout: int
) -> bytes | None:
    """Return what a program printed, as far as that is taken; None where it did not end well."""
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            done = subprocess.run(
                [path],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.DEVNULL,
                env=dict(environment),
                pass_fds=descriptors,
                timeout=_SECONDS,
                check=False,
            )
        except (PermissionError, FileNotFoundError):
            raise
        except subprocess.TimeoutExpired:
            return None
        except OSError as error:
            # Another thread forked while the file was open for writing; its child closes it soon.
            if error.errno != errno.ETXTBSY or time.monotonic() > deadline:
                return None
            time.sleep(0.001)
        else:
            return (done.stdout or b"") if done.returncode == 0 else None
