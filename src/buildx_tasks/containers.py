"""Containers of ours on the engine: each belongs to a session, and none outlives it.

Everything that a session makes carries its labels. A session that was killed leaves its lock free, so
that the next one knows what it left, and removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildx_tasks import ledger

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

    from buildx_tasks.checks import Subject

SESSION = "dev.buildx-tasks.session"  # everything of ours carries it, so that none stays behind
PROJECT = "dev.buildx-tasks.project"
CELL = "dev.buildx-tasks.cell"
KEPT = "buildx-tasks-kept-"  # how the names of containers begin that a person wanted to keep

_HOST = "dev.buildx-tasks.host"
_LOCK = "dev.buildx-tasks.lock"
_FOREIGN_HOURS = 24  # a session of another machine is taken for dead after this time


class Session:
    """One run of ``verify``: what it makes on the engine is removed when it is closed.

    ``keep`` leaves the containers that failed.
    """

    def __init__(self, client: docker.DockerClient, root: Path, *, keep: bool = False) -> None:
        self.client = client
        self.root = root
        self.keep = keep
        self.id = uuid.uuid4().hex
        self._network: Any = None
        self._guard = threading.Lock()
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
        }

    @contextlib.contextmanager
    def created(
        self, subject: Subject, command: list[str] | None, **settings: Any
    ) -> Iterator[Any]:
        """Create a container of the subject's platform, not started; it is gone afterwards.

        ``settings`` are those of docker's ``containers.create``. A container renamed to a name that
        begins with KEPT stays.

        Raises:
            docker.errors.APIError: the engine refuses it.

        """
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
                container.remove(force=True, v=True)

    def network(self) -> Any:
        """Return the session's network, which has no way out; it is made when it is first asked for."""
        with self._guard:
            if self._network is None:
                self._network = self.client.networks.create(
                    f"buildx-tasks-{self.id}", driver="bridge", internal=True, labels=self.labels
                )
            return self._network

    def close(self) -> None:
        """Remove everything that the session made, but what was kept."""
        try:
            _remove(self.client, {"label": f"{SESSION}={self.id}"})
        finally:
            self._lock_path.unlink(missing_ok=True)
            self._lock.close()


def is_kept(container: Any) -> bool:
    """Say whether a person wanted to keep the container."""
    return str(container.name).startswith(KEPT)


def sweep(client: docker.DockerClient) -> None:
    """Remove what sessions left that were killed. What is alive, and what was kept, stays."""
    listed = [
        *client.containers.list(all=True, filters={"label": _LOCK}, ignore_removed=True),
        *client.networks.list(filters={"label": _LOCK}),
    ]
    labels = [_labels(item) for item in listed]
    alive = {entry[SESSION]: True for entry in labels}
    for entry, item in zip(labels, listed):
        alive[entry[SESSION]] = _is_alive(entry, item)
    for session, lives in alive.items():
        if not lives:
            _remove(client, {"label": f"{SESSION}={session}"})


def _labels(item: Any) -> dict[str, str]:
    config = item.attrs.get("Config") or item.attrs  # containers' are in their config
    return config.get("Labels") or {}


def _is_alive(labels: dict[str, str], item: Any) -> bool:
    if labels.get(_HOST) != socket.gethostname():
        return _age_in_hours(item.attrs["Created"]) < _FOREIGN_HOURS
    try:
        with Path(labels[_LOCK]).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            Path(labels[_LOCK]).unlink(missing_ok=True)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _age_in_hours(created: str) -> float:
    import datetime as dt

    # Go prints nanoseconds, Python 3.9 reads whole seconds everywhere.
    at = dt.datetime.fromisoformat(created[:19]).replace(tzinfo=dt.timezone.utc)
    return (time.time() - at.timestamp()) / 3600


def _remove(client: docker.DockerClient, filters: dict[str, str]) -> None:
    from docker.errors import APIError

    containers = client.containers.list(all=True, filters=filters, ignore_removed=True)
    for container in containers:
        if is_kept(container):
            continue
        try:
            container.remove(force=True, v=True)
        except APIError as error:
            if error.status_code not in (404, 409):  # gone, or going
                raise
    for network in client.networks.list(filters=filters):
        try:
            network.remove()
        except APIError as error:
            if error.status_code not in (403, 404):  # in use by what was kept, or gone
                raise
