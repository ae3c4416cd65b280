"""Containers of ours on the engine: each belongs to a session, and none outlives it.

Everything that a session makes carries its labels. A session that was killed leaves its lock free, so
that the next one knows what it left, and removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildx_tasks import ledger
from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import docker

    from buildx_tasks.checks import Subject

SESSION = "dev.buildx-tasks.session"  # everything of ours carries it, so that none stays behind
PROJECT = "dev.buildx-tasks.project"
CELL = "dev.buildx-tasks.cell"
KEPT = "buildx-tasks-kept-"  # how the names of containers begin that a person wanted to keep

_HOST = "dev.buildx-tasks.host"
_LOCK = "dev.buildx-tasks.lock"
_PROCESS = "dev.buildx-tasks.process"
_MOST_HOURS = 24  # a session that nothing can be known of is taken for dead after this time
_GOING_SECONDS = 20.0  # how long the engine may take over what it is already doing


class Session:
    """One run of ``verify``: what it makes on the engine is removed when it is closed.

    ``keep`` leaves the containers that failed. ``host_ports`` is held by who uses the ports of the
    engine's machine. Several threads may use a session.
    """

    def __init__(self, client: docker.DockerClient, root: Path, *, keep: bool = False) -> None:
        self.client = client
        self.root = root
        self.keep = keep
        self.id = uuid.uuid4().hex
        self.host_ports = threading.Lock()
        self._closed = False
        self._creating = 0
        self._changed = threading.Condition()  # guards the two above
        self._network: Any = None
        self._guard = threading.Lock()  # guards the network
        ledger.prepare(root)
        folder = root / ledger.FOLDER / "sessions"
        folder.mkdir(exist_ok=True)
        self._lock_path = folder / self.id
        self._lock = self._lock_path.open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    @property
    def labels(self) -> dict[str, str]:
        """The labels of everything that this session makes."""
        return {
            SESSION: self.id,
            PROJECT: str(self.root),
            _HOST: socket.gethostname(),
            _LOCK: str(self._lock_path),
            _PROCESS: str(os.getpid()),
        }

    @property
    def closed(self) -> bool:
        """Whether nothing more can be made."""
        return self._closed

    @contextlib.contextmanager
    def created(
        self, subject: Subject, command: Sequence[str] | None, **settings: Any
    ) -> Iterator[Any]:
        """Create a container of the subject's platform, not started; it is gone afterwards.

        ``settings`` are those of docker's ``containers.create``. A container that was kept stays.

        Raises:
            EngineError: the session is closed.
            docker.errors.APIError: the engine refuses it.

        """
        with self._making():
            container = self.client.containers.create(
                subject.image.runnable(subject.platform),
                command,
                platform=str(subject.platform),
                labels={**self.labels, CELL: str(subject.cell)},
                **{"network_mode": "none", **settings},
            )
        try:
            yield container
        finally:
            if not is_kept(container):
                _remove_container(container)

    def network(self) -> Any:
        """Return the session's network; it is made when it is first asked for.

        It has no way out, and none from container to container. This machine is on it.

        Raises:
            EngineError: the session is closed.
            docker.errors.APIError: the engine refuses it.

        """
        with self._guard:
            if self._network is None:
                with self._making():
                    self._network = self.client.networks.create(
                        f"buildx-tasks-{self.id}",
                        driver="bridge",
                        internal=True,
                        options={"com.docker.network.bridge.enable_icc": "false"},
                        labels=self.labels,
                    )
            return self._network

    def close(self) -> None:
        """Remove everything that the session made, but what was kept; it can be closed twice."""
        try:
            with self._changed:
                self._closed = True
                # What other threads are just having made has to be seen below.
                self._changed.wait_for(lambda: not self._creating, _GOING_SECONDS)
            if _remove(self.client, self.id):
                self._lock_path.unlink(missing_ok=True)
        finally:
            self._lock.close()

    @contextlib.contextmanager
    def _making(self) -> Iterator[None]:
        with self._changed:
            if self._closed:
                raise EngineError("verify was stopped; run it again")
            self._creating += 1
        try:
            yield
        finally:
            with self._changed:
                self._creating -= 1
                self._changed.notify_all()


def is_kept(container: Any) -> bool:
    """Say whether a person wanted to keep the container."""
    return str(container.name).startswith(KEPT)


def keep(container: Any) -> str:
    """Give a container the name under which nothing but :func:`remove_kept` removes it; return it."""
    cell = re.sub("[^a-zA-Z0-9]+", "-", container.labels[CELL])
    container.rename(f"{KEPT}{cell}-{container.short_id}")
    container.reload()
    return str(container.name)


def kept(client: docker.DockerClient, root: Path) -> list[Any]:
    """Return the containers of the project at ``root`` that a person wanted to keep."""
    ours = {"label": f"{PROJECT}={root}"}
    return list(filter(is_kept, _containers(client, ours)))


def remove_kept(client: docker.DockerClient, root: Path) -> list[str]:
    """Remove the project's kept containers, and images committed from them; return their names."""
    ours = {"label": f"{PROJECT}={root}"}
    containers = kept(client, root)
    for container in containers:
        _remove_container(container)
    for image in client.images.list(filters=ours):
        client.images.remove(image.id, force=True)
    sweep(client)  # their networks
    return [container.name for container in containers]


def sweep(client: docker.DockerClient) -> None:
    """Remove what sessions left that were killed. What is alive, and what was kept, stays."""
    listed = [
        *_containers(client, {"label": _LOCK}),
        *client.networks.list(filters={"label": _LOCK}),
    ]
    sessions = {_labels(item)[SESSION]: item for item in listed}
    for session, item in sessions.items():
        labels = _labels(item)
        if not _is_alive(labels, item.attrs["Created"]) and _remove(client, session):
            with contextlib.suppress(OSError):  # another user's, or on another machine
                Path(labels[_LOCK]).unlink()


def _containers(client: docker.DockerClient, filters: dict[str, str]) -> list[Any]:
    found: list[Any] = client.containers.list(all=True, filters=filters, ignore_removed=True)
    return found


def _labels(item: Any) -> dict[str, str]:
    config = item.attrs.get("Config") or item.attrs  # containers' are in their config
    return config.get("Labels") or {}


def _is_alive(labels: dict[str, str], created: str) -> bool:
    is_young = _age_in_hours(created) < _MOST_HOURS
    if labels.get(_HOST) != socket.gethostname():
        return is_young
    try:
        with Path(labels[_LOCK]).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # the folder was cleaned meanwhile, or is another user's
        return is_young and _is_running(labels.get(_PROCESS, ""))
    return False


def _is_running(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True


def _age_in_hours(created: str) -> float:
    import datetime as dt

    # Go prints nanoseconds, Python 3.9 reads whole seconds everywhere.
    at = dt.datetime.fromisoformat(created[:19]).replace(tzinfo=dt.timezone.utc)
    return (time.time() - at.timestamp()) / 3600


def _remove(client: docker.DockerClient, session: str) -> bool:
    """Remove what a session made, but what was kept; say whether nothing is left."""
    ours = {"label": f"{SESSION}={session}"}
    containers = _containers(client, ours)
    for container in containers:
        if not is_kept(container):
            _remove_container(container)
    if any(map(is_kept, containers)):
        return False  # they may be on the network, and could not be started again without it
    for network in client.networks.list(filters=ours):
        _remove_network(network)
    return True


def _remove_container(container: Any) -> None:
    from docker.errors import APIError

    try:
        container.remove(force=True, v=True)
    except APIError as error:
        if error.status_code not in (404, 409):  # gone, or going
            raise


def _remove_network(network: Any) -> None:
    from docker.errors import APIError

    end = time.monotonic() + _GOING_SECONDS
    while True:
        try:
            network.remove()
        except APIError as error:
            if error.status_code == 404:
                return
            # In use by a container that is just going.
            if error.status_code != 403 or time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return
