"""What ``run`` and ``service`` share: how a container is started as declared, is read, and is kept."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import os
import re
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from buildx_tasks import platforms, sizes
from buildx_tasks.engine import faults
from buildx_tasks.engine.containers import (
    bind_mount,
    has_path,
    is_executable,
    no_log,
    read_file,
)
from buildx_tasks.engine.faults import RefusedError
from buildx_tasks.images import programs, starting
from buildx_tasks.images.programs import Start
from buildx_tasks.text import printable
from buildx_tasks.verification import containers
from buildx_tasks.verification.checks.output import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from buildx_tasks.language.expectations import Container, Mount
    from buildx_tasks.platforms import Platform
    from buildx_tasks.verification.check import Found, Subject

_FOREIGN = "exec format error"
_NOT_RUN = re.compile(
    r"exec format error|no such file|not found|cannot execute|permission denied", re.IGNORECASE
)
_LAST_LINES = 3
_OVER_SSH = (
    "verify cannot keep time-outs over ssh://; forward the socket: "
    "ssh -NL ~/.docker-remote.sock:/var/run/docker.sock HOST, "
    "and set DOCKER_HOST=unix://$HOME/.docker-remote.sock"
)


def require_timeouts(subject: Subject) -> None:
    """Refuse a connection that knows no time-outs, so that what hangs would hang for ever.

    Raises:
        RefusedError: it is docker's own one through ssh.

    """
    if address_of(subject) == "http+docker://ssh":  # docker's own name for any of them
        raise RefusedError(_OVER_SSH)


@contextlib.contextmanager
def created(subject: Subject, spec: Container, **more: Any) -> Iterator[Any]:
    """Create a container as ``spec`` declares, not started; it is gone afterwards unless it is kept.

    ``more`` are settings of the subject's ``created`` that count more.

    Raises:
        RefusedError: the engine refuses it, or what it is to mount is not there.

    """
    settings = {**_settings(subject, spec), **more}
    with subject.created(spec.args or None, **settings) as container:
        yield container


def _settings(subject: Subject, spec: Container) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "entrypoint": _entrypoint(spec),
        "environment": spec.env,
        "user": spec.user,
        "working_dir": spec.workdir,
        "network_mode": spec.network,
        "mounts": [
            bind_mount(str(_seen(subject, m)), m.target, readonly=m.readonly) for m in spec.mounts
        ],
        # Output is read as it comes; a log on disk could grow without bound.
        "log_config": no_log(),
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
    if not address_of(subject).startswith("http+docker://"):
        return False
    # A socket may lead to another machine, or to Docker Desktop's, which has the files of this one.
    engine = subject.engine
    return (
        sys.platform != "linux"
        or engine.is_local
        or engine.info.get("OperatingSystem") == "Docker Desktop"
    )


def address_of(subject: Subject) -> str:
    """Return the engine's address as docker's library has it: ``http+docker://…`` for a socket."""
    return str(subject.engine.client.api.base_url)


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


def kill(container: Any, number: str = "SIGKILL") -> bool:
    """Send a signal; False where the container has ended by itself or is gone."""
    try:
        container.kill(number)
    except faults.api_errors() as error:
        if faults.status_of(error) not in (404, 409):
            raise
        return False
    return True


def exit_code_of(container: Any, began: float, seconds: float) -> int | None:
    """Wait for the container's end, ``seconds`` from ``began`` (monotonic); None if it still runs."""
    end = began + seconds
    try:
        code = int(container.wait(timeout=max(0.001, end - time.monotonic()))["StatusCode"])
    except faults.timeouts():
        # Before the time it is the engine's fault.
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


def with_hint(subject: Subject, container: Any, found: Found) -> Found:
    """Add to problems what is wrong where the kernel could not run the program, as its file says."""
    texts = [text for text in (*found.problems, found.stderr) if _NOT_RUN.search(text)]
    if not found.problems or not texts:
        return found
    hint = programs.why_not(
        start_of(container),
        subject.platform,
        lambda path: read_file(container, path, programs.MOST_BYTES),
        "\n".join(texts),
        is_executable=lambda path: is_executable(container, path),
    )
    native = platforms.runs_natively(subject.platform, subject.engine.platform)
    if not hint and not native and any(_FOREIGN in text.lower() for text in texts):
        hint = f"no emulator for {subject.platform}; see invoke doctor"
    return found._replace(problems=(*found.problems, hint)) if hint else found


def start_of(container: Any) -> Start:
    """Return how a container starts, as the engine has worked it out."""
    container.reload()
    config = container.attrs["Config"]
    environment = starting.environment_of(config)
    words = [container.attrs["Path"], *container.attrs["Args"]]
    return Start(words, environment, config.get("WorkingDir") or "/")


def kept(subject: Subject, container: Any, found: Found) -> Found:
    """Return what was found; where it failed and the session keeps such containers, it stays."""
    if not (found.problems and subject.session.keep and subject.keep):
        return found
    name = subject.session.keep_container(container, subject.cell)
    has_shell = has_path(container, "/bin/sh")
    if container.status == "running":
        enter = f"docker exec -it {name} sh" if has_shell else f"docker export {name} | tar -tv"
    elif has_shell:
        # The image goes with the container, by its name.
        enter = (
            f"docker run -it --rm --name {name}-sh --platform {subject.platform} "
            f"--entrypoint sh $(docker commit {name} {name})"
        )
    else:
        enter = f"docker start -ai {name}"
    return found._replace(enter=enter)
