"""docker's environment and files in; its context, folders and configuration out."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from buildx_tasks.machine.commands import Commands


def context_name() -> str:
    """Return the docker context that the docker command uses, by docker's own rules.

    Source: https://docs.docker.com/engine/manage-resources/contexts/#use-a-different-context
    """
    if os.environ.get("DOCKER_HOST"):
        return "default"
    return os.environ.get("DOCKER_CONTEXT") or client_config().get("currentContext") or "default"


def require_context() -> None:
    """Do nothing where the context that is meant is there.

    Raises:
        EngineError: it is not.

    """
    name = context_name()
    # docker's own place for it: https://docs.docker.com/engine/manage-resources/contexts/
    folder = hashlib.sha256(name.encode()).hexdigest()
    if name == "default" or (config_folder() / "contexts" / "meta" / folder).is_dir():
        return
    way_out = (
        "correct or unset DOCKER_CONTEXT"
        if os.environ.get("DOCKER_CONTEXT")
        else "choose another with docker context use default"
    )
    raise EngineError(
        f'docker context "{name}" does not exist; {way_out} (docker context ls shows what there is)'
    )


def chosen() -> bool:
    """Say whether somebody chose another engine than docker's default one."""
    return bool(os.environ.get("DOCKER_HOST")) or context_name() != "default"


def config_folder() -> Path:
    """Return the folder of the docker command's own configuration."""
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def buildx_folder() -> Path:
    """Return the folder of buildx's own configuration and state."""
    return Path(os.environ.get("BUILDX_CONFIG") or config_folder() / "buildx")


def client_config() -> dict[str, Any]:
    """Return what the docker command's ``config.json`` says; nothing where it cannot be read."""
    try:
        found = json.loads((config_folder() / "config.json").read_text("utf-8-sig"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def context_host(commands: Commands, name: str) -> str:
    """Return the engine's address in a docker context; ``""`` where there is no such context."""
    template = "{{.Endpoints.docker.Host}}"
    argv = ["docker", "context", "inspect", name, "--format", template]
    return str(commands.query(argv).stdout.strip())
