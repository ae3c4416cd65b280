"""The Docker Engine: reach it the way the docker command does, and say why it cannot do a job."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildx_tasks.errors import EngineError
from buildx_tasks.machine.commands import query

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import docker
    from invoke import Context

    from buildx_tasks.platforms import Platform

# Engine 28 (API 1.48) lists an image's platforms, which every check here stands on.
# Source: https://docs.docker.com/reference/api/engine/version-history/#v148-api-changes
MINIMUM_API = (1, 48)
MINIMUM_ENGINE = "28.0"

START_HINT = "start it (./bootstrap does in this repo), or point DOCKER_HOST at one that runs"
STORE_HINT = (
    'add {"features": {"containerd-snapshotter": true}} to /etc/docker/daemon.json and restart '
    "the engine (Docker Desktop: Settings, General, containerd image store)"
)
BUILDX_HINT = (
    "install the docker-buildx package (Debian, Ubuntu), docker-buildx-plugin (Docker's packages), "
    "or the plug-in from https://github.com/docker/buildx/releases"
)


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
        raise EngineError(f"no Docker Engine answers ({_reason(error)}); {START_HINT}") from None
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


def context_name() -> str:
    """Return the docker context that the docker command uses, by docker's own rules.

    Source: https://docs.docker.com/engine/manage-resources/contexts/#use-a-different-context
    """
    if os.environ.get("DOCKER_HOST"):
        return "default"
    return os.environ.get("DOCKER_CONTEXT") or client_config().get("currentContext") or "default"


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
        found = json.loads((config_folder() / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


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


def _reason(error: Exception) -> str:
    # docker wraps requests wraps urllib3 wraps the OSError that says it in plain words.
    deepest: BaseException = error
    while deepest.__cause__ or deepest.__context__:
        deepest = deepest.__cause__ or deepest.__context__ or deepest
    return str(getattr(deepest, "strerror", None) or deepest)


@contextmanager
def faults() -> Iterator[None]:
    """Turn what docker's client says of an engine that fails into our error.

    Raises:
        EngineError: the engine refused, or does not answer any more.

    """
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        yield
    except (DockerException, RequestException) as error:
        reason = getattr(error, "explanation", None) or _reason(error)
        raise EngineError(f"the engine failed: {reason}; see invoke doctor") from None


def has_containerd_store(info: dict[str, Any]) -> bool:
    """Say from ``/info`` whether images live in containerd's store, which holds whole indexes."""
    status = dict(pair for pair in info.get("DriverStatus") or [] if len(pair) == 2)
    return str(status.get("driver-type", "")).startswith("io.containerd.snapshotter")


def explain_failure(c: Context, platforms: Sequence[Platform] | None, builder: str | None) -> None:
    """Raise a named error if engine, buildx, builder or store explain why a build failed.

    Asked only after a failure: a build that works pays nothing for it. ``platforms`` are the ones of
    the widest image, None where the build needs no engine.

    Raises:
        EngineError: with what is missing and how to go on.

    """
    if not query(c, ["docker", "--version"]).ok:
        raise EngineError("the docker command is not on PATH; install docker-cli, or see README.md")
    client = None if platforms is None else connect()
    if not query(c, ["docker", "buildx", "version"]).ok:
        raise EngineError(f"docker has no buildx; {BUILDX_HINT}")
    if builder and not query(c, ["docker", "buildx", "inspect", builder]).ok:
        raise EngineError(f'builder "{builder}" is not there or does not answer; run invoke setup')
    if client and platforms and len(platforms) > 1:
        require_containerd_store(
            client.info(), "hold several platforms of one image", ", or select one platform with -p"
        )


def require_containerd_store(info: dict[str, Any], purpose: str, way_out: str = "") -> None:
    """Raise unless the engine has the containerd image store.

    Raises:
        EngineError: it has the classic one.

    """
    if not has_containerd_store(info):
        raise EngineError(
            f"the engine's image store is the classic one ({info.get('Driver')}), "
            f"which cannot {purpose}; {STORE_HINT}{way_out}"
        )
