"""docker's context or ``DOCKER_HOST`` in; a client of the engine that it means, out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from buildx_tasks.engine.faults import reason_of
from buildx_tasks.engine.settings import config_folder
from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    import docker

# Engine 28 (API 1.48) lists an image's platforms, which every check here stands on.
# Source: https://docs.docker.com/reference/api/engine/version-history/#v148-api-changes
MINIMUM_API = (1, 48)
MINIMUM_ENGINE = "28.0"

START_HINT = "start it (./bootstrap does in this repo), or point DOCKER_HOST at one that runs"


def connect() -> docker.DockerClient:
    """Return a client for the engine that the docker command uses (context, DOCKER_HOST).

    Raises:
        EngineError: no engine answers, or it is too old.

    """
    import docker
    from docker.errors import DockerException

    try:
        client = docker.DockerClient(**_endpoint())
        api_version = client.api.api_version
    except (DockerException, OSError) as error:
        raise EngineError(f"no Docker Engine answers ({reason_of(error)}); {START_HINT}") from None
    except (AttributeError, KeyError, TypeError, ValueError):
        # What docker's library does not catch. Its words may hold a part of a log-in.
        place = config_folder() / "config.json"
        raise EngineError(
            f"{place} cannot be understood; correct it, or docker login anew"
        ) from None
    if tuple(map(int, api_version.split("."))) < MINIMUM_API:
        raise EngineError(
            f"the engine's API is {api_version}, "
            f"needed is {'.'.join(map(str, MINIMUM_API))} (Engine {MINIMUM_ENGINE}); upgrade it"
        )
    return client


def _endpoint() -> dict[str, Any]:
    from docker.context import ContextAPI
    from docker.utils import kwargs_from_env

    arguments: dict[str, Any] = {"version": "auto"}
    if os.environ.get("DOCKER_HOST"):
        arguments.update(kwargs_from_env())
    else:
        name = os.environ.get("DOCKER_CONTEXT")
        context = ContextAPI.get_context(name) if name else ContextAPI.get_current_context()
        if context is None:
            raise EngineError(f'docker context "{name}" does not exist; see docker context ls')
        arguments["base_url"] = context.Host
        if context.TLSConfig:
            arguments["tls"] = context.TLSConfig
    arguments["use_ssh_client"] = str(arguments.get("base_url", "")).startswith("ssh://")
    return arguments
