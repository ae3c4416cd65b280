"""The registries that the tags name, and the proxies on the way there: do they answer, and let us in."""

from __future__ import annotations

import os
import socket
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from buildx_tasks import engine, references

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import docker

    from buildx_tasks.doctor import Finding
    from buildx_tasks.expansion import Config

_SECONDS = 5.0
_HUB_API = "registry-1.docker.io"
_HUB_ACCOUNT = "https://index.docker.io/v1/"


def declared(config: Config) -> list[str]:
    """Return the registries of all tags, each once."""
    tags = (tag for target in config.target.values() for tag in target.tags)
    return sorted({references.parse(tag).registry for tag in tags})


def examine(client: docker.DockerClient | None, config: Config) -> Iterator[Finding]:
    """Yield a finding for each registry: it answers, and takes the log-in that docker has for it."""
    from buildx_tasks.doctor import Finding

    for registry in declared(config):
        subject = f"registry {registry}"
        status, answer = _asked(registry)
        if status not in (200, 401, 403):
            fix = "start it, or check its name in tags, the network and the proxy settings"
            yield Finding(subject, ok=False, found=answer, fix=fix)
        elif status == 200:
            yield Finding(subject, ok=True, found="answers, wants no log-in")
        elif client is None:
            yield Finding(subject, ok=True, found="answers, wants a log-in; no engine to try it")
        else:
            yield _logged_in(client, registry, subject)


def _asked(registry: str) -> tuple[int, str]:
    """Return the HTTP status of the registry's API (0: no answer), and what that means."""
    host = _HUB_API if registry == references.DOCKER_HUB else registry
    loopback = _is_loopback(host)
    # As docker does: never through a proxy to this machine, and plain http only to it.
    handlers = [urllib.request.ProxyHandler({})] if loopback else []
    opener = urllib.request.build_opener(*handlers)
    status, reason = 0, ""
    for scheme in ("https", "http") if loopback else ("https",):
        try:
            with opener.open(f"{scheme}://{host}/v2/", timeout=_SECONDS) as answer:
                return answer.status, ""
        except urllib.error.HTTPError as error:
            status, reason = error.code, f"no registry: HTTP {error.code}"
        except (OSError, ValueError) as error:
            if not status:
                reason = f"does not answer: {getattr(error, 'reason', error)}"
    return status, reason


def _is_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] or host
    return name in ("localhost", "[::1]") or name.startswith("127.")


def _logged_in(client: docker.DockerClient, registry: str, subject: str) -> Finding:
    """Let the engine try the credentials that docker has: from its file or credential helpers."""
    from docker.auth import load_config
    from docker.errors import DockerException

    from buildx_tasks.doctor import Finding

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
    """Return http, https and no (hosts that need no proxy) by place."""
    own = engine.client_config().get("proxies", {}).get("default", {})
    return {
        "the engine's settings": {
            "http": info.get("HttpProxy") or "",
            "https": info.get("HttpsProxy") or "",
            "no": info.get("NoProxy") or "",
        },
        "proxies in docker's config.json": {
            "http": own.get("httpProxy", ""),
            "https": own.get("httpsProxy", ""),
            "no": own.get("noProxy", ""),
        },
        "the environment": {
            key: os.environ.get(f"{key}_proxy") or os.environ.get(f"{key.upper()}_PROXY") or ""
            for key in ("http", "https", "no")
        },
    }


def unreachable(address: str) -> str:
    """Return why nothing answers at a proxy's address; ``""`` if it does."""
    parts = urlsplit(address if "://" in address else f"http://{address}")
    try:
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
    scheme, separator, rest = address.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
