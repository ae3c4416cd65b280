"""The registries that the tags name, and the proxies on the way there: do they answer, and let us in."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
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
        status, answer = _asked(registry, *_declared_ways(config, client, registry))
        if status not in (200, 401, 403):
            fix = "start it, or check its name in tags, the network and the proxy settings"
            yield Finding(subject, ok=False, found=answer, fix=fix)
        elif status == 200:
            yield Finding(subject, ok=True, found="answers, wants no log-in")
        elif client is None:
            yield Finding(subject, ok=True, found="answers, wants a log-in; no engine to try it")
        else:
            yield _logged_in(client, registry, subject)


def _declared_ways(
    config: Config, client: docker.DockerClient | None, registry: str
) -> tuple[bool, bool]:
    """Return whether plain http, and whether any certificate, is declared for a registry."""
    builder = config.builder
    daemons = [builder.buildkitd, *(n.buildkitd for n in builder.node)] if builder else []
    found = [daemon.registry.get(registry) for daemon in daemons if daemon]
    plain = any(one.http for one in found if one)
    # A private authority is BuildKit's to check: here it only counts that the registry answers.
    insecure = any(one.insecure or one.ca or one.tlsconfigdir for one in found if one)
    if client:
        known = (client.info().get("RegistryConfig") or {}).get("IndexConfigs") or {}
        if not known.get(registry, {}).get("Secure", True):
            plain = insecure = True
    return plain, insecure


def _asked(registry: str, plain: bool, insecure: bool) -> tuple[int, str]:
    """Return the HTTP status of the registry's API (0: no answer), and what that means."""
    host = _HUB_API if registry == references.DOCKER_HUB else registry
    loopback = _is_loopback(host)
    # As docker does: never through a proxy to this machine, and plain http only to it.
    handlers: list[urllib.request.BaseHandler] = []
    if loopback:
        handlers.append(urllib.request.ProxyHandler({}))
    if insecure:
        unchecked = ssl._create_unverified_context()  # noqa: S323, SLF001 - as declared
        handlers.append(urllib.request.HTTPSHandler(context=unchecked))
    opener = urllib.request.build_opener(*handlers)
    status, reason = 0, ""
    for scheme in ("https", "http") if loopback or plain else ("https",):
        try:
            with opener.open(f"{scheme}://{host}/v2/", timeout=_SECONDS) as answer:
                return answer.status, ""
        except urllib.error.HTTPError as error:
            status, reason = error.code, f"no registry: HTTP {error.code}"
        except (OSError, ValueError, http.client.HTTPException) as error:
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
