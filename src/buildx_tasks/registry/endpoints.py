"""How a registry is reached: as docker and BuildKit would, from what is declared for them."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks import references
from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from buildx_tasks.buildkitd import Registry
    from buildx_tasks.expansion import Config

HUB_API = "registry-1.docker.io"
_CERTIFICATES = ("/etc/docker/certs.d", "~/.config/docker/certs.d")


class Endpoint(NamedTuple):
    """One registry: the schemes to try in order, and the TLS settings.

    ``own_network`` is True for this machine itself: no proxy is asked for it.
    """

    registry: str
    host: str
    schemes: tuple[str, ...]
    context: ssl.SSLContext
    own_network: bool


def is_loopback(host: str) -> bool:
    """Say whether a host, with or without port, is this machine."""
    name = host.rpartition(":")[0] or host
    return name in ("localhost", "[::1]") or name.startswith("127.")


def of(
    registry: str,
    config: Config | None = None,
    info: Mapping[str, Any] | None = None,
    root: Path = Path(),
) -> Endpoint:
    """Return how to reach a registry.

    Plain http, any certificate and authorities of one's own are taken from
    ``[builder.buildkitd.registry]``, the engine's ``insecure-registries`` (``info``) and docker's
    ``certs.d`` folders; plain http is tried on this machine, as docker does.
    Source: https://docs.docker.com/engine/security/certificates/

    Raises:
        EngineError: a declared certificate cannot be read.

    """
    host = HUB_API if registry == references.DOCKER_HUB else registry
    declared = list(_declared(registry, config))
    known = ((info or {}).get("RegistryConfig") or {}).get("IndexConfigs") or {}
    insecure = known.get(registry, {}).get("Secure") is False
    http = any(one.http for one in declared)
    any_certificate = insecure or any(one.insecure for one in declared)
    local = is_loopback(host)
    schemes = ("http",) if http else ("https", "http") if insecure or local else ("https",)
    context = _context(registry, declared, root)
    if any_certificate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return Endpoint(registry, host, schemes, context, local)


def _declared(registry: str, config: Config | None) -> Iterator[Registry]:
    builder = config.builder if config else None
    if builder is None:
        return
    for daemon in (builder.buildkitd, *(node.buildkitd for node in builder.node)):
        if daemon and registry in daemon.registry:
            yield daemon.registry[registry]


def _context(registry: str, declared: list[Registry], root: Path) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authorities = [root / name for one in declared for name in one.ca]
    pairs = [(root / pair.cert, root / pair.key) for one in declared for pair in one.keypair]
    folders = [root / name for one in declared for name in one.tlsconfigdir]
    folders += [Path(place).expanduser() / registry for place in _CERTIFICATES]
    for folder in folders:
        # A folder that this user may not read is docker's alone.
        if os.access(folder, os.R_OK | os.X_OK):
            authorities += sorted(folder.glob("*.crt"))
            pairs += [(one, one.with_suffix(".key")) for one in sorted(folder.glob("*.cert"))]
    try:
        for path in authorities:
            context.load_verify_locations(path)
        for certificate, key in pairs:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or error
        raise EngineError(
            f"a certificate for {registry} cannot be used: {reason}; correct "
            f'[builder.buildkitd.registry."{registry}"] or docker\'s certs.d folder'
        ) from None
    return context
