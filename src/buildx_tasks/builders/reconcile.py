"""A declared builder and the actual one in; the changes that make them one, in their order, out."""

from __future__ import annotations

import csv
import io
import shlex
from typing import TYPE_CHECKING, Literal, NamedTuple

from buildx_tasks.builders import buildkitd
from buildx_tasks.builders.state import BuilderState, NodeState, pinned
from buildx_tasks.engine import settings
from buildx_tasks.errors import EngineError
from buildx_tasks.records import ledger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from buildx_tasks.builders.nodes import Node
    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.language.config import Builder
    from buildx_tasks.machine.commands import Commands
    from buildx_tasks.platforms import Platform

_OURS = "made by buildx-tasks"  # in the description of our docker contexts

# The container and kubernetes drivers add it to every node.
_ADDED_FLAG = "--allow-insecure-entitlement=network.host"
_OWN_DAEMON = ("docker-container", "kubernetes")  # drivers whose nodes are started by buildx


class Otherwise(NamedTuple):
    """What is said and done where a command fails: the same with another word in a word's place."""

    words: str
    word: str
    other: str


class Change(NamedTuple):
    """One step: its words for a person, its commands, and the files that these read.

    ``event`` says what it means for the builder, where that is of interest to others; ``things`` are
    what it makes, each by a name, where that is more than the builder.
    """

    words: str
    commands: tuple[tuple[str, ...], ...] = ()
    files: dict[str, str] = {}  # noqa: RUF012 - never written to
    event: Literal["", "created", "removed", "used", "bootstrapped"] = ""
    otherwise: Otherwise | None = None
    things: tuple[str, ...] = ()


def context_changes(engine: Engine, declared: Builder, state: BuilderState | None) -> list[Change]:
    """Return how the engine's own builder gets the declared name.

    buildx has one ``docker`` builder for each docker context, and cannot create others.
    Source: https://docs.docker.com/build/builders/drivers/docker/
    """
    name = declared.name
    source = declared.endpoint or settings.context_name()
    host = settings.context_host(engine.commands, source)
    if not host:
        raise EngineError(
            f'[builder] endpoint "{source}" is no docker context; see docker context ls'
        )
    changes = []
    if state and state.driver not in ("", "docker"):
        why = f"driver is {state.driver}, declared is docker"
        changes.append(_removal(state, why, keep=False))
        state = None
    if state is None:
        argv: tuple[str, ...] = ("docker", "context", "create", name)
        argv += (
            "--description",
            f"the engine's own builder, {_OURS}",
            "--docker",
            f"from={source}",
        )
        words = f'create builder "{name}" (docker, the engine of {source})'
        return [*changes, Change(words, (argv,), event="created")]
    if settings.context_host(engine.commands, name) != host:
        _require_ours(engine.commands, name)
        argv = ("docker", "context", "update", name, "--docker", f"from={source}")
        return [Change(f'change builder "{name}": it uses the engine of {source}', (argv,))]
    return []


def node_changes(
    engine: Engine,
    declared: Builder,
    nodes: Sequence[Node],
    state: BuilderState | None,
    root: Path,
) -> list[Change]:
    """Return how a builder with nodes of its own becomes the declared one.

    Nodes that differ are changed in place where buildx can; else the builder is made anew, and its
    cache state is kept.

    Raises:
        EngineError: something of that name is in the way, or a named file cannot be read.

    """
    if state is None:
        return creation(declared, nodes)
    if state.driver != declared.driver:
        return [_other_removal(engine.commands, declared, state), *creation(declared, nodes)]
    if declared.driver == "cloud":
        return []
    there = {node.name: node for node in state.nodes}
    wanted = {node.name for node in nodes}
    pins = pinned(engine, declared.name)
    hosts = {}
    if declared.driver == "docker-container":
        nodes = [n if n.endpoint else n._replace(endpoint=settings.context_name()) for n in nodes]
        contexts = [node.endpoint for node in nodes if "://" not in node.endpoint]
        hosts = {name: settings.context_host(engine.commands, name) for name in contexts}
    differing = {
        node.name: found
        for node in nodes
        if node.name in there
        and (
            found := differences(
                node, there[node.name], pins.get(node.name, frozenset()), root, hosts
            )
        )
    }
    extra = [node for node in state.nodes if node.name not in wanted]
    missing = [node for node in nodes if node.name not in there]
    if differing and not _in_place(declared, nodes, state, differing):
        why = "; ".join(f'node "{name}": {", ".join(d)}' for name, d in differing.items())
        return [_removal(state, why), *creation(declared, nodes)]
    if len(extra) == len(state.nodes):
        # buildx lets no last node leave.
        return [_removal(state, "none of its nodes is declared"), *creation(declared, nodes)]
    changes = [leaving(declared, node) for node in extra]
    for node in nodes:
        if node.name in differing:
            change = _append(declared, node)
            words = f'change node "{node.name}": {", ".join(differing[node.name])}'
            commands = (_leave(declared, node.name), *change.commands)
            changes.append(Change(words, commands, change.files))
    return [*changes, *(_append(declared, node) for node in missing)]


def differences(
    node: Node,
    actual: NodeState,
    pins: frozenset[Platform],
    root: Path,
    hosts: dict[str, str],
) -> list[str]:
    """Return in words what differs between a declared node and the actual one.

    What buildx adds by itself is no difference. ``pins`` are the platforms pinned to the actual node;
    ``hosts`` maps docker contexts to addresses.
    Values of options are not repeated: an environment variable can be a secret.
    """
    found = []
    if node.endpoint and actual.endpoint not in (node.endpoint, hosts.get(node.endpoint)):
        found.append(f"endpoint is {actual.endpoint}, declared is {node.endpoint}")
    if set(node.platforms) != pins:
        found.append(f"platforms are {_listed(pins)}, declared are {_listed(node.platforms)}")
    if node.driver_opts != actual.driver_opts:
        keys = node.driver_opts.keys() | actual.driver_opts.keys()
        odd = [k for k in sorted(keys) if node.driver_opts.get(k) != actual.driver_opts.get(k)]
        found.append(f"driver-opts differ in {', '.join(odd)}")
    flags = [flag for flag in actual.flags if flag != _ADDED_FLAG or flag in node.flags]
    if list(node.flags) != flags:
        found.append(
            f"buildkitd-flags are {shlex.join(flags) or 'none'}, "
            f"declared are {shlex.join(node.flags) or 'none'}"
        )
    wanted = buildkitd.declared_form(node.config, root) if node.config else buildkitd.default_form()
    if wanted != buildkitd.stored_form(actual.files):
        found.append("the configuration of buildkitd differs")
    return found


def _listed(found: Sequence[Platform] | frozenset[Platform]) -> str:
    return ", ".join(sorted(map(str, found))) or "none"


def _in_place(
    declared: Builder, nodes: Sequence[Node], state: BuilderState, differing: dict[str, list[str]]
) -> bool:
    """Say whether differing nodes can leave and be appended again, one after the other."""
    # A node that buildx started would keep its old settings, and the last one cannot leave.
    staying = {node.name for node in nodes} & {node.name for node in state.nodes}
    if declared.driver in _OWN_DAEMON or len(staying) < 2:
        return False
    owners = {node.endpoint: node.name for node in state.nodes}
    return all(
        owners.get(node.endpoint, node.name) == node.name
        for node in nodes
        if node.name in differing
    )


def creation(declared: Builder, nodes: Sequence[Node]) -> list[Change]:
    """Return how a builder of these nodes is made."""
    first, *others = nodes
    change = _created(declared, first, append=False)
    where = f" at {first.endpoint}" if first.endpoint else ""
    words = f'create builder "{declared.name}" ({declared.driver}) with node "{first.name}"{where}'
    return [
        Change(words, change.commands, change.files, "created"),
        *(_append(declared, node) for node in others),
    ]


def _append(declared: Builder, node: Node) -> Change:
    return _created(declared, node, append=True)


def _created(declared: Builder, node: Node, *, append: bool) -> Change:
    argv = ["docker", "buildx", "create", "--name", declared.name, "--driver", declared.driver]
    argv += ["--append"] if append else []
    # The first node's name is buildx's own choice, unless another one is declared.
    if append or node.name != f"{declared.name}0":
        argv += ["--node", node.name]
    if node.platforms:
        argv += ["--platform", ",".join(map(str, node.platforms))]
    for key, value in node.driver_opts.items():
        argv += ["--driver-opt", _csv(f"{key}={value}")]
    if node.flags:
        argv += ["--buildkitd-flags", shlex.join(node.flags)]
    files = {}
    if node.config:
        path = f"{ledger.FOLDER}/buildkitd-{node.name}.toml"
        files[path] = buildkitd.text(node.config)
        argv += ["--buildkitd-config", path]
    if node.endpoint:
        argv.append(node.endpoint)
    where = f" at {node.endpoint}" if node.endpoint else ""
    pins = f" for {_listed(node.platforms)}" if node.platforms else ""
    return Change(f'append node "{node.name}"{where}{pins}', (tuple(argv),), files)


def _csv(text: str) -> str:
    """Quote a driver option that has commas or quotes: buildx reads options as CSV."""
    row = io.StringIO()
    csv.writer(row, lineterminator="").writerow([text])
    return row.getvalue()


def _removal(state: BuilderState, why: str, *, keep: bool = True) -> Change:
    cache = ", its cache is kept" if keep else ""
    words = f'remove builder "{state.name}" to make it anew{cache}: {why}'
    options = ["--keep-state"] if keep else []
    return Change(words, (tuple(removal(state.name, *options)),), event="removed")


def context_removal(name: str) -> list[str]:
    """Return the command that removes a builder that is a docker context."""
    return ["docker", "context", "rm", "--force", name]


def removal(name: str, *options: str) -> list[str]:
    """Return the command that removes a builder that buildx holds itself."""
    return ["docker", "buildx", "rm", "--force", *options, name]


def _other_removal(commands: Commands, declared: Builder, state: BuilderState) -> Change:
    """Return how a builder that is not of the declared driver goes; ``""`` is one that is broken."""
    unknown = not state.driver
    if state.driver == "docker" or (unknown and settings.context_host(commands, declared.name)):
        return _context_removal(commands, declared)
    if not state.driver:
        return _removal(state, state.error or "it is broken")
    return _removal(state, f"driver is {state.driver}, declared is {declared.driver}", keep=False)


def _context_removal(commands: Commands, declared: Builder) -> Change:
    _require_ours(commands, declared.name)
    argv = tuple(context_removal(declared.name))
    why = f"driver is docker, declared is {declared.driver}"
    return Change(f'remove builder "{declared.name}": {why}', (argv,), event="removed")


def _require_ours(commands: Commands, name: str) -> None:
    if not is_our_context(commands, name):
        raise EngineError(
            f'"{name}" is a docker context that buildx-tasks did not make; '
            "give [builder] another name, or remove the context"
        )


def is_our_context(commands: Commands, name: str) -> bool:
    """Say whether a docker context was made by setup."""
    argv = ["docker", "context", "inspect", name, "--format", "{{json .Metadata}}"]
    return _OURS in commands.query(argv).stdout


def leaving(declared: Builder, node: NodeState) -> Change:
    """Return how a node that is not the last one leaves the builder, and stops."""
    leave = _leave(declared, node.name)
    words = f'remove node "{node.name}": it is not declared'
    if declared.driver not in _OWN_DAEMON:
        return Change(words, (leave,))
    # buildx only forgets a node that leaves: as a builder of its own, its container goes too. First,
    # so that a setup that is killed in between still finds the node.
    alone = f"{declared.name}-leaving-{node.name}"
    argv = ["docker", "buildx", "create", "--name", alone, "--driver", declared.driver]
    argv += ["--node", node.name]
    for key, value in node.driver_opts.items():
        argv += ["--driver-opt", _csv(f"{key}={value}")]
    argv += [node.endpoint] if declared.driver == "docker-container" else []
    return Change(words, (tuple(argv), tuple(removal(alone)), leave))


def _leave(declared: Builder, node: str) -> tuple[str, ...]:
    return ("docker", "buildx", "create", "--name", declared.name, "--node", node, "--leave")
