"""Image references, ``[registry/]repository[:tag]``, checked and split; addresses of contexts.

The grammar of references is the distribution project's: https://pkg.go.dev/github.com/distribution/reference
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

DOCKER_HUB = "docker.io"

CWD = "cwd://"  # bake's mark for a path of the caller's machine
# How the address of a context begins that is not on the caller's machine.
REMOTE = re.compile(rf"(?!{CWD})[a-z][a-z0-9+.-]*://|git@|github\.com/")

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = (
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9-]+)*|\[[0-9a-fA-F:]+\])(?::\d+)?"
)
_HOST_ALONE = re.compile(_HOST)
_REFERENCE = re.compile(
    rf"(?:(?P<registry>{_HOST})/)??"
    rf"(?P<repository>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?",
    re.ASCII,
)


class Reference(NamedTuple):
    """A complete image reference; ``str()`` gives ``registry/repository:tag``."""

    registry: str
    repository: str
    tag: str

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}:{self.tag}"


@functools.cache
def parse(text: str) -> Reference:
    """Return the reference with the registry and tag that docker fills in.

    Raises:
        ValueError: ``text`` is no reference, or names a digest instead of a tag.

    """
    head, slash, rest = text.partition("/")
    # docker's rule: a first part is a registry if it looks like a host, else part of the name.
    if slash and (
        any(mark in head for mark in ".:") or head == "localhost" or head.lower() != head
    ):
        match = _REFERENCE.fullmatch(f"x/{rest}")
        registry: str | None = head if _HOST_ALONE.fullmatch(head) else None
    else:
        match, registry = _REFERENCE.fullmatch(text), DOCKER_HUB
    if match is None or registry is None or "@" in text:
        raise ValueError(
            f'"{text}" is no image reference{_lacking(text)}; write [registry/]repository[:tag] in '
            "lower case, as in localhost:5000/app:v1"
        )
    name = match["repository"] if registry is DOCKER_HUB else rest.partition(":")[0]
    if registry == DOCKER_HUB and "/" not in name:
        name = f"library/{name}"
    return Reference(registry, name, match["tag"] or "latest")


def familiar(text: str) -> str:
    """Return a reference as docker shows it: ``docker.io/library/alpine`` is ``alpine:latest``.

    A digest stays at its end.

    Raises:
        ValueError: it is none.

    """
    name, at, digest = text.partition("@")
    found = parse(name)
    repository = found.repository.removeprefix("library/")
    if found.registry not in (DOCKER_HUB, f"index.{DOCKER_HUB}"):
        repository = f"{found.registry}/{found.repository}"
    elif "/" in repository:
        repository = found.repository
    tag = "" if at and ":" not in name.rpartition("/")[2] else f":{found.tag}"
    return f"{repository}{tag}{at}{digest}"


def is_repository(text: str) -> bool:
    """Say whether a text names a repository: a reference with neither tag nor digest."""
    try:
        parse(text)
    except ValueError:
        return False
    return ":" not in text.rpartition("/")[2]


def _lacking(text: str) -> str:
    """Return which part of a reference is not there."""
    head, slash, rest = text.partition("/")
    if not head or re.fullmatch(r":\d*", head):
        return f': the host name before "{head}{slash}" is missing'
    if text.endswith(":"):
        return ': there is no tag after ":"'
    if "//" in text or text.endswith("/") or rest.startswith(":") or "/:" in text:
        return ": there is no name between two marks"
    return ""
