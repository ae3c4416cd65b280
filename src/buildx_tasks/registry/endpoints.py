"""A registry's name in; how docker and BuildKit reach it, out, from what is declared for them."""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from buildx_tasks import references
from buildx_tasks.errors import EngineError, RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from buildx_tasks.language.buildkitd import Registry
    from buildx_tasks.language.config import Builder

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
    name = urlsplit(f"//{host}").hostname or ""
    return name in ("localhost", "::1") or re.fullmatch(r"127(\.\d+){3}", name) is not None


def of(
    registry: str,
    builder: Builder | None = None,
    info: Mapping[str, Any] | None = None,
    root: Path = Path(),
) -> Endpoint:
    """Return how to reach a registry.

    Plain http, any certificate and authorities of one's own are taken from
    ``[builder.buildkitd.registry]``, the engine's ``insecure-registries`` (``info``) and docker's
    ``certs.d`` folders. On this machine any certificate is taken where none is declared, and plain
    http is tried, as docker does.
    Source: https://docs.docker.com/engine/security/certificates/

    Raises:
        EngineError: a declared certificate cannot be read.

    """
    host = HUB_API if registry == references.DOCKER_HUB else registry
    declared = list(_declared(registry, builder))
    known = ((info or {}).get("RegistryConfig") or {}).get("IndexConfigs") or {}
    insecure = known.get(registry, {}).get("Secure") is False or _in_insecure_network(host, info)
    http = any(one.http for one in declared)
    local = is_loopback(host)
    any_certificate = any(one.insecure for one in declared) or (
        (insecure or local) and not any(one.ca or one.tlsconfigdir for one in declared)
    )
    schemes = ("http",) if http else ("https", "http") if insecure or local else ("https",)
    # Reading the machine's authorities takes its time, and is not needed where nobody is checked.
    if any_certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context = ssl.create_default_context()
    _load(context, registry, declared, root)
    return Endpoint(registry, host, schemes, context, local)


def refuse_certificate(error: BaseException, registry: str) -> None:
    """Raise for a fault of certificates, which never passes by itself; nothing for any other.

    ``error`` is what ``requests`` raises, which holds the fault of TLS as a cause or argument.

    Raises:
        RegistryError: with what is wrong with the certificate, and the fix.

    """
    fault = next((one for one in _causes(error) if isinstance(one, ssl.SSLError)), None)
    kind = str(getattr(fault, "reason", None) or "")
    if "CERTIFICATE" not in kind and "UNKNOWN_CA" not in kind:
        return
    words = getattr(fault, "verify_message", "") or kind.replace("_", " ").lower()
    raise RegistryError(
        f"{registry}: its certificate is not accepted ({words}); put its authority's into "
        f"{_CERTIFICATES[0]}/{registry}/ca.crt, or declare it: "
        f'[builder.buildkitd.registry."{registry}"] ca = ["FILE"]'
        if "ALERT" not in kind
        else f"{registry}: it does not accept our certificate ({words}); put one that it knows into "
        f"{_CERTIFICATES[0]}/{registry}/client.cert and client.key, or declare it: "
        f'[[builder.buildkitd.registry."{registry}".keypair]]'
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came from: requests wraps urllib3 wraps the fault."""
    seen: list[BaseException] = []
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if any(one is other for other in seen):
            continue
        seen.append(one)
        yield one
        inner = (one.__cause__, one.__context__, getattr(one, "reason", None), *one.args)
        waiting += [other for other in inner if isinstance(other, BaseException)]


def _in_insecure_network(host: str, info: Mapping[str, Any] | None) -> bool:
    """Say whether a host that is an address is in one of the engine's ``insecure-registries``."""
    networks = ((info or {}).get("RegistryConfig") or {}).get("InsecureRegistryCIDRs") or ()
    try:
        address = ipaddress.ip_address(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(one, strict=False) for one in networks)


def _declared(registry: str, builder: Builder | None) -> Iterator[Registry]:
    if builder is None:
        return
    for daemon in (builder.buildkitd, *(node.buildkitd for node in builder.node)):
        if daemon and registry in daemon.registry:
            yield daemon.registry[registry]


def _load(context: ssl.SSLContext, registry: str, declared: list[Registry], root: Path) -> None:
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
