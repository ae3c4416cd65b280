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
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from buildx_tasks.engine.container_removal import TOGETHER, remove_containers, remove_network
from buildx_tasks.engine.containers import patient_api
from buildx_tasks.engine.faults import refusals
from buildx_tasks.errors import EngineError
from buildx_tasks.machine.files import writing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.planning.cells import Cell
    from buildx_tasks.workspace import Workspace

Answer = TypeVar("Answer")

SESSION = "dev.buildx-tasks.session"  # everything of ours carries it, so that none stays behind
PROJECT = "dev.buildx-tasks.project"
CELL = "dev.buildx-tasks.cell"
STOPPED = "verify was stopped; run it again"
KEPT = "buildx-tasks-kept-"  # how the names of containers begin that a person wanted to keep

_HOST = "dev.buildx-tasks.host"
_LOCK = "dev.buildx-tasks.lock"
_PROCESS = "dev.buildx-tasks.process"
_IDLE = frozenset({"created", "exited"})  # states in which nothing runs
_MOST_HOURS = 24  # a session that nothing can be known of is taken for dead after this time
_GOING_SECONDS = 20.0  # how long the engine may take over what it is creating
_OF_HOST = frozenset(
    "network_mode mounts log_config mem_limit memswap_limit nano_cpus port_bindings".split()
)


class Session:
    """One run of ``verify``: what it makes on the engine is removed when it is closed.

    ``keep`` leaves the containers that failed. ``host_ports`` is held by who uses the ports of the
    engine's machine. Several threads may use a session.
    """

    def __init__(self, workspace: Workspace, *, keep: bool = False) -> None:
        self.workspace = workspace
        self.engine = workspace.engine
        self.root = workspace.root
        self.keep = keep
        self.id = uuid.uuid4().hex
        self.host_ports = threading.Lock()
        self._closed = False
        self._creating = 0
        self._done_with: list[Any] = []  # containers that nothing runs in, to be removed together
        self._changed = threading.Condition()  # guards the three above
        self._network: Any = None
        self._asked: dict[object, Future[Any]] = {}
        self._guard = threading.Lock()  # guards the two above
        self._patient = patient_api(self.engine.client)
        workspace.ledger.prepare()
        folder = workspace.ledger.folder / "sessions"
        self._lock_path = folder / self.id
        with writing(folder):
            folder.mkdir(exist_ok=True)
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
        self, image: str, cell: Cell, command: Sequence[str] | None, **settings: Any
    ) -> Iterator[Any]:
        """Create a container of the cell from its image, not started; :func:`start` starts it.

        ``settings`` are those of docker's ``create_container`` and ``create_host_config``. Of the
        container's attributes nothing is known but id and state. Afterwards it is removed: at once
        where something may run in it, else together with others, when the session is closed at
        the latest. One that was kept stays.

        Raises:
            EngineError: the session is closed.
            RefusedError: the image, or what is set, is why it cannot be created.
            faults.api_errors: the engine fails.

        """
        host = {key: settings.pop(key) for key in _OF_HOST & settings.keys()}
        api = self._patient
        with self._making(), refusals():
            made = api.create_container(
                image,
                command,
                platform=str(cell.platform),
                labels={**self.labels, CELL: str(cell)},
                host_config=api.create_host_config(**{"network_mode": "none", **host}),
                **settings,
            )
        # Not asked for again: each question to the engine costs.
        known = {"Id": made["Id"], "State": {"Status": "created"}}
        container = self.engine.client.containers.prepare_model(known)
        if self._closed:  # meanwhile; it may not have been seen then
            remove_containers([container])
            raise EngineError(STOPPED)
        try:
            yield container
        finally:
            if not is_kept(container):
                self._discard(container)

    def _discard(self, container: Any) -> None:
        with self._changed:
            self._done_with.append(container)
            if container.status in _IDLE and len(self._done_with) < TOGETHER:
                return
            going, self._done_with = self._done_with, []
        remove_containers(going)

    def network(self) -> Any:
        """Return the session's network; it is made when it is first asked for.

        It has no way out, and none from container to container. This machine is on it.

        Raises:
            EngineError: the session is closed.
            faults.api_errors: the engine refuses it.

        """
        with self._guard:
            if self._network is None:
                with self._making():
                    self._network = self.engine.client.networks.create(
                        f"buildx-tasks-{self.id}",
                        driver="bridge",
                        internal=True,
                        options={"com.docker.network.bridge.enable_icc": "false"},
                        labels=self.labels,
                    )
            return self._network

    def require_open(self) -> None:
        """Do nothing while more can be made.

        Raises:
            EngineError: the session is closed.

        """
        if self._closed:
            raise EngineError(STOPPED)

    def once(self, key: object, ask: Callable[[], Answer]) -> Answer:
        """Return what ``ask`` returns; under each key it is asked once, and others wait for that."""
        with self._guard:
            first = key not in self._asked
            answer = self._asked.setdefault(key, Future())
        if first:
            try:
                answer.set_result(ask())
            except BaseException as error:  # noqa: BLE001 - raised below, and for all who wait
                answer.set_exception(error)
        found: Answer = answer.result()
        return found

    def close(self) -> None:
        """Remove everything that the session made, but what was kept; it can be closed twice."""
        try:
            with self._changed:
                self._closed = True
                # What other threads are just having made has to be seen below.
                self._changed.wait_for(lambda: not self._creating, _GOING_SECONDS)
            if _remove(self.engine, self.id):
                self._lock_path.unlink(missing_ok=True)
        finally:
            self._lock.close()

    @contextlib.contextmanager
    def _making(self) -> Iterator[None]:
        with self._changed:
            self.require_open()
            self._creating += 1
        try:
            yield
        finally:
            with self._changed:
                self._creating -= 1
                self._changed.notify_all()


def start(container: Any) -> None:
    """Start a container that a session created.

    Raises:
        RefusedError: the image, or what is set, is why it cannot be started.
        faults.api_errors: the engine fails.

    """
    container.attrs["State"] = {"Status": "running"}
    with refusals():
        container.start()


def ended(container: Any) -> None:
    """Take note that a container has come to its end: nothing runs in it any more."""
    container.attrs["State"] = {"Status": "exited"}


def is_kept(container: Any) -> bool:
    """Say whether a person wanted to keep the container."""
    return str(container.name).startswith(KEPT)


def keep(container: Any) -> str:
    """Give a container the name under which nothing but :func:`remove_kept` removes it; return it."""
    container.reload()
    cell = re.sub("[^a-zA-Z0-9]+", "-", container.labels[CELL])
    container.rename(f"{KEPT}{cell}-{container.short_id}")
    container.reload()
    return str(container.name)


def kept(engine: Engine, root: Path) -> list[Any]:
    """Return the containers of the project at ``root`` that a person wanted to keep."""
    ours = {"label": f"{PROJECT}={root}"}
    return list(filter(is_kept, _containers(engine, ours)))


def remove_kept(engine: Engine, root: Path) -> list[str]:
    """Remove the project's kept containers, and images committed from them; return their names."""
    ours = {"label": f"{PROJECT}={root}"}
    containers = kept(engine, root)
    remove_containers(containers)
    for image in engine.client.images.list(filters=ours):
        engine.client.images.remove(image.id, force=True)
    sweep(engine)  # their networks
    return [container.name for container in containers]


def sweep(engine: Engine) -> None:
    """Remove what sessions left that were killed. What is alive, and what was kept, stays."""
    listed = [
        *_containers(engine, {"label": _LOCK}),
        *engine.client.networks.list(filters={"label": _LOCK}),
    ]
    sessions = {_labels(item)[SESSION]: item for item in listed}
    for session, item in sessions.items():
        labels = _labels(item)
        if not _is_alive(labels, item.attrs["Created"]) and _remove(engine, session):
            with contextlib.suppress(OSError):  # another user's, or on another machine
                Path(labels[_LOCK]).unlink()


def _containers(engine: Engine, filters: dict[str, str]) -> list[Any]:
    listed = engine.client.containers.list
    found: list[Any] = listed(all=True, filters=filters, ignore_removed=True)
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


def _remove(engine: Engine, session: str) -> bool:
    """Remove what a session made, but what was kept; say whether nothing is left."""
    ours = {"label": f"{SESSION}={session}"}
    containers = _containers(engine, ours)
    remove_containers([container for container in containers if not is_kept(container)])
    if any(map(is_kept, containers)):
        return False  # they may be on the network, and could not be started again without it
    for network in engine.client.networks.list(filters=ours):
        remove_network(network)
    return True
