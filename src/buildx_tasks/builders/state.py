"""Builders as buildx has them, the one that is meant, and the commands that name it."""

from __future__ import annotations

import contextlib
import json
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks import platforms
from buildx_tasks.engine import connection as engine
from buildx_tasks.errors import EngineError
from buildx_tasks.language.config import Builder
from buildx_tasks.machine.commands import query
from buildx_tasks.records import ledger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from invoke import Context

    from buildx_tasks.language.expansion import Config
    from buildx_tasks.platforms import Platform

# Made where nothing is declared and the engine's own cannot do the job; on the machine's network it
# reaches registries on loopback, as the engine does.
FALLBACK = Builder("buildx-tasks", "docker-container", driver_opts={"network": "host"})
ENGINES = ("docker", "docker-container")  # drivers that need an engine
NOT_STARTED = ("remote", "cloud")  # drivers whose nodes no bootstrap can start
CURRENT_VARIABLE = "BUILDX_BUILDER"  # buildx's own, for who wants another builder just now


class NodeState(NamedTuple):
    """One node as buildx lists it.

    ``platforms`` holds the ones that were pinned to it first, then those its machine can run, its
    own before the emulated ones; just the pinned ones while it does not answer. ``files`` maps the
    names of configuration files to their content in base64.
    """

    name: str
    endpoint: str
    status: str
    platforms: tuple[Platform, ...] = ()
    driver_opts: dict[str, str] = {}  # noqa: RUF012 - never written to
    flags: tuple[str, ...] = ()
    files: dict[str, str] = {}  # noqa: RUF012 - never written to
    error: str = ""

    @property
    def running(self) -> bool:
        """Whether the node answers."""
        return self.status == "running"


class BuilderState(NamedTuple):
    """One builder as buildx lists it; ``driver`` is ``""`` where it does not answer."""

    name: str
    driver: str
    current: bool
    nodes: tuple[NodeState, ...] = ()
    error: str = ""

    @property
    def running(self) -> bool:
        """Whether every node answers."""
        return bool(self.nodes) and all(node.running for node in self.nodes)

    @property
    def platforms(self) -> frozenset[Platform]:
        """What the nodes that answer can build, natively or emulated."""
        return frozenset(p for node in self.nodes if node.running for p in node.platforms)


def states(c: Context) -> dict[str, BuilderState]:
    """Return the builders that buildx knows, by name.

    Raises:
        EngineError: buildx is missing.

    """
    result = query(c, ["docker", "buildx", "ls", "--format", "json"])
    if not result.ok:
        engine.explain_failure(c, (), None)
        raise EngineError(f"docker buildx ls failed: {result.stderr.strip()}")
    found = {}
    for line in result.stdout.splitlines():
        entry = json.loads(line)
        nodes = tuple(map(_node, entry.get("Nodes") or []))
        found[entry["Name"]] = BuilderState(
            entry["Name"], entry["Driver"], entry["Current"], nodes, entry.get("Err") or ""
        )
    return found


def _node(entry: dict[str, Any]) -> NodeState:
    return NodeState(
        entry.get("Name") or "",
        entry.get("Endpoint") or "",
        entry.get("Status") or "",
        tuple(_parsed(entry.get("Platforms") or [])),
        entry.get("DriverOpts") or {},
        tuple(entry.get("Flags") or ()),
        entry.get("Files") or {},
        entry.get("Err") or "",
    )


def _parsed(texts: Iterable[str]) -> Iterable[Platform]:
    for text in texts:
        # BuildKit may know platforms that no image can declare here.
        with contextlib.suppress(ValueError):
            yield platforms.parse(text.strip().rstrip("*"))


def inspected(c: Context, name: str) -> BuilderState | None:
    """Return one builder, without asking others; None where there is no such builder.

    The list asks every builder of the person, and waits 20 s for a node that takes connections and
    says nothing. Only what a build needs is read: driver, status, endpoint, platforms, errors.
    """
    result = query(c, ["docker", "buildx", "inspect", name])
    head, _, rest = result.stdout.partition("\nNodes:\n")
    facts = dict(_facts(head))
    if not result.ok and "Driver" not in facts:
        if not query(c, ["docker", "buildx", "version"]).ok:
            engine.explain_failure(c, (), None)
        return None
    nodes: list[NodeState] = []
    for key, value in _facts(rest):
        if key == "Name":
            nodes.append(NodeState(value, "", ""))
        elif nodes and key == "Endpoint":
            nodes[-1] = nodes[-1]._replace(endpoint=value)
        elif nodes and key == "Status":
            nodes[-1] = nodes[-1]._replace(status=value)
        elif nodes and key == "Error":
            nodes[-1] = nodes[-1]._replace(error=value)
        elif nodes and key == "Platforms":
            nodes[-1] = nodes[-1]._replace(platforms=tuple(_parsed(value.split(","))))
    error = facts.get("Error", "")
    return BuilderState(
        name, facts.get("Driver", ""), current=False, nodes=tuple(nodes), error=error
    )


def _facts(text: str) -> Iterator[tuple[str, str]]:
    """Yield the lines ``key: value`` that stand at the margin."""
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon and key[:1].isalpha():
            yield key, value.strip()


def pinned(c: Context, name: str) -> dict[str, frozenset[Platform]]:
    """Return the platforms that were pinned to each node; only ``inspect`` marks them, with ``*``.

    Its text holds the files of certificates too, keys included: it is never shown.
    """
    found: dict[str, frozenset[Platform]] = {}
    node = ""
    nodes = query(c, ["docker", "buildx", "inspect", name]).stdout.partition("\nNodes:\n")[2]
    for key, value in _facts(nodes):
        if key == "Name":
            node = value
            found[node] = frozenset()
        elif key == "Platforms":
            starred = [text for text in value.split(",") if text.strip().endswith("*")]
            found[node] = frozenset(_parsed(starred))
    return found


def meant(config: Config, root: Path) -> Builder | None:
    """Return the builder of all builds: the declared one, or the one that setup made instead.

    None is the engine's own, or what ``BUILDX_BUILDER`` names.
    """
    if config.builder or overridden():
        return config.builder
    events = [e for e in ledger.read(root) if e.get("builder") == FALLBACK.name]
    return FALLBACK if events and events[-1]["event"] in ("created", "chosen") else None


def command(builder: Builder | None, *words: str) -> list[str]:
    """Return the ``docker buildx`` command with these words, for the builder that is meant."""
    if builder is None:
        if overridden():
            return ["docker", "buildx", *words]
        return ["docker", "buildx", "--builder", engine.context_name(), *words]
    # buildx takes the builder of a docker context only under that context.
    context = ["--context", builder.name] if builder.driver == "docker" else []
    return ["docker", *context, "buildx", "--builder", builder.name, *words]


def overridden() -> bool:
    """Say whether ``BUILDX_BUILDER`` names another builder than the engine's own."""
    return bool(os.environ.get(CURRENT_VARIABLE))


def name_of(builder: Builder | None) -> str:
    """Return the name that buildx lists the builder under."""
    return builder.name if builder else os.environ.get(CURRENT_VARIABLE) or engine.context_name()


def context_host(c: Context, name: str) -> str:
    """Return the engine's address in a docker context; ``""`` where there is no such context."""
    template = "{{.Endpoints.docker.Host}}"
    argv = ["docker", "context", "inspect", name, "--format", template]
    return str(query(c, argv).stdout.strip())


def require_same_engine(c: Context, declared: Builder) -> None:
    """Raise if the declared docker builder is not the engine that images are run and pushed from.

    Only asked where somebody chose another engine than docker's default one.

    Raises:
        EngineError: they are two engines.

    """
    if declared.driver != "docker" or declared.endpoint or not engine.chosen():
        return
    used = context_host(c, engine.context_name())
    built_on = context_host(c, declared.name)
    if built_on and built_on != used:
        raise EngineError(
            f'builder "{declared.name}" is the engine at {built_on}, but docker uses the one at '
            f"{used}; run invoke setup to move the builder, or unset DOCKER_HOST and DOCKER_CONTEXT"
        )


def require_driver(c: Context, driver: str) -> None:
    """Raise if this buildx was built without a driver, as with ``cloud`` outside Docker Desktop.

    Raises:
        EngineError: it does not have the driver.

    """
    text = query(c, ["docker", "buildx", "create", "--help"]).stdout
    available = re.search(r"available:((?:\s*\"[a-z-]+\",?)+)", text)
    known = re.findall(r'"([a-z-]+)"', available[1]) if available else []
    if known and driver not in known:
        raise EngineError(
            f'this buildx has no driver "{driver}"; it has: docker, {", ".join(known)}; '
            "install Docker's own buildx, or declare another driver"
        )
