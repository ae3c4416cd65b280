"""A project in; the builder that is meant, and the commands that name it, out."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

from buildx_tasks.engine import settings
from buildx_tasks.errors import EngineError
from buildx_tasks.language.config import Builder

if TYPE_CHECKING:
    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.workspace import Workspace

# Made where nothing is declared and the engine's own cannot do the job; on the machine's network it
# reaches registries on loopback, as the engine does.
FALLBACK = Builder("buildx-tasks", "docker-container", driver_opts={"network": "host"})
ENGINES = ("docker", "docker-container")  # drivers that need an engine
NOT_STARTED = ("remote", "cloud")  # drivers whose nodes no bootstrap can start
CURRENT_VARIABLE = "BUILDX_BUILDER"  # buildx's own, for who wants another builder just now


def meant(workspace: Workspace) -> Builder | None:
    """Return the builder of all builds: the declared one, or the one that setup made instead.

    None is the engine's own, or what ``BUILDX_BUILDER`` names: that counts more than what is declared.
    """
    declared = workspace.config.builder
    if overridden():
        named = os.environ[CURRENT_VARIABLE]
        return declared if declared and declared.name == named else None
    if declared:
        return declared
    events = [e for e in workspace.ledger.read() if e.get("builder") == FALLBACK.name]
    return FALLBACK if events and events[-1]["event"] in ("created", "chosen") else None


def command(builder: Builder | None, *words: str) -> list[str]:
    """Return the ``docker buildx`` command with these words, for the builder that is meant."""
    if builder is None:
        if overridden():
            return ["docker", "buildx", *words]
        return ["docker", "buildx", "--builder", settings.context_name(), *words]
    # buildx takes the builder of a docker context only under that context.
    context = ["--context", builder.name] if builder.driver == "docker" else []
    return ["docker", *context, "buildx", "--builder", builder.name, *words]


def overridden() -> bool:
    """Say whether ``BUILDX_BUILDER`` names another builder than the engine's own."""
    return bool(os.environ.get(CURRENT_VARIABLE))


def is_engines_own(builder: Builder | None) -> bool:
    """Say whether what builds is the engine that docker uses, which takes images from its own store."""
    if builder is None:
        return not overridden()
    return builder.driver == "docker" and not builder.endpoint


def say_override(workspace: Workspace) -> None:
    """Say where ``BUILDX_BUILDER`` names another builder than the declared one."""
    declared = workspace.config.builder
    if declared and meant(workspace) is None:
        line = (
            f'built on "{name_of(None)}", which {CURRENT_VARIABLE} names, not on the declared builder '
            f'"{declared.name}"'
        )
        print(line, file=sys.stderr, flush=True)


def name_of(builder: Builder | None) -> str:
    """Return the name that buildx lists the builder under."""
    return builder.name if builder else os.environ.get(CURRENT_VARIABLE) or settings.context_name()


def require_same_engine(engine: Engine, declared: Builder) -> None:
    """Raise if the declared docker builder is not the engine that images are run and pushed from.

    Only asked where somebody chose another engine than docker's default one.

    Raises:
        EngineError: they are two engines.

    """
    if declared.driver != "docker" or declared.endpoint or not settings.chosen():
        return
    used = settings.context_host(engine.commands, settings.context_name())
    built_on = settings.context_host(engine.commands, declared.name)
    if built_on and built_on != used:
        raise EngineError(
            f'builder "{declared.name}" is the engine at {built_on}, but docker uses the one at '
            f"{used}; run invoke setup to move the builder, or unset DOCKER_HOST and DOCKER_CONTEXT"
        )


def require_driver(engine: Engine, driver: str) -> None:
    """Raise if this buildx was built without a driver, as with ``cloud`` outside Docker Desktop.

    Raises:
        EngineError: it does not have the driver.

    """
    text = engine.commands.query(["docker", "buildx", "create", "--help"]).stdout
    available = re.search(r"available:((?:\s*\"[a-z-]+\",?)+)", text)
    known = re.findall(r'"([a-z-]+)"', available[1]) if available else []
    if known and driver not in known:
        raise EngineError(
            f'this buildx has no driver "{driver}"; it has: docker, {", ".join(known)}; '
            "install Docker's own buildx, or declare another driver"
        )
