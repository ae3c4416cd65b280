"""``config``: what a platform's image says of itself, in its config and its annotations."""

from __future__ import annotations

import io
import posixpath
import re
import tarfile
from typing import TYPE_CHECKING, Any

from buildx_tasks.engine import faults
from buildx_tasks.engine.faults import RefusedError
from buildx_tasks.images import index, starting, store
from buildx_tasks.text import json_line, printable
from buildx_tasks.verification.check import Found

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from buildx_tasks.images.store import Content
    from buildx_tasks.language import expectations
    from buildx_tasks.verification.check import Subject

_ADMINISTRATOR = "containeradministrator"  # of Windows
PASSWD = "/etc/passwd"  # noqa: S105 - holds no password
_ZERO = re.compile("[+-]?0+")  # the engine reads a user as Go's strconv.Atoi does
_MOST = 1_000_000  # bytes of it that are read
_LABELS = "labels in buildx.toml, or LABEL in the Dockerfile"


def check(subject: Subject, spec: expectations.Config) -> Found:
    """Compare everything that ``spec`` names.

    A user's name is looked up in the image's ``/etc/passwd``, for ``nonroot``: a container is
    created for that, and not started.

    Raises:
        EngineError: the image is gone from the engine.
        faults.api_errors: the engine fails.

    """
    content = store.content(subject.engine, subject.image, subject.platform)
    problems = list(compare(content.config, spec))
    problems += _annotations(subject, content, spec.annotations)
    user = user_of(content.config)
    if subject.platform.os == "windows":
        return Found(tuple(problems))  # users of Windows are in its registry
    if not spec.nonroot or problem_of_root(user) or user.isdecimal():
        return Found(tuple(problems))
    try:
        found = of_named_user(_read(subject, PASSWD), user)
    except RefusedError as refused:
        return Found((*problems, f"nonroot: {refused}"))
    return found._replace(problems=(*problems, *found.problems))


def of_named_user(passwd: str, user: str) -> Found:
    """Say whether a user, by its name, is another one than root in the text of ``/etc/passwd``."""
    uid = _uid(passwd, user)
    if uid is None:
        problem = (
            f'nonroot: the image\'s {PASSWD} has no user "{printable(user)}", so it cannot start'
        )
        return Found((f"{problem}; add it, or set USER to a number",))
    if uid == 0:
        problem = f'nonroot: the user "{printable(user)}" is root: uid 0 in the image\'s {PASSWD}'
        return Found((f"{problem}; give it another uid",))
    return Found((), (f"user {printable(user)} is uid {uid}",))


def compare(config: Mapping[str, Any], spec: expectations.Config) -> Iterator[str]:
    """Yield what is not as expected; of ``nonroot``, what can be said without the image's files.

    ``config`` is an OCI image config's own ``config``.
    """
    folder, health = config.get("WorkingDir") or "/", config.get("Healthcheck") or {}
    exact = [
        ("entrypoint", spec.entrypoint, config.get("Entrypoint") or [], "ENTRYPOINT"),
        ("cmd", spec.cmd, config.get("Cmd") or [], "CMD"),
        ("user", spec.user, config.get("User") or "", "USER"),
        ("working-dir", spec.working_dir, folder, "WORKDIR"),
        ("stop-signal", spec.stop_signal, config.get("StopSignal") or "", "STOPSIGNAL"),
    ]
    for name, expected, actual, instruction in exact:
        if expected is not None and expected != actual:
            yield _differs(
                name, _value(expected), _value(actual), f"{instruction} in the Dockerfile"
            )
    if spec.nonroot and (problem := problem_of_root(user_of(config))):
        yield problem
    env = starting.environment_of(config)
    yield from _missing("env", spec.env, env, "ENV in the Dockerfile")
    yield from _ports(config, spec)
    yield from _missing("label", spec.labels, config.get("Labels") or {}, _LABELS)
    yield from _healthcheck(health.get("Test") or [], spec)


def differs(name: str, expected: str, actual: str | None) -> str:
    """Say that a named value is another one, or is not there."""
    wanted = _value(expected, empty='""')
    got = "nothing" if actual is None else printable(_value(actual, empty='""'))
    return f"{printable(name)}: expected {wanted}, got {got}"


def annotation_problem(
    key: str, value: str, there: Mapping[str, str], elsewhere: Mapping[str, Mapping[str, str]]
) -> str:
    """Say that a platform lacks an annotation; ``elsewhere`` is what has others, by how to expect it."""
    problem = differs(f"annotation {key}", value, there.get(key))
    for where, found in elsewhere.items():
        if found.get(key) == value:
            problem += f", but {where}, or"
            break
    else:
        problem += ";"
    right = json_line(f"manifest:{key}={value}")
    return f"{problem} set annotations in buildx.toml, as in {right}"


def _annotations(subject: Subject, content: Content, expected: Mapping[str, str]) -> Iterator[str]:
    """Yield the annotations that a platform lacks, with where they are instead."""
    there = content.annotations
    lacking = {key: value for key, value in expected.items() if there.get(key) != value}
    if not lacking:
        return
    registries = subject.session.workspace.registries
    reached = subject.engine, registries, subject.image
    elsewhere = {
        "the index has it: expect it with index = { annotations = … }": index.own_annotations(
            *reached
        )
    }
    for platform, found in index.manifest_annotations(*reached).items():
        if platform != subject.platform:
            elsewhere[f"it is on {platform} only: write manifest:, without a platform"] = found
    labels = content.config.get("Labels") or {}
    elsewhere["it is a label: expect it with config = { labels = … }"] = labels
    for key, value in lacking.items():
        yield annotation_problem(key, value, there, elsewhere)


def user_of(config: Mapping[str, Any]) -> str:
    """Return the user without its group; ``""`` where none is set."""
    return str(config.get("User") or "").partition(":")[0]


def problem_of_root(user: str) -> str:
    """Return what is wrong with a user that is root by its very name, ``""`` for another one."""
    if user.lower() == _ADMINISTRATOR:
        return f"nonroot: the user is {printable(user)}; set USER ContainerUser in the Dockerfile"
    if not user:
        return "nonroot: no user is set, so it runs as root; set USER in the Dockerfile"
    if user == "root" or _ZERO.fullmatch(user):
        return f"nonroot: the user is {user}; set another USER in the Dockerfile"
    return ""


def _ports(config: Mapping[str, Any], spec: expectations.Config) -> Iterator[str]:
    if spec.ports is None:
        return
    expected, actual = _as_ports(spec.ports), _as_ports(config.get("ExposedPorts") or ())
    if expected != actual:
        wanted, got = (", ".join(ports) or "none" for ports in (expected, actual))
        yield _differs("ports", wanted, got, "EXPOSE in the Dockerfile")


def _as_ports(ports: Any) -> list[str]:
    whole = {str(port) if "/" in str(port) else f"{port}/tcp" for port in ports}
    return sorted(whole, key=lambda port: (int(port.partition("/")[0]), port))


def _healthcheck(test: list[str], spec: expectations.Config) -> Iterator[str]:
    # ["NONE"] takes away what a base image had.
    actual = [] if test == ["NONE"] else test
    if spec.healthcheck is None or spec.healthcheck in (bool(actual), actual):
        return
    named = {True: "one", False: "none"}
    expected = spec.healthcheck
    text = named[expected] if isinstance(expected, bool) else _value(expected)
    yield _differs("healthcheck", text, _value(actual), "HEALTHCHECK in the Dockerfile")


def _missing(
    kind: str, expected: Mapping[str, str], actual: Mapping[str, str], where: str
) -> Iterator[str]:
    for key, value in expected.items():
        if actual.get(key) != value:
            got = _value(actual[key], empty='""') if key in actual else "nothing"
            yield _differs(f"{kind} {key}", _value(value, empty='""'), got, where)


def _differs(name: str, expected: str, actual: str, where: str) -> str:
    return f"{printable(name)}: expected {expected}, got {printable(actual)}; set {where}"


def _value(value: Any, empty: str = "none") -> str:
    return json_line(value) if value else empty


def _uid(passwd: str, user: str) -> int | None:
    for line in passwd.splitlines():
        fields = line.split(":")
        if fields[0] == user and len(fields) > 2 and fields[2].isdecimal():
            return int(fields[2])
    return None


def _read(subject: Subject, path: str) -> str:
    """Return a text of the image; ``""`` where there is none.

    Raises:
        RefusedError: the image is why no container of it can be created.

    """
    # Never started, so that any command will do.
    with subject.created(["-"]) as container:
        try:
            _, facts = container.get_archive(path)
            if facts["linkTarget"]:
                path = posixpath.join(posixpath.dirname(path), facts["linkTarget"])
            chunks, facts = container.get_archive(path)
        except faults.api_errors() as error:
            if faults.status_of(error) != 404:
                raise
            return ""
        if facts["size"] > _MOST:
            return ""
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
            member = tar.next()
            content = tar.extractfile(member) if member else None
            return content.read().decode(errors="replace") if content else ""
