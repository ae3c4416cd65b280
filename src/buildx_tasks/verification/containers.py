"""Containers of ours on the engine: each belongs to a session, and none outlives it.

Everything that a session makes is in its record. A session that was killed leaves that one's lock
free, so that the next one knows what it left, and removes it.
"""

from __future__ import annotations

import contextlib
import re
import threading
import uuid
from concurrent.futures import Future
from functools import cached_property
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from buildx_tasks.engine import faults, leftovers
from buildx_tasks.engine.container_removal import TOGETHER, remove_containers
from buildx_tasks.engine.containers import patient_api
from buildx_tasks.engine.faults import refusals
from buildx_tasks.engine.leftovers import SESSION, sweep
from buildx_tasks.errors import EngineError
from buildx_tasks.machine import made
from buildx_tasks.machine.made import Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.planning.cells import Cell
    from buildx_tasks.workspace import Workspace

__all__ = ["SESSION", "sweep"]

Answer = TypeVar("Answer")

PROJECT = "dev.buildx-tasks.project"  # labels are for people: nothing is known by them
CELL = "dev.buildx-tasks.cell"
STOPPED = "verify was stopped; run it again"
KEPT = "buildx-tasks-kept-"  # how the names of containers begin that a person wanted to keep

_COMMITTED = (
    "committed"  # images of kept containers, by the name that we tell a person to give them
)
_IDLE = frozenset({"created", "exited"})  # states in which nothing runs
_GOING_SECONDS = 20.0  # how long the engine may take over what it is creating
_OF_HOST = frozenset(
    "network_mode mounts log_config mem_limit memswap_limit nano_cpus port_bindings cap_add".split()
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
        self.host_ports = threading.Lock()
        self._closed = False
        self._creating = 0
        self._done_with: list[Any] = []  # containers that nothing runs in, to be removed together
        self._changed = threading.Condition()  # guards the three above
        self._network: Any = None
        self._asked: dict[object, Future[Any]] = {}
        self._guard = threading.Lock()  # guards the two above
        workspace.ledger.prepare()
        self._kept: set[str] = set()  # ids
        self._record = Record.begun(self.root)

    @cached_property
    def _patient(self) -> Any:
        """What docker's library does, which only containers need."""
        return patient_api(self.engine.client)

    @property
    def id(self) -> str:
        """What this session is called; nobody else knows it beforehand."""
        return self._record.id

    @property
    def labels(self) -> dict[str, str]:
        """The labels of everything that this session makes."""
        return labels(self.id, self.root)

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
        with self._making("container") as name, refusals():
            answer = api.create_container(
                image,
                command,
                name=name,
                platform=str(cell.platform),
                labels=labels(self.id, self.root, cell),
                host_config=api.create_host_config(**{"network_mode": "none", **host}),
                **settings,
            )
            self._record.made(name, answer["Id"])
        # Not asked for again: each question to the engine costs.
        known = {"Id": answer["Id"], "State": {"Status": "created"}}
        container = self.engine.client.containers.prepare_model(known)
        if self._closed:  # meanwhile; it may not have been seen then
            remove_containers([container])
            raise EngineError(STOPPED)
        try:
            yield container
        finally:
            if container.id not in self._kept:
                self._discard(container)

    def _discard(self, container: Any) -> None:
        with self._changed:
            self._done_with.append(container)
            if container.status in _IDLE and len(self._done_with) < TOGETHER:
                return
            going, self._done_with = self._done_with, []
        remove_containers(going)

    @contextlib.contextmanager
    def committed(self, container: Any) -> Iterator[str]:
        """Give the name of an image of what is in a container now; it is gone afterwards.

        Raises:
            EngineError: the session is closed.
            faults.api_errors: the engine fails.

        """
        with self._making("image") as name:
            container.commit(repository=name)
        try:
            yield f"{name}:latest"
        finally:
            with contextlib.suppress(*faults.api_errors()):
                self.engine.client.api.remove_image(name, force=True)

    def network(self) -> Any:
        """Return the session's network; it is made when it is first asked for.

        It has no way out, and none from container to container. This machine is on it.

        Raises:
            EngineError: the session is closed.
            faults.api_errors: the engine refuses it.

        """
        with self._guard:
            if self._network is None:
                with self._making("network") as name:
                    self._network = self.engine.client.networks.create(
                        name,
                        driver="bridge",
                        internal=True,
                        options={"com.docker.network.bridge.enable_icc": "false"},
                        labels=self.labels,
                    )
                    self._record.made(name, self._network.id)
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

    def keep_container(self, container: Any, cell: Cell) -> str:
        """Give a container the name under which nothing but :func:`remove_kept` removes it; return it.

        An image that is committed from it is to have that name, and is removed with it.
        """
        name = f"{KEPT}{re.sub('[^a-z0-9]+', '-', str(cell).lower())}-{container.short_id}"
        container.rename(name)
        self._kept.add(container.id)
        self._record.keep(container.id, name)
        self._record.making(_COMMITTED, f"{name}:latest")
        container.reload()
        return name

    def close(self) -> None:
        """Remove everything that the session made, but what was kept; it can be closed twice."""
        is_clean = False
        try:
            with self._changed:
                self._closed = True
                # What other threads are just having made has to be seen below.
                self._changed.wait_for(lambda: not self._creating, _GOING_SECONDS)
            is_clean = leftovers.remove(self.engine, self._record)
        finally:
            self._record.close(forget=is_clean)

    @contextlib.contextmanager
    def _making(self, kind: str) -> Iterator[str]:
        """Give the name of what is made inside, which the record has before the engine."""
        with self._changed:
            self.require_open()
            self._creating += 1
        try:
            self._record.at(self.engine.origin)
            yield self._record.making(kind, f"buildx-tasks-{uuid.uuid4().hex}")
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


def labels(session: str, root: Path, cell: Cell | None = None) -> dict[str, str]:
    """Return all labels of ours, each of which the image may have as well: these count."""
    return {SESSION: session, PROJECT: str(root), CELL: str(cell or "")}


def kept(engine: Engine, root: Path) -> list[Any]:
    """Return the containers of the project at ``root`` that a person wanted to keep."""
    return [one for record in _records(engine, root) for one in _kept_of(engine, record)]


def remove_kept(engine: Engine, root: Path) -> list[str]:
    """Remove the project's kept containers, and images committed from them; return their names."""
    names = []
    for record in _records(engine, root):
        containers = _kept_of(engine, record)
        names += [container.name for container in containers]
        remove_containers(containers)
        # Those that lost their name to a later one have nothing but the session, which no other has.
        nameless = {"label": f"{SESSION}={record.id}", "dangling": True}
        images = [one.name for one in record.things(_COMMITTED)]
        images += [one.id for one in engine.client.images.list(filters=nameless)]
        for image in images:
            with contextlib.suppress(*faults.api_errors()):
                engine.client.api.remove_image(image, force=True)
    sweep(engine)  # their networks
    return names


def _records(engine: Engine, root: Path) -> list[Record]:
    found = [one for one in made.of_project(root) if one.engine.engine]
    return [one for one in found if one.engine.engine == engine.origin.engine]


def _kept_of(engine: Engine, record: Record) -> list[Any]:
    return [one for one, is_kept in leftovers.containers(engine, record) if is_kept]
