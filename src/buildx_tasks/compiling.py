"""Which commands of a ``RUN`` compile, and what to write for their language."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.shell import SHELLS, commands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.instructions import Instruction


class Language(NamedTuple):
    """A compiled language.

    ``cache`` is what to write behind ``RUN`` to keep what the compiler can use again; ``cross`` says
    how a machine compiles for another one, ``""`` where that is not needed or not possible.
    """

    name: str
    cache: str
    cross: str = ""


def _cached(*folders: str, command: str = "…") -> str:
    return " ".join([*(f"--mount=type=cache,target={folder}" for folder in folders), command])


GO = Language(
    "Go",
    _cached("/root/.cache/go-build", "/go/pkg/mod"),
    "declare ARG TARGETOS TARGETARCH and run GOOS=$TARGETOS GOARCH=$TARGETARCH go build",
)
RUST = Language(
    "Rust",
    _cached("/usr/local/cargo/registry", "target", command="… && cp target/release/APP /"),
    "declare ARG TARGETARCH and run cargo build --target with the triple of that architecture",
)
C = Language(
    "C or C++",
    _cached("/root/.cache/ccache", command='CC="ccache cc" …'),
    "declare ARG TARGETARCH and use a compiler for it, as in CC=aarch64-linux-gnu-gcc",
)
MAVEN = Language("Java", _cached("/root/.m2"))
GRADLE = Language("Java", _cached("/root/.gradle"))
WHEELS = Language("Python wheels", _cached("/root/.cache/pip"))

_C_COMPILER = re.compile(r"(?:\w+-)*(?:gcc|g\+\+|cc|c\+\+|clang|clang\+\+)(?:-\d+)?")
_C_SOURCE = re.compile(r"-[co].*|.*\.(?:c|cc|cpp|cxx|o|s|S)")
_MAVEN_GOALS = frozenset("compile package verify install deploy".split())
_GRADLE_TASKS = frozenset(
    "assemble bootJar build classes compileJava compileKotlin installDist jar shadowJar war".split()
)
_MAKE_REST = frozenset(
    "check clean distclean doc docs fmt format help lint test tests vendor".split()
)
_MAKE_VALUES = frozenset({"-C", "-f", "-I", "-j", "-l", "-o", "-W"})
_MAKE_NOTHING = frozenset({"-h", "-n", "-v", "--dry-run", "--help", "--just-print", "--version"})


def language(run: Instruction) -> Language | None:
    """Return the language that a ``RUN`` compiles; None where it compiles nothing that is known."""
    found = map(_language, run_commands(run))
    return next((one for one in found if one), None)


def run_commands(run: Instruction) -> Iterator[tuple[str, ...]]:
    """Yield the commands of a ``RUN``: of its line, its JSON form or its here-documents."""
    if run.json:
        yield tuple(run.json)
        if run.json[0].rpartition("/")[2] in SHELLS:
            yield from commands(run.json[-1])
        return
    outer = list(commands(run.arguments))
    yield from outer
    if not outer or outer[0][0].rpartition("/")[2] in SHELLS:
        for text in run.heredocs:
            first = text.partition("\n")[0]
            if not first.startswith("#!") or any(first.endswith(shell) for shell in SHELLS):
                yield from commands(text)


def _language(command: tuple[str, ...]) -> Language | None:
    name = command[0].rpartition("/")[2]
    name = name.removeprefix("xx-")  # tonistiigi/xx: the same tools, for a target
    words = [word for word in command[1:] if not word.startswith("+")]  # cargo +nightly build
    first = next((word for word in words if not word.startswith("-")), "")
    if name in {"go", "tinygo"}:
        return GO if first in {"build", "install"} else None
    if name in {"cargo", "cross"}:
        return RUST if first in {"b", "build", "install", "rustc", "zigbuild"} else None
    if name == "rustc":
        return RUST if any(word.endswith(".rs") for word in words) else None
    if name in {"mvn", "mvnw"}:
        return MAVEN if _MAVEN_GOALS.intersection(words) else None
    if name in {"gradle", "gradlew"}:
        tasks = {word.rpartition(":")[2] for word in words}
        return GRADLE if _GRADLE_TASKS & tasks else None
    return _python(name, words) or (C if _is_c(name, words) else None)


def _python(name: str, words: list[str]) -> Language | None:
    if re.fullmatch(r"python[0-9.]*", name) and words[:2] == ["-m", "pip"]:
        name, words = "pip", words[2:]
    return WHEELS if re.fullmatch(r"pip[0-9.]*", name) and words[:1] == ["wheel"] else None


def _is_c(name: str, words: list[str]) -> bool:
    if name in {"make", "gmake", "ninja"}:
        if _MAKE_NOTHING.intersection(words):
            return False
        pairs = zip(["", *words], words)
        wanted = [w for before, w in pairs if w[:1] != "-" and before not in _MAKE_VALUES]
        wanted = [word for word in wanted if "=" not in word]
        return not wanted or not _MAKE_REST.issuperset(wanted)
    if name in {"cmake", "meson"}:
        return words[:1] in (["--build"], ["compile"])
    return bool(_C_COMPILER.fullmatch(name)) and any(map(_C_SOURCE.fullmatch, words))
