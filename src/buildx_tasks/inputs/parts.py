"""What a fingerprint is of in; its parts, each by what people call it, as short hashes, out.

They are compared from one build to another, to tell which of them changed.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TOOLS = "engine, buildx or builder"
IMAGES = "an image that it reads"
FILES = "a file of the context"
DOCKERFILE = "the Dockerfile"
IGNORED = "its ignore file"

_LENGTH = 8  # hexadecimal digits: enough to tell two apart


def parts_of(said: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, str]:
    """Return the parts of what a fingerprint says; ``files`` are those of its context, where few."""
    return {name: _short(value) for name, value in _parts(said, files)}


def _parts(said: Mapping[str, Any], files: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    yield TOOLS, said["tools"]
    for key, value in said["attributes"].items():
        if key in ("args", "contexts") and isinstance(value, dict):
            yield from ((f"argument {name}", one) for name, one in value.items() if key == "args")
        else:
            yield f"attribute {key}", value
    for name, value in said.get("contexts", {}).items():
        yield f"context {name}", value
    for name, value in said.get("secrets", {}).items():
        yield f"secret {name}", value
    for name, value in said.get("files", {}).items():
        yield f"file {name}", value
    if "outside" in said:
        yield IMAGES, said["outside"]
    context = said.get("context", {})
    for key, name in (("dockerfile", DOCKERFILE), ("ignore", IGNORED)):
        if key in context:
            yield name, context[key]
    if files:
        yield from ((f"file {path}", one) for path, one in files.items() if path)
    elif "tree" in context:
        yield FILES, context["tree"]


def _short(value: Any) -> str:
    encoded = msgspec.json.encode(value, order="deterministic")
    return hashlib.sha256(encoded).hexdigest()[:_LENGTH]
