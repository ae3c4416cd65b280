"""docker's context or ``DOCKER_HOST`` in; a client of the engine that it means, out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.engine import addresses, settings
from buildx_tasks.engine.faults import all_errors, reason_of
from buildx_tasks.engine.settings import config_folder
from buildx_tasks.errors import EngineError, deepest

if TYPE_CHECKING:
    import docker

    from buildx_tasks.engine.api import Api

# Engine 28 (API 1.48) lists an image's platforms, which every check here stands on.
# Source: https://docs.docker.com/reference/api/engine/version-history/#v148-api-changes
MINIMUM_API = (1, 48)
MINIMUM_ENGINE = "28.0"

_START = (
    "start it (systemctl start docker, or Docker Desktop), or point DOCKER_HOST at one that runs"
)


class Reached(NamedTuple):
    """An engine that answers; ``api_version`` is the newest version of the API that it has.

    ``client`` is there already where it is needed to ask at all.
    """

    api: Api
    client: docker.DockerClient | None
    api_version: str


def connect() -> docker.DockerClient:
    """Return a client for the engine, as :func:`reach` does."""
    found = reach()
    found.api.close()
    return found.client or library(found.api_version)


def given(client: docker.DockerClient) -> Api:
    """Return how the engine of a client is asked."""
    from buildx_tasks.engine.api import Library

    return Library(client)


def reach() -> Reached:
    """Reach the engine that the docker command uses (context, DOCKER_HOST).

    Raises:
        EngineError: no engine answers, or it is too old.

    """
    from buildx_tasks.engine.api import Sockets

    client = None
    if address := addresses.plain():
        api: Api = Sockets(address)
    else:
        client = library(".".join(map(str, MINIMUM_API)))
        api = given(client)
    try:
        api_version = _api_version(api)
    except EngineError:
        api.close()
        if client is not None:
            client.close()
        raise
    if client is not None:
        client.api._version = api_version  # noqa: SLF001 - as docker's own detection sets it
    return Reached(api, client, api_version)


def _api_version(api: Api) -> str:
    try:
        # A proxy of the engine's socket may keep the header, or the path, from us.
        found = api.get("/_ping").api_version or str(api.get("/version").good()["ApiVersion"])
        api_version = tuple(map(int, found.split(".")))
    except all_errors() as error:
        raise EngineError(no_answer(error)) from None
    except (AttributeError, KeyError, TypeError, ValueError):
        reason = "what answers is no engine"
        raise EngineError(f"no Docker Engine answers ({reason}); {_START}") from None
    if api_version < MINIMUM_API:
        raise EngineError(
            f"the engine's API is {found}, "
            f"needed is {'.'.join(map(str, MINIMUM_API))} (Engine {MINIMUM_ENGINE}); upgrade it"
        )
    return found


def library(api_version: str) -> docker.DockerClient:
    """Return docker's library for the engine, which is not asked yet.

    Raises:
        EngineError: what says where the engine is cannot be used.

    """
    import docker
    from docker.errors import DockerException

    try:
        return docker.DockerClient(**{**_endpoint(), "version": api_version})
    except (DockerException, OSError) as error:
        raise EngineError(no_answer(error)) from None
    except (AttributeError, KeyError, TypeError, ValueError):
        # What docker's library does not catch. Its words may hold a part of a log-in.
        place = config_folder() / "config.json"
        raise EngineError(
            f"{place} cannot be understood; correct it, or docker login anew"
        ) from None


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

    arguments: dict[str, Any] = {}
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
