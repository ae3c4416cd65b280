"""What buildx says in; builders and their nodes as they are now out."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks import platforms
from buildx_tasks.engine import explanation
from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.platforms import Platform


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

    @property
    def title(self) -> str:
        """What a person calls it."""
        return f'node "{self.name}" at {self.endpoint}'


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


def titles(nodes: Sequence[NodeState]) -> str:
    """Return what a person calls some nodes."""
    return ", ".join(node.title for node in nodes)


def states(engine: Engine) -> dict[str, BuilderState]:
    """Return the builders that buildx knows, by name.

    Raises:
        EngineError: buildx is missing.

    """
    result = engine.commands.query(["docker", "buildx", "ls", "--format", "json"])
    if not result.ok:
        explanation.explain_failure(engine, (), None)
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


def inspected(engine: Engine, name: str) -> BuilderState | None:
    """Return one builder, without asking others; None where there is no such builder.

    The list asks every builder of the person, and waits 20 s for a node that takes connections and
    says nothing. Only what a build needs is read: driver, status, endpoint, platforms, errors.
    """
    result = engine.commands.query(["docker", "buildx", "inspect", name])
    head, _, rest = result.stdout.partition("\nNodes:\n")
    facts = dict(_facts(head))
    if not result.ok and "Driver" not in facts:
        if not engine.commands.query(["docker", "buildx", "version"]).ok:
            explanation.explain_failure(engine, (), None)
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


def pinned(engine: Engine, name: str) -> dict[str, frozenset[Platform]]:
    """Return the platforms that were pinned to each node; only ``inspect`` marks them, with ``*``.

    Its text holds the files of certificates too, keys included: it is never shown.
    """
    found: dict[str, frozenset[Platform]] = {}
    node = ""
    said = engine.commands.query(["docker", "buildx", "inspect", name]).stdout
    nodes = said.partition("\nNodes:\n")[2]
    for key, value in _facts(nodes):
        if key == "Name":
            node = value
            found[node] = frozenset()
        elif key == "Platforms":
            starred = [text for text in value.split(",") if text.strip().endswith("*")]
            found[node] = frozenset(_parsed(starred))
    return found
