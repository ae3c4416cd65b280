"""docker's environment and files in; the engine's plain address out, where it has one.

All that is more than that is left to docker's library, and so is the word on what is wrong there:
ssh, TLS, a proxy, headers of one's own, log-ins that cannot be read.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from typing import TYPE_CHECKING, Any

from buildx_tasks.engine import settings

if TYPE_CHECKING:
    from buildx_tasks.engine.api import Address

_DEFAULT = "/var/run/docker.sock"
_UNIX = re.compile(r"unix://(/[^?#;]*[^?#;/])")
_TCP = re.compile(r"tcp://([\w.-]+):(\d{1,5})/?")
_TLS = ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")


def plain() -> Address | None:
    """Return the unix socket's path, or host and port without TLS; None for all else.

    Raises:
        EngineError: the context that is meant does not exist.

    """
    if os.environ.get("DOCKER_HOST"):
        host = os.environ["DOCKER_HOST"]
        if any(map(os.environ.get, _TLS)):
            return None
    else:
        settings.require_context()
        host = _host_of(settings.context_name())
    if not _is_plain():
        return None
    if found := _UNIX.fullmatch(host):
        return found[1]
    proxied = any(name.lower().endswith("_proxy") for name in os.environ)
    if (found := _TCP.fullmatch(host)) and not proxied and 0 < int(found[2]) < 65536:
        return found[1], int(found[2])
    return None


def _host_of(context: str) -> str:
    """Return the address in a docker context, ``""`` where it takes more than that."""
    if context == "default":
        return f"unix://{_DEFAULT}"
    name = hashlib.sha256(context.encode()).hexdigest()
    folder = settings.config_folder() / "contexts"
    if (folder / "tls" / name).exists():
        return ""
    try:
        said = json.loads((folder / "meta" / name / "meta.json").read_text("utf-8"))
        return str(said["Endpoints"]["docker"]["Host"])
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def _is_plain() -> bool:
    """Say whether docker's library would find nothing in its ``config.json`` to heed or to refuse."""
    try:
        config = json.loads((settings.config_folder() / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return True  # to the library it is empty, too
    if not isinstance(config, dict) or config.keys() & {"HttpHeaders", "proxies"}:
        return False
    log_ins = config.get("auths") or {}
    # Without that table, the library takes the whole file for it.
    entries = [*config.values(), *(log_ins.values() if isinstance(log_ins, dict) else [log_ins])]
    return isinstance(log_ins, dict) and all(map(_can_be_read, entries))


def _can_be_read(entry: Any) -> bool:
    if not isinstance(entry, dict) or "identitytoken" in entry or "auth" not in entry:
        return not isinstance(entry, list)
    try:
        name, _, password = base64.b64decode(entry["auth"]).partition(b":")
        return bool(_ and name.decode() + password.decode())
    except (TypeError, ValueError):
        return False
