"""The Docker Engine of one task: reached when it is first asked, and asked once what does not change."""

from __future__ import annotations

import datetime as dt
import os
import re
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any

from buildx_tasks import platforms
from buildx_tasks.engine.connection import reach
from buildx_tasks.engine.faults import faults
from buildx_tasks.errors import EngineError
from buildx_tasks.machine.made import Origin

if TYPE_CHECKING:
    import docker

    from buildx_tasks.machine.commands import Commands
    from buildx_tasks.platforms import Platform

# Go prints nanoseconds, Python 3.9 reads whole seconds everywhere.
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)")


class Engine:
    """The engine that the docker command uses, and that command beside it.

    Every attribute that asks the engine raises EngineError where none answers, or it is too old.
    """

    def __init__(self, commands: Commands, client: docker.DockerClient | None = None) -> None:
        self.commands = commands
        self._client = client
        self._is_ours = client is None
        self._version: dict[str, Any] = {}
        self.blobs: dict[str, bytes] = {}  # manifests and configs of its store, by digest

    @property
    def client(self) -> docker.DockerClient:
        """The connection, made when it is first needed."""
        if self._client is None:
            self._client, self._version = reach()
        return self._client

    @cached_property
    def info(self) -> dict[str, Any]:
        """What ``GET /info`` says: of one moment, but for nothing that is read of it here."""
        with faults():
            found: dict[str, Any] = self.client.info()
            return found

    @property
    def version(self) -> dict[str, Any]:
        """What ``GET /version`` says: ``Version``, ``ApiVersion`` and more."""
        client = self.client
        if not self._version:
            with faults():
                self._version = client.version()
        return self._version

    def require(self) -> None:
        """Do nothing where an engine answers.

        Raises:
            EngineError: none does, or it is too old.

        """
        _ = self.info

    @property
    def answers(self) -> bool:
        """Whether an engine can be asked at all."""
        try:
            return bool(self.client)
        except EngineError:
            return False

    @property
    def has_containerd_store(self) -> bool:
        """Whether images live in containerd's store, which holds whole indexes."""
        status = dict(pair for pair in self.info.get("DriverStatus") or [] if len(pair) == 2)
        return str(status.get("driver-type", "")).startswith("io.containerd.snapshotter")

    @property
    def platform(self) -> Platform:
        """The platform that the engine runs natively."""
        return platforms.parse(f"{self.info['OSType']}/{self.info['Architecture']}")

    @property
    def origin(self) -> Origin:
        """Which engine it is, and what time it was there when it was asked."""
        found = _TIME.fullmatch(self.info["SystemTime"])
        zone = "+00:00" if found is None or found[2] == "Z" else found[2]
        began = dt.datetime.fromisoformat(f"{found[1]}{zone}").timestamp() if found else 0.0
        return Origin(self.info["ID"], began)

    @property
    def is_local(self) -> bool:
        """Whether the engine runs on this machine's kernel, whose emulators it then has."""
        address = str(self.client.api.base_url)
        return (
            sys.platform == "linux"
            and address.startswith("http+docker://")
            and address != "http+docker://ssh"
            # Docker Desktop's socket is here, its kernel is not.
            and self.info.get("KernelVersion") == os.uname().release
        )

    def close(self) -> None:
        """End the connection, where it was made here."""
        if self._client is not None and self._is_ours:
            self._client.close()
            self._client = None
