"""What engine, docker and environment say in; the proxies they name, and whether these answer, out."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from buildx_tasks.engine import settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SECONDS = 5.0


def declared(info: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each proxy once, with the place that says it: the engine, docker's file, the environment.

    ``info`` is the engine's.
    """
    seen: set[str] = set()
    for place, values in _settings(info).items():
        for key in ("http", "https"):
            address = values.get(key, "")
            if address and address not in seen:
                seen.add(address)
                yield place, address


def _settings(info: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the addresses for http and https by place."""
    own = settings.client_config().get("proxies", {}).get("default", {})
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
