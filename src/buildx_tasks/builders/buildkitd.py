"""The configuration of BuildKit's daemon in, as declared or as kept by buildx; one form out."""

from __future__ import annotations

import base64
import copy
import hashlib
from typing import TYPE_CHECKING, Any

import tomli
import tomli_w

from buildx_tasks.engine.settings import buildx_folder
from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path

_FILE = "buildkitd.toml"
_IN_CONTAINER = "/etc/buildkit/"


def text(config: dict[str, Any]) -> str:
    """Return the configuration as the file that ``--buildkitd-config`` takes."""
    return tomli_w.dumps(config)


def declared_form(config: dict[str, Any], root: Path) -> dict[str, Any]:
    """Return the configuration with each file of a certificate replaced by its content's hash.

    Raises:
        EngineError: such a file cannot be read.

    """

    def digest(path: str) -> str:
        try:
            return _digest((root / path).read_bytes())
        except OSError as error:
            raise EngineError(
                f"[builder.buildkitd.registry] names {path}, which cannot be read: "
                f"{error.strerror}; correct the path, from the project's folder"
            ) from None

    return _with_files(config, digest)


def stored_form(files: dict[str, str]) -> dict[str, Any]:
    """Return the same form of what buildx keeps with a node: file name → content in base64."""

    def digest(path: str) -> str:
        inside = path.removeprefix(_IN_CONTAINER)
        return _digest(base64.b64decode(files[inside] or "")) if inside in files else path

    # An empty file is null in buildx's list.
    return _with_files(tomli.loads(base64.b64decode(files.get(_FILE) or "").decode()), digest)


def default_form() -> dict[str, Any]:
    """Return the same form of the file that buildx takes for nodes without a configuration.

    Source: https://docs.docker.com/build/buildkit/configure/#default-configuration
    """
    folder = buildx_folder()
    try:
        found = tomli.loads((folder / "buildkitd.default.toml").read_text("utf-8-sig"))
    except (OSError, ValueError):
        return {}
    return declared_form(found, folder)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _with_files(config: dict[str, Any], digest: Any) -> dict[str, Any]:
    changed = copy.deepcopy(config)
    for registry in changed.get("registry", {}).values():
        if "ca" in registry:
            registry["ca"] = [digest(path) for path in registry["ca"]]
        for pair in registry.get("keypair", ()):
            pair.update({key: digest(pair[key]) for key in ("key", "cert")})
    # buildx writes the file anew, with an empty table where there are no registries.
    return {key: value for key, value in changed.items() if value != {}}
