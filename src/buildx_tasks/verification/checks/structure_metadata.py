"""The metadata test of container-structure-test: what the image's config says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from buildx_tasks.images import starting, store
from buildx_tasks.text import json_line, printable
from buildx_tasks.verification.check import Found
from buildx_tasks.verification.outside import goregex

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from buildx_tasks.verification.check import Subject
    from buildx_tasks.verification.outside.structure import Metadata


def check(subject: Subject, spec: Metadata) -> Found:
    """Compare everything that ``spec`` names.

    Raises:
        EngineError: the image is gone from the engine.

    """
    config = store.content(subject.engine, subject.image, subject.platform).config
    return Found(tuple(compare(config, spec)))


def compare(config: Mapping[str, Any], spec: Metadata) -> Iterator[str]:
    """Yield what is not as expected; ``config`` is an OCI image config's own ``config``."""
    env = starting.environment_of(config)
    yield from _values("env", spec.env, env)
    for name in spec.unset:
        if name in env:
            yield f"env {printable(name)} is set, expected not to be"
    yield from _values("label", spec.labels, config.get("Labels") or {})
    for name, wanted, actual in (
        ("entrypoint", spec.entrypoint, config.get("Entrypoint") or ()),
        ("cmd", spec.cmd, config.get("Cmd") or ()),
        ("workdir", spec.workdir or None, config.get("WorkingDir") or ""),
        ("user", spec.user or None, config.get("User") or ""),
    ):
        if wanted is not None and wanted != (actual if isinstance(actual, str) else tuple(actual)):
            yield f"{name}: expected {_shown(wanted)}, got {_shown(actual)}"
    ports = list(config.get("ExposedPorts") or ())
    numbers = {port.partition("/")[0] for port in ports} | set(ports)
    volumes = set(config.get("Volumes") or ())
    yield from _listed("port", spec.ports, spec.no_ports, numbers)
    yield from _listed("volume", spec.volumes, spec.no_volumes, volumes)


def _values(
    kind: str, expected: Sequence[tuple[str, str, bool]], actual: Mapping[str, str]
) -> Iterator[str]:
    for key, value, is_pattern in expected:
        name = f"{kind} {printable(key)}"
        if key not in actual:
            yield f"{name}: expected {_shown(value)}, got nothing"
        elif is_pattern and not goregex.compiled(value).search(actual[key]):
            yield f"{name}: expected to match {_shown(value)}, got {_shown(actual[key])}"
        elif not is_pattern and actual[key] != value:
            yield f"{name}: expected {_shown(value)}, got {_shown(actual[key])}"


def _listed(
    kind: str, there: Sequence[str], absent: Sequence[str], actual: set[str]
) -> Iterator[str]:
    shown = ", ".join(sorted(map(printable, actual))) or "none"
    for one in there:
        if one not in actual:
            yield f"{kind} {printable(one)} is not declared; the image has {shown}"
    for one in absent:
        if one in actual:
            yield f"{kind} {printable(one)} is declared, expected not to be"


def _shown(value: Any) -> str:
    return printable(json_line(value))
