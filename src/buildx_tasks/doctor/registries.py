"""The tags of all targets in; which of their registries answer, and take docker's log-in, out."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from buildx_tasks import references
from buildx_tasks.doctor.findings import Finding, failed
from buildx_tasks.engine import accounts
from buildx_tasks.errors import EngineError, RegistryError
from buildx_tasks.registry import endpoints

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.language.targets import Config
    from buildx_tasks.registry.endpoints import Endpoint
    from buildx_tasks.workspace import Workspace

_SECONDS = 5.0


def examine(workspace: Workspace, engine: Engine | None) -> Iterator[Finding]:
    """Yield a finding for each registry: it answers, and takes the log-in that docker has for it.

    ``engine`` is None where none answers.
    """
    info = engine.info if engine else {}
    builder = workspace.config.builder
    for registry in _declared(workspace.config):
        subject = f"registry {registry}"
        try:
            status, answer = _asked(endpoints.of(registry, builder, info, workspace.root))
        except (EngineError, RegistryError) as error:  # of a certificate
            yield failed(subject, error)
            continue
        if status not in (200, 401, 403):
            fix = "start it, or check its name in tags, the network and the proxy settings"
            yield Finding(subject, ok=False, found=answer, fix=fix)
        elif status == 200:
            yield Finding(subject, ok=True, found="answers, wants no log-in")
        elif engine is None:
            yield Finding(subject, ok=True, found="answers, wants a log-in; no engine to try it")
        else:
            yield _logged_in(engine, registry, subject)


def _declared(config: Config) -> list[str]:
    """Return the registries of all tags, each once."""
    tags = (tag for target in config.target.values() for tag in target.tags)
    return sorted({references.parse(tag).registry for tag in tags})


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


def _logged_in(engine: Engine, registry: str, subject: str) -> Finding:
    """Let the engine try the log-in that docker has: from its file or credential helpers."""
    fix = "docker login" if registry == references.DOCKER_HUB else f"docker login {registry}"
    try:
        account = accounts.account_for(registry)
    except accounts.UnreadableError as error:
        reason = f"docker's credentials cannot be read: {error.reason}"
        return Finding(subject, ok=False, found=reason, fix="correct ~/.docker/config.json")
    if not account.name and not account.token:
        return Finding(subject, ok=False, found="wants a log-in, and there is none", fix=fix)
    if not accounts.is_taken(engine, registry, account):
        reason = f"refuses the log-in of {account.name or 'a token'}"
        return Finding(subject, ok=False, found=reason, fix=fix)
    found = f"answers, logged in as {account.name or 'the holder of a token'}"
    return Finding(subject, ok=True, found=found)
