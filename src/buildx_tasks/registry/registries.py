"""A reference in; the repository that it is in, out, each registry connected to once."""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING, Any

from buildx_tasks import references
from buildx_tasks.registry import endpoints
from buildx_tasks.registry.connection import Registry
from buildx_tasks.registry.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from buildx_tasks.language.config import Builder
    from buildx_tasks.references import Reference


class Registries:
    """The registries that are spoken to, by several threads; each is connected to when first needed.

    ``builder`` may declare how they are reached; ``info`` gives what the engine says of itself, and
    is called once, when a registry is needed; files are named from ``root``.
    """

    def __init__(
        self, builder: Builder | None, info: Callable[[], Mapping[str, Any]], root: Path
    ) -> None:
        self._builder = builder
        self._info = info
        self._root = root
        self._known: dict[str, Registry] = {}
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Load what speaks to registries, beside what the caller waits for meanwhile; none is asked."""
        threading.Thread(target=importlib.import_module, args=("requests",)).start()

    def registry(self, name: str) -> Registry:
        """Return a registry by its name in references.

        Raises:
            EngineError: a declared certificate cannot be read.

        """
        with self._lock:
            if name not in self._known:
                endpoint = endpoints.of(name, self._builder, self._info(), self._root)
                self._known[name] = Registry(endpoint)
            return self._known[name]

    def repository(self, reference: Reference) -> Repository:
        """Return the repository that a reference is in, whether it exists or not."""
        return Repository(self.registry(reference.registry), reference.repository)

    def of(self, text: str) -> Repository:
        """Return the repository of ``repository[:tag][@digest]``."""
        return self.repository(references.parse(text.partition("@")[0]))

    def close(self) -> None:
        """End all connections."""
        for registry in self._known.values():
            registry.close()
        self._known.clear()
