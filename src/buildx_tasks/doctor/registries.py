"""The registries that the tags name, and the proxies on the way there: do they answer, and let us in."""

from __future__ import annotations

import http.client
import os
import socket
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from buildx_tasks import references
from buildx_tasks.engine import connection as engine
from buildx_tasks.errors import EngineError
from buildx_tasks.registry import endpoints
from buildx_tasks.registry.faults import RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import docker

    from buildx_tasks.doctor.examine import Finding
    from buildx_tasks.language.expansion import Config
    from buildx_tasks.registry.endpoints import Endpoint

_SECONDS = 5.0
_HUB_ACCOUNT = "https://index.docker.io/v1/"


def declared(config: Config) -> list[str]:
    """Return the registries of all tags, each once."""
    tags = (tag for target in config.target.values() for tag in target.tags)
    return sorted({references.parse(tag).registry for tag in tags})


def examine(client: docker.DockerClient | None, config: Config, root: Path) -> Iterator[Finding]:
    """Yield a finding for each registry: it answers, and takes the log-in that docker has for it."""
    from buildx_tasks.doctor.examine import Finding

    info = client.info() if client else {}
    for registry in declared(config):
        subject = f"registry {registry}"
        try:
            status, answer = _asked(endpoints.of(registry, config, info, root))
        except (EngineError, RegistryError) as error:  # of a certificate
            found, _, fix = str(error).partition("; ")
            yield Finding(subject, ok=False, found=found, fix=fix)
            continue
        if status not in (200, 401, 403):
            fix = "start it, or check its name in tags, the network and the proxy settings"
            yield Finding(subject, ok=False, found=answer, fix=fix)
        elif status == 200:
            yield Finding(subject, ok=True, found="answers, wants no log-in")
        elif client is None:
            yield Finding(subject, ok=True, found="answers, wants a log-in; no engine to try it")
        else:
            yield _logged_in(client, registry, subject)


def _asked(endpoint: Endpoint) -> tuple[int, str]:
    """Return the HTTP status of the registry's API (0: no answer), and what that means."""
    handlers: list[urllib.request.BaseHandler] = []
    if endpoint.own_network:
        handlers.append(urllib.request.ProxyHandler({}))
    handlers.append(urllib.request.HTTPSHandler(context=endpoint.context))
    opener = urllib.request.build_opener(*handlers)
    status, reason = 0, ""
    for scheme in endpoint.schemes:
        try:
            with opener.open(f"{scheme}://{endpoint.host}/v2/", timeout=_SECONDS) as answer:
                return answer.status, ""
        except urllib.error.HTTPError as error:
            status, reason = error.code, f"no registry: HTTP {error.code}"
        except (OSError, ValueError, http.client.HTTPException) as error:
            endpoints.refuse_certificate(error, endpoint.registry)
            if not status:
                reason = f"does not answer: {getattr(error, 'reason', error)}"
    return status, reason


def _logged_in(client: docker.DockerClient, registry: str, subject: str) -> Finding:
    """Let the engine try the credentials that docker has: from its file or credential helpers."""
    from docker.auth import load_config
    from docker.errors import DockerException

    from buildx_tasks.doctor.examine import Finding

    account = _HUB_ACCOUNT if registry == references.DOCKER_HUB else registry
    shown = "" if registry == references.DOCKER_HUB else f" {registry}"
    fix = f"docker login{shown}"
    try:
        config = load_config(config_dict=None)
        found: dict[str, Any] = config.resolve_authconfig(account) or {}
    except DockerException as error:
        reason = f"docker's credentials cannot be read: {error}"
        return Finding(subject, ok=False, found=reason, fix="correct ~/.docker/config.json")
    name = found.get("username") or found.get("Username") or ""
    token = found.get("identitytoken") or found.get("IdentityToken") or ""
    if not name and not token:
        return Finding(subject, ok=False, found="wants a log-in, and there is none", fix=fix)
    answer = client.api.post(
        f"{client.api.base_url}/v{client.api.api_version}/auth",
        json={
            "username": name,
            "password": found.get("password") or found.get("Password") or "",
            "identitytoken": token,
            "serveraddress": account,
        },
    )
    if answer.status_code != 200:
        reason = f"refuses the log-in of {name or 'a token'}"
        return Finding(subject, ok=False, found=reason, fix=fix)
    return Finding(
        subject, ok=True, found=f"answers, logged in as {name or 'the holder of a token'}"
    )


def proxies(info: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each proxy once, with the place that says it: the engine, docker's file, the environment.

    ``info`` is the engine's.
    """
    seen: set[str] = set()
    for place, values in _proxy_settings(info).items():
        for key in ("http", "https"):
            address = values.get(key, "")
            if address and address not in seen:
                seen.add(address)
                yield place, address


def _proxy_settings(info: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the addresses for http and https by place."""
    own = engine.client_config().get("proxies", {}).get("default", {})
    return {
        "the engine's settings": {
            "http": info.get("HttpProxy") or "",
            "https": info.get("HttpsProxy") or "",
        },
        "proxies in docker's config.json": {
            "http": own.get("httpProxy", ""),
            "https": own.get("httpsProxy", ""),
        },
        "the environment": {
            key: os.environ.get(f"{key}_proxy") or os.environ.get(f"{key.upper()}_PROXY") or ""
            for key in ("http", "https")
        },
    }


def unreachable(address: str) -> str:
    """Return why nothing answers at a proxy's address; ``""`` if it does."""
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if not parts.hostname or parts.scheme not in ("http", "https", "socks5", "socks5h"):
            return "this is no address of a proxy; write http://HOST:PORT"
        with socket.create_connection((parts.hostname, port), timeout=_SECONDS):
            return ""
    except ValueError:
        return "this is no address of a proxy; write http://HOST:PORT"
    except OSError as error:
        return f"does not answer: {error.strerror or error}"


def without_password(address: str) -> str:
    """Return an address without its user and password."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        scheme, rest = "", address
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
