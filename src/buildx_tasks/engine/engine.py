"""The Docker Engine of one task: reached when it is first asked, and asked once what does not change."""

from __future__ import annotations

import datetime as dt
import os
import re
import sys
import threading
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from buildx_tasks import platforms
from buildx_tasks.engine import addresses, connection
from buildx_tasks.engine.ahead import Ahead
from buildx_tasks.engine.faults import faults
from buildx_tasks.errors import EngineError
from buildx_tasks.machine.made import Origin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import docker

    from buildx_tasks.engine.api import Answer, Api
    from buildx_tasks.machine.commands import Commands
    from buildx_tasks.platforms import Platform

_MOST_AHEAD = 8
_INFO = "/info"  # no image has such a name

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
        self._api: Api | None = None
        self._api_version = ""
        self._guard = threading.RLock()  # guards what is opened when it is first needed
        self.blobs: dict[str, bytes] = {}  # manifests and configs of its store, by digest
        self._ahead = Ahead(lambda: commands.changes)

    @property
    def api(self) -> Api:
        """The connection for plain questions, made when it is first needed."""
        with self._guard:
            if self._api is None and self._client is not None:
                self._api = connection.given(self._client)
            if self._api is None:
                reached = connection.reach()
                self._api, self._api_version = reached.api, reached.api_version
                self._client = reached.client
            return self._api

    @property
    def client(self) -> docker.DockerClient:
        """The same engine in docker's library, for what is more than a question."""
        with self._guard:
            if self._client is None:
                _ = self.api
            if self._client is None:
                self._client = connection.library(self._api_version)
            return self._client

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        """Ask for a path of the API, in the version that the engine has.

        Raises:
            faults.lost_connections: nobody answers, or not in time.

        """
        api = self.api
        version = self._api_version or self.client.api.api_version
        return api.get(f"/v{version}{path}", query)

    def look_ahead(self, references: Sequence[str]) -> None:
        """Begin to ask what the engine is, and for images that :meth:`image` will be asked for first.

        It waits for nothing, and is for what is near, and for few images: an answer that nobody takes
        costs the engine as much.
        """
        with suppress(EngineError):
            if len(references) <= _MOST_AHEAD and isinstance(addresses.plain(), str):
                self._ahead.begin((_INFO, *references), self._asked)

    def _asked(self, name: str) -> Answer:
        return self.get(_INFO) if name == _INFO else self.get(*_image(name))

    def image(self, reference: str) -> Answer:
        """Ask what the engine says of an image, its manifests too.

        Source: https://docs.docker.com/reference/api/engine/version/v1.48/#tag/Image/operation/ImageInspect

        Raises:
            faults.lost_connections: nobody answers, or not in time.

        """
        return self._ahead.taken(reference) or self._asked(reference)

    @cached_property
    def info(self) -> dict[str, Any]:
        """What ``GET /info`` says: of one moment, but for nothing that is read of it here."""
        with faults():
            found: dict[str, Any] = (self._ahead.taken(_INFO) or self._asked(_INFO)).good()
            return found

    @cached_property
    def version(self) -> dict[str, Any]:
        """What ``GET /version`` says: ``Version``, ``ApiVersion`` and more."""
        with faults():
            found: dict[str, Any] = self.get("/version").good()
        return found

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
            return bool(self.api)
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
        return (
            sys.platform == "linux"
            and self.api.is_unix
            # Docker Desktop's socket is here, its kernel is not.
            and self.info.get("KernelVersion") == os.uname().release
        )

    def close(self) -> None:
        """End the connection, where it was made here."""
        if self._api is not None:
            self._api.close()
        if self._client is not None and self._is_ours:
            self._client.close()
        if self._is_ours:
            self._api = self._client = None


def _image(reference: str) -> tuple[str, dict[str, str]]:
    return f"/images/{quote(reference)}/json", {"manifests": "1"}
