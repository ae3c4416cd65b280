"""docker's context or ``DOCKER_HOST`` in; a client of the engine that it means, out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.engine import settings
from buildx_tasks.engine.faults import reason_of
from buildx_tasks.engine.settings import config_folder
from buildx_tasks.errors import EngineError, deepest

if TYPE_CHECKING:
    import docker

# Engine 28 (API 1.48) lists an image's platforms, which every check here stands on.
# Source: https://docs.docker.com/reference/api/engine/version-history/#v148-api-changes
MINIMUM_API = (1, 48)
MINIMUM_ENGINE = "28.0"

_START = (
    "start it (systemctl start docker, or Docker Desktop), or point DOCKER_HOST at one that runs"
)


class Reached(NamedTuple):
    """An engine that answers; ``version`` is what its ``GET /version`` says."""

    client: docker.DockerClient
    version: dict[str, Any]


def connect() -> docker.DockerClient:
    """Return a client for the engine, as :func:`reach` does."""
    return reach().client


def reach() -> Reached:
    """Return a client for the engine that the docker command uses (context, DOCKER_HOST).

    Raises:
        EngineError: no engine answers, or it is too old.

    """
    import docker
    from docker.errors import DockerException

    try:
        client = docker.DockerClient(**_endpoint())
        # As docker's library finds out the version by itself, but what else is said is kept.
        version: dict[str, Any] = client.version(api_version=False)
        client.api._version = api_version = version["ApiVersion"]  # noqa: SLF001
    except (DockerException, OSError) as error:
        raise EngineError(no_answer(error)) from None
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
    return Reached(client, version)


def no_answer(error: Exception) -> str:
    """Return what keeps the engine from being asked, with the fix for that."""
    if isinstance(deepest(error), PermissionError):
        return (
            "this user may not use the Docker Engine's socket (Permission denied); join its group "
            "(sudo usermod -aG docker $USER, then log in again), or point DOCKER_HOST at another"
        )
    return f"no Docker Engine answers ({reason_of(error)}); {_START}"


def _endpoint() -> dict[str, Any]:
    from docker.context import ContextAPI
    from docker.utils import kwargs_from_env

    arguments: dict[str, Any] = {"version": ".".join(map(str, MINIMUM_API))}
    if os.environ.get("DOCKER_HOST"):
        arguments.update(kwargs_from_env())
    else:
        settings.require_context()
        context = ContextAPI.get_context(settings.context_name())
        arguments["base_url"] = context.Host
        if context.TLSConfig:
            arguments["tls"] = context.TLSConfig
    arguments["use_ssh_client"] = str(arguments.get("base_url", "")).startswith("ssh://")
    return arguments
