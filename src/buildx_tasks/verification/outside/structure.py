"""A file of container-structure-test in; its tests, one by one, out.

Source of the format: https://github.com/GoogleContainerTools/container-structure-test
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple, Union

from buildx_tasks.machine import yaml_files
from buildx_tasks.verification.outside import goregex

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from buildx_tasks.machine.yaml_files import Table, Value

_SCHEMA = "2.0.0"
_TOP = frozenset(
    "schemaVersion globalEnvVars commandTests fileExistenceTests fileContentTests metadataTest "
    "licenseTests containerRunOptions".split()
)
_COMMAND = frozenset(
    "name setup teardown command args envVars expectedOutput excludedOutput expectedError "
    "excludedError exitCode".split()
)
_EXISTENCE = frozenset("name path shouldExist permissions uid gid isExecutableBy".split())
_CONTENT = frozenset("name path expectedContents excludedContents".split())
_METADATA = frozenset(
    "env envVars unboundEnvVars labels entrypoint cmd exposedPorts unexposedPorts volumes "
    "unmountedVolumes workdir user".split()
)
_OPTIONS = frozenset("user envFile envVars capabilities bindMounts".split())
_NOT_HERE = frozenset({"privileged", "allocateTty"})
_PERMISSIONS = re.compile(r"(?:-|[dalTLDpSugct?]{1,4})[r-][w-][x-][r-][w-][x-][r-][w-][x-]")
_VARIABLE = re.compile(r"\$(?:\{(?P<braced>[^}]*)\}|(?P<plain>[A-Za-z_][A-Za-z0-9_]*))")
_BY = {"owner": 0o100, "group": 0o010, "other": 0o001, "any": 0o111}


class Patterns(NamedTuple):
    """Expressions of Go: those that must be found in a text, and those that must not."""

    found: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()


class Options(NamedTuple):
    """How containers of a file are started.

    ``passed`` are variables of the environment or of ``env_file``, each with the hash of its value
    (hex), which is looked up when a container is started. Each mount is a path of the project, a
    path in the container, and whether it is read only.
    """

    user: str = ""
    env_file: str = ""
    passed: tuple[tuple[str, str], ...] = ()
    capabilities: tuple[str, ...] = ()
    mounts: tuple[tuple[str, str, bool], ...] = ()


class Command(NamedTuple):
    """One of ``commandTests``."""

    name: str
    words: tuple[str, ...]
    setup: tuple[tuple[str, ...], ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    stdout: Patterns = Patterns()
    stderr: Patterns = Patterns()
    exit_code: int = 0
    options: Options = Options()


class Existence(NamedTuple):
    """One of ``fileExistenceTests``; -1 and ``""`` where it says nothing. ``executable`` are bits."""

    name: str
    path: str
    exists: bool = True
    permissions: str = ""
    uid: int = -1
    gid: int = -1
    executable: int = 0


class Content(NamedTuple):
    """One of ``fileContentTests``."""

    name: str
    path: str
    patterns: Patterns = Patterns()


class Licenses(NamedTuple):
    """One of ``licenseTests``."""

    name: str
    debian: bool
    files: tuple[str, ...] = ()


class Metadata(NamedTuple):
    """``metadataTest``; None where it says nothing. The third of env and labels: a pattern is meant."""

    name: str = "metadata"
    env: tuple[tuple[str, str, bool], ...] = ()
    unset: tuple[str, ...] = ()
    labels: tuple[tuple[str, str, bool], ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    ports: tuple[str, ...] = ()
    no_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    no_volumes: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""


Test = Union[Command, Existence, Content, Licenses, Metadata]


def tests(root: Path, name: str) -> Iterator[Test]:
    """Give the tests of a file of the project.

    Raises:
        ConfigError: it cannot be read, or says what is not supported; says where.

    """
    file = yaml_files.read(root, name)
    top = file.table("the file", _TOP)
    schema = top.needed("schemaVersion")
    if schema.text("schemaVersion") != _SCHEMA:
        raise schema.fault(f'only schemaVersion "{_SCHEMA}" is known; write the file for that')
    options = _options(top.get("containerRunOptions"), root)
    shared = _variables(top.items("globalEnvVars"))
    found: list[Test] = [_command(test, shared, options) for test in top.items("commandTests")]
    others: list[Test] = [
        *map(_existence, top.items("fileExistenceTests")),
        *map(_content, top.items("fileContentTests")),
        *(_licenses(test, n) for n, test in enumerate(top.items("licenseTests"), 1)),
    ]
    metadata = top.get("metadataTest")
    if not (found or others or metadata):
        raise file.fault("it has no test; add commandTests, or leave the file out")
    yield from found
    yield from others
    if metadata:
        yield _metadata(metadata)


def filled(text: str, env: Mapping[str, str]) -> str:
    """Return a text with ``$NAME`` and ``${NAME}`` filled in; what is not known stays for a shell."""
    return _VARIABLE.sub(lambda found: env.get(found["braced"] or found["plain"], found[0]), text)


def passed(options: Options, root: Path) -> dict[str, str]:
    """Return the values of the variables that are passed on."""
    of_file = dict(_of_file(root / options.env_file)) if options.env_file else {}
    return {name: of_file.get(name, os.environ.get(name, "")) for name, _ in options.passed}


def _command(test: Value, shared: Sequence[tuple[str, str]], options: Options) -> Command:
    said = test.table("a command test", _COMMAND)
    name = said.needed("name").text('"name"')
    command = said.needed("command")
    if isinstance(command.of, list):
        raise command.fault('"command" is one word; write the others as args')
    setup = []
    for one in said.items("setup"):
        words = one.texts("setup")
        if not words:
            raise one.fault("a command of setup is empty; remove it")
        setup.append(tuple(words))
    return Command(
        name,
        (command.text('"command"'), *said.texts("args")),
        tuple(setup),
        (*shared, *_variables(said.items("envVars"))),
        _patterns(said, "expectedOutput", "excludedOutput"),
        _patterns(said, "expectedError", "excludedError"),
        said.number("exitCode", 0),
        options,
    )


def _existence(test: Value) -> Existence:
    said = test.table("a file existence test", _EXISTENCE)
    permissions, by = said.get("permissions"), said.text("isExecutableBy")
    if permissions and not _PERMISSIONS.fullmatch(permissions.text('"permissions"')):
        raise permissions.fault(
            f'"{permissions.of}" is no permission string; write one as in -rw-r--r--'
        )
    if by and by not in _BY:
        raise test.fault(f'isExecutableBy "{by}" is not known; write owner, group, other or any')
    exists = said.flag("shouldExist", default=True)
    wanted = said.text("permissions"), said.number("uid", -1), said.number("gid", -1)
    if not exists and (by or wanted != ("", -1, -1)):
        raise test.fault("what should not exist has no owner and no permissions; remove them")
    name = said.needed("name").text('"name"')
    return Existence(name, said.needed("path").text('"path"'), exists, *wanted, _BY.get(by, 0))


def _content(test: Value) -> Content:
    said = test.table("a file content test", _CONTENT)
    patterns = _patterns(said, "expectedContents", "excludedContents")
    if patterns == Patterns():
        raise test.fault("it expects nothing of the content; add expectedContents")
    return Content(said.needed("name").text('"name"'), said.needed("path").text('"path"'), patterns)


def _licenses(test: Value, number: int) -> Licenses:
    said = test.table("a license test", {"debian", "files"})
    found = Licenses(f"licenses {number}", said.flag("debian"), tuple(said.texts("files")))
    if not (found.debian or found.files):
        raise test.fault("it names no files; write debian: true, or files")
    return found


def _metadata(test: Value) -> Metadata:
    said = test.table("metadataTest", _METADATA)
    return Metadata(
        "metadata",
        (*_pairs(said.items("env")), *_pairs(said.items("envVars"))),
        tuple(
            one.table("an entry of unboundEnvVars", {"key", "value"}).needed("key").text("key")
            for one in said.items("unboundEnvVars")
        ),
        tuple(_pairs(said.items("labels"))),
        tuple(said.texts("entrypoint")) if said.get("entrypoint") else None,
        tuple(said.texts("cmd")) if said.get("cmd") else None,
        tuple(said.texts("exposedPorts")),
        tuple(said.texts("unexposedPorts")),
        tuple(said.texts("volumes")),
        tuple(said.texts("unmountedVolumes")),
        said.text("workdir"),
        said.text("user"),
    )


def _patterns(said: Table, found: str, absent: str) -> Patterns:
    for item in (*said.items(found), *said.items(absent)):
        require_expression(item)
    return Patterns(tuple(said.texts(found)), tuple(said.texts(absent)))


def require_expression(item: Value) -> str:
    """Return the regular expression of Go that a value says.

    Raises:
        ConfigError: it is none, or cannot be said here.

    """
    text = item.text("a regular expression")
    try:
        goregex.compiled(text)
    except ValueError as error:
        raise item.fault(f"{error}; correct it") from None
    return text


def _variables(items: Sequence[Value]) -> tuple[tuple[str, str], ...]:
    found = []
    for item in items:
        said = item.table("a variable", {"key", "value", "isRegex"})
        if said.flag("isRegex"):
            raise item.fault("a variable that is set cannot be a pattern; remove isRegex")
        found.append((said.needed("key").text('"key"'), said.text("value")))
    return tuple(found)


def _pairs(items: Sequence[Value]) -> Iterator[tuple[str, str, bool]]:
    for item in items:
        said = item.table("an entry", {"key", "value", "isRegex"})
        is_pattern = said.flag("isRegex")
        value = said.get("value")
        if is_pattern and value:
            require_expression(value)
        yield said.needed("key").text('"key"'), said.text("value"), is_pattern


def _options(value: Value | None, root: Path) -> Options:
    if value is None:
        return Options()
    said = value.table("containerRunOptions", _OPTIONS, _NOT_HERE)
    env_file = said.get("envFile")
    names: dict[str, str] = {}
    if env_file:
        path = root / env_file.text('"envFile"')
        if not path.resolve().is_relative_to(root.resolve()):
            raise env_file.fault("it is not in the project's folder; copy it there")
        try:
            names.update(_of_file(path))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise env_file.fault(f"it cannot be read: {reason}; correct its path") from None
    for item in said.items("envVars"):
        name = item.text("a variable's name")
        if name not in os.environ:
            raise item.fault(f"{name} is not set in the environment; set it")
        names[name] = os.environ[name]
    return Options(
        said.text("user"),
        said.text("envFile"),
        tuple((name, hashlib.sha256(held.encode()).hexdigest()) for name, held in names.items()),
        tuple(said.texts("capabilities")),
        tuple(_mount(item, root) for item in said.items("bindMounts")),
    )


def _mount(item: Value, root: Path) -> tuple[str, str, bool]:
    source, target, *mode = [*item.text("a mount").split(":"), ""]
    ways = set(filter(None, ",".join(mode).split(",")))
    if not source or not target.startswith("/") or ways - {"ro", "rw", "z", "Z"}:
        raise item.fault("a mount is source:target or source:target:ro; correct it")
    path = (root / source).resolve()
    if not path.is_relative_to(root.resolve()):
        raise item.fault(f"{source} is not in the project's folder; copy it there")
    relative = PurePosixPath(path.relative_to(root.resolve()))
    return str(relative), target, "ro" in ways


def _of_file(path: Path) -> Iterator[tuple[str, str]]:
    for line in path.read_text("utf-8").splitlines():
        name, equals, value = line.partition("=")
        if line.strip() and not line.startswith("#"):
            yield name, value if equals else os.environ.get(name, "")
