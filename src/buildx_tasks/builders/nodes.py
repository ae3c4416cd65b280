"""``[builder]`` in; its nodes, each with all that it takes from the builder, out."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from buildx_tasks import platforms
from buildx_tasks.language.drivers import CERTIFICATE_FILES, tables

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from buildx_tasks.language.config import Builder
    from buildx_tasks.platforms import Platform

_SECONDS = 2.0  # for a node to take a connection, once it is known not to answer buildx


class Node(NamedTuple):
    """One declared node; ``endpoint`` is ``""`` for buildx's own choice, ``config`` buildkitd's."""

    name: str
    endpoint: str
    platforms: tuple[Platform, ...]
    driver_opts: dict[str, str]
    flags: tuple[str, ...]
    config: dict[str, Any]


def declared(builder: Builder, root: Path) -> tuple[Node, ...]:
    """Return the nodes of a builder; TLS files that are named from the project's folder are found."""
    found = []
    for number, table in enumerate(tables(builder)):
        options = {**builder.driver_opts, **table.driver_opts}
        if builder.driver == "remote":
            # buildx wants these absolute.
            named = [key for key in CERTIFICATE_FILES if key in options]
            options.update({key: str((root / options[key]).absolute()) for key in named})
        config = table.buildkitd or builder.buildkitd
        found.append(
            Node(
                table.name or f"{builder.name}{number}",
                table.endpoint or "",
                tuple(map(platforms.parse, table.platforms)),
                options,
                tuple(table.buildkitd_flags or builder.buildkitd_flags),
                _without_defaults(config) if config else {},
            )
        )
    return tuple(found)


def pinned(builder: Builder | None) -> frozenset[Platform]:
    """Return the platforms that the builder's nodes are declared to run natively."""
    declaring = tables(builder) if builder else []
    return frozenset(platforms.parse(text) for table in declaring for text in table.platforms)


def unreachable(endpoint: str, options: Mapping[str, str]) -> str:
    """Return why a node of the remote driver does not answer, where that can be told; else ``""``."""
    for key in CERTIFICATE_FILES:
        if key in options and not os.access(options[key], os.R_OK):
            return f"{key} {options[key]} cannot be read"
    try:
        parts = urlsplit(endpoint)
        if parts.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as plain:
                plain.settimeout(_SECONDS)
                plain.connect(parts.path)
        elif parts.scheme == "tcp":
            if not parts.port:
                return "the endpoint has no port"
            with socket.create_connection((parts.hostname or "", parts.port), timeout=_SECONDS):
                pass
    except (OSError, ValueError) as error:
        return str(getattr(error, "strerror", None) or error)
    return ""


def _without_defaults(config: Any) -> dict[str, Any]:
    """Return a structure as plain data, without what nobody wrote."""

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            kept = {key: clean(item) for key, item in value.items()}
            return {key: item for key, item in kept.items() if item not in (None, [], {})}
        return [clean(item) for item in value] if isinstance(value, list) else value

    return dict(clean(msgspec.to_builtins(config)))
