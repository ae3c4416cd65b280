"""The declared builder and emulators against the real ones: look, make ready what is missing."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks import emulators, engine, ledger, platforms
from buildx_tasks.commands import is_dry, query, run
from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from invoke import Context

    from buildx_tasks.config import Builder
    from buildx_tasks.expansion import Config
    from buildx_tasks.platforms import Platform


class BuilderState(NamedTuple):
    """One builder as buildx lists it."""

    name: str
    driver: str
    current: bool
    running: bool
    platforms: frozenset[Platform]


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
        nodes = entry.get("Nodes") or []
        found[entry["Name"]] = BuilderState(
            entry["Name"],
            entry["Driver"],
            entry["Current"],
            bool(nodes) and all(node.get("Status") == "running" for node in nodes),
            frozenset(_parsed(text for node in nodes for text in node.get("Platforms") or [])),
        )
    return found


def _parsed(texts: Iterable[str]) -> Iterable[Platform]:
    for text in texts:
        # BuildKit may know platforms that no image can declare here.
        with contextlib.suppress(ValueError):
            yield platforms.parse(text.rstrip("*"))


def setup(c: Context, config: Config, root: Path) -> list[str]:
    """Make the emulators and the declared builder ready; return what was changed, in words.

    Raises:
        EngineError: something is missing that this cannot make.

    """
    client = engine.connect()
    declared = config.builder
    known = states(c)
    state = known.get(declared.name) if declared else None
    in_use = next((builder for builder in known.values() if builder.current), None)
    changes = emulators.make_ready(c, config, client, root, state or in_use)
    if declared is None or (declared.driver == "docker" and declared.name == "default"):
        if changes:
            _bootstrap(c, root, declared.name if declared else None)
        return changes
    # A builder that does not answer has no driver in the list.
    if state and state.driver not in ("", declared.driver):
        raise EngineError(
            f'builder "{declared.name}" exists with driver {state.driver}, declared is '
            f"{declared.driver}; remove it ({_shown(_removal(state.name, state.driver))}) "
            "or give [builder] another name"
        )
    created = state is None
    for argv, change in _builder_commands(c, declared, state):
        if not run(c, argv, folder=root, hide=True).ok and not is_dry(c):
            raise EngineError(f"{_shown(argv)} failed; run it to see why")
        changes.append(change)
    if created and not is_dry(c):
        # Before the bootstrap: a builder that does not start is ours to clean up all the same.
        ledger.record(root, "created", [{"builder": declared.name, "driver": declared.driver}])
    if changes or not (state and state.running):
        _bootstrap(c, root, declared.name)
        changes.append(f'bootstrapped builder "{declared.name}"')
    return changes


def _builder_commands(
    c: Context, declared: Builder, state: BuilderState | None
) -> list[tuple[list[str], str]]:
    if declared.driver == "docker":
        return _context_commands(c, declared, state)
    commands = []
    if state is None:
        argv = ["docker", "buildx", "create", "--name", declared.name, "--driver", declared.driver]
        for key, value in declared.driver_opts.items():
            argv += ["--driver-opt", f"{key}={value}"]
        if declared.endpoint:
            argv.append(declared.endpoint)
        commands.append((argv, f'created builder "{declared.name}" ({declared.driver})'))
    if state is None or not state.current:
        argv = ["docker", "buildx", "use", declared.name]
        commands.append((argv, f'builder "{declared.name}" is now the one in use'))
    return commands


def _context_commands(
    c: Context, declared: Builder, state: BuilderState | None
) -> list[tuple[list[str], str]]:
    """Return how the engine's own builder gets the declared name.

    buildx has one ``docker`` builder for each docker context, and cannot create others.
    Source: https://docs.docker.com/build/builders/drivers/docker/
    """
    source = declared.endpoint or query(c, ["docker", "context", "show"]).stdout.strip()
    if state is None:
        description = "the engine's own builder, made by buildx-tasks"
        argv = ["docker", "context", "create", declared.name]
        argv += ["--description", description, "--docker", f"from={source}"]
        return [(argv, f'created builder "{declared.name}" (docker, the engine of {source})')]
    if _context_host(c, declared.name) != _context_host(c, source):
        argv = ["docker", "context", "update", declared.name, "--docker", f"from={source}"]
        return [(argv, f'builder "{declared.name}" now uses the engine of {source}')]
    return []


def _context_host(c: Context, name: str) -> str:
    template = "{{.Endpoints.docker.Host}}"
    argv = ["docker", "context", "inspect", name, "--format", template]
    return str(query(c, argv).stdout.strip())


def require_same_engine(c: Context, declared: Builder) -> None:
    """Raise if the declared docker builder is not the engine that images are run and pushed from.

    Only asked where somebody chose another engine than docker's default one.

    Raises:
        EngineError: they are two engines.

    """
    if declared.driver != "docker" or declared.endpoint or not _engine_chosen():
        return
    used = _context_host(c, query(c, ["docker", "context", "show"]).stdout.strip())
    built_on = _context_host(c, declared.name)
    if built_on and built_on != used:
        raise EngineError(
            f'builder "{declared.name}" is the engine at {built_on}, but docker uses the one at '
            f"{used}; run invoke setup to move the builder, or unset DOCKER_HOST and DOCKER_CONTEXT"
        )


def _engine_chosen() -> bool:
    if os.environ.get("DOCKER_HOST") or os.environ.get("DOCKER_CONTEXT"):
        return True
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        return bool(json.loads((folder / "config.json").read_text("utf-8")).get("currentContext"))
    except (OSError, ValueError):
        return False


def _bootstrap(c: Context, root: Path, name: str | None) -> None:
    argv = ["docker", "buildx", "inspect", "--bootstrap", *([name] if name else [])]
    result = run(c, argv, folder=root, hide=True)
    if not result.ok and not is_dry(c):
        raise EngineError(f"the builder does not start: {result.stderr.strip().splitlines()[-1]}")


def _removal(name: str, driver: str) -> list[str]:
    if driver == "docker":
        return ["docker", "context", "rm", "--force", name]
    return ["docker", "buildx", "rm", "--force", name]


def _shown(argv: Sequence[str]) -> str:
    return " ".join(argv)


def remove_created(c: Context, root: Path) -> list[str]:
    """Remove the builders that setup created (as the ledger has it); return what was removed."""
    created = {
        entry["builder"]: entry["driver"]
        for entry in ledger.read(root)
        if entry["event"] == "created"
    }
    removed = []
    actual = states(c) if created else {}
    for name, driver in created.items():
        if name in actual and actual[name].driver == driver:
            result = run(c, _removal(name, driver), folder=root, hide=True)
            if not result.ok and not is_dry(c):
                raise EngineError(f'builder "{name}" cannot be removed: {result.stderr.strip()}')
            removed.append(f'builder "{name}"')
    return removed
