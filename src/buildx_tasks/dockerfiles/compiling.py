"""Which commands of a ``RUN`` compile, and what to write for their language."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.dockerfiles.shell import SHELLS, commands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.dockerfiles.instructions import Instruction


class Language(NamedTuple):
    """A compiled language.

    ``cache`` is what to write behind ``RUN`` to keep what the compiler can use again, ``""`` where no
    mount does that; ``cross`` says how a machine compiles for another one, ``""`` where that is not
    needed or not possible; ``reads`` what the compiler reads the target from, where that is all, and
    ``unread`` what to write where it has the target and does not read it.
    """

    name: str
    cache: str
    cross: str = ""
    reads: str = ""
    unread: str = ""


def _cached(*folders: str, command: str = "…") -> str:
    return " ".join([*(f"--mount=type=cache,target={folder}" for folder in folders), command])


_GO_CACHE = _cached("/root/.cache/go-build", "/go/pkg/mod")
GO = Language(
    "Go",
    _GO_CACHE,
    "declare ARG TARGETOS TARGETARCH in the stage and run GOOS=$TARGETOS GOARCH=$TARGETARCH go build",
    "go reads GOARCH only",
    "run GOARCH=$TARGETARCH go build, with ARG TARGETARCH in the stage",
)
GO_MAKE = Language(
    "Go through make",
    _GO_CACHE,
    "declare ARG TARGETARCH in the stage and run GOARCH=$TARGETARCH make, which go reads",
)
RUST = Language(
    "Rust",
    _cached("$CARGO_HOME/registry", "target,id=target-$TARGETPLATFORM", command="…")
    + ", with ARG TARGETPLATFORM in the stage, and copy what is made in the same RUN (CARGO_HOME is "
    "set in the official rust images; elsewhere name cargo's folder, as in /root/.cargo/registry)",
    "declare ARG TARGETARCH in the stage and run cargo build --target with the triple of that "
    "architecture",
    "cargo reads --target and CARGO_BUILD_TARGET only",
    "run cargo build --target with the triple of $TARGETARCH, with ARG TARGETARCH in the stage",
)
C = Language(
    "C or C++",
    "",
    "declare ARG TARGETARCH in the stage and cross-compile with a CC for $TARGETARCH, for example "
    "xx-clang of tonistiigi/xx, which reads ARG TARGETPLATFORM",
)
CCACHE = C._replace(
    cache=_cached("/root/.cache/ccache,id=ccache-$TARGETPLATFORM")
    + " (or where CCACHE_DIR is), with ARG TARGETPLATFORM in the stage"
)
MAVEN = Language("Java", _cached("/root/.m2"))
GRADLE = Language("Java", _cached("/root/.gradle"))
WHEELS = Language(
    "Python wheels",
    _cached("/root/.cache/pip,id=pip-$TARGETPLATFORM") + ", with ARG TARGETPLATFORM in the stage",
)
DOTNET = Language(
    ".NET", "", "declare ARG TARGETARCH in the stage and run dotnet publish -a $TARGETARCH"
)

_C_COMPILER = re.compile(r"(?:\w+-)*(?:gcc|g\+\+|cc|c\+\+|clang|clang\+\+)(?:-\d+)?")
_C_SOURCE = re.compile(r"-[co].*|.*\.(?:c|cc|cpp|cxx|o|s|S)")
_MAVEN_GOALS = frozenset("compile package verify install deploy".split())
_GRADLE_TASKS = frozenset(
    "assemble bootJar build classes compileJava compileKotlin installDist jar shadowJar war".split()
)
_GO_IMAGE = re.compile(r"(?:^|/)golang(?![\w-])")
_MAKE = frozenset({"gmake", "make", "ninja"})

_MAKE_REST = frozenset(
    "check clean distclean doc docs fmt format help html latexpdf lint man pdf test tests "
    "vendor".split()
)
_MAKE_VALUES = frozenset({"-C", "-f", "-I", "-j", "-l", "-o", "-W"})
_MAKE_NOTHING = frozenset({"-h", "-n", "-v", "--dry-run", "--help", "--just-print", "--version"})


def language(run: Instruction, base: str = "", before: str = "") -> Language | None:
    """Return the language that a ``RUN`` compiles; None where it compiles nothing that is known.

    ``base`` is the image it runs in: with Go in it, ``make`` makes Go. ``before`` is the text of what
    stands before it: it may have put ccache in the compiler's place.
    """
    found = _compiling(run)
    if not found:
        return None
    command, its = found
    if its is not C:
        return its
    if _GO_IMAGE.search(base) and command[0].rpartition("/")[2] in _MAKE:
        return GO_MAKE
    return CCACHE if "ccache" in f"{before}\n{text(run)}" else C


def text(instruction: Instruction) -> str:
    """Return all that an instruction says, with its here-documents."""
    return "\n".join((instruction.value, *instruction.heredocs))


def compiling_command(run: Instruction) -> tuple[str, ...] | None:
    """Return the first command of a ``RUN`` that compiles."""
    found = _compiling(run)
    return found[0] if found else None


def tool(run: Instruction) -> str:
    """Return the name of a tool of others that a ``RUN`` installs by compiling it; ``""`` for none."""
    names = []
    for command in run_commands(run):
        if _language(command):
            words = [word for word in command[1:] if not word.startswith(("-", "+"))]
            package = words[1] if len(words) > 1 and words[0] == "install" else ""
            by_go = command[0].rpartition("/")[2] == "go" and "@" in package
            by_cargo = _language(command) is RUST and "--path" not in " ".join(command)
            if not package or not (by_go or by_cargo):
                return ""
            names.append(package.partition("@")[0].rpartition("/")[2])
    return names[0] if names else ""


def _compiling(run: Instruction) -> tuple[tuple[str, ...], Language] | None:
    found = ((command, _language(command)) for command in run_commands(run))
    return next(((command, its) for command, its in found if its), None)


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
        for script in run.heredocs:
            first = script.partition("\n")[0]
            if not first.startswith("#!") or any(first.endswith(shell) for shell in SHELLS):
                yield from commands(script)


def _language(command: tuple[str, ...]) -> Language | None:
    name = command[0].rpartition("/")[2]
    name = name.removeprefix("xx-")  # tonistiigi/xx: the same tools, for a target
    words = [word for word in command[1:] if not word.startswith("+")]  # cargo +nightly build
    first = next((word for word in words if not word.startswith("-")), "")
    if name in {"go", "tinygo"}:
        return GO if first in {"build", "install"} else None
    if name in {"cargo", "cross"}:
        return RUST if first in {"b", "build", "install", "rustc", "zigbuild"} else None
    if name == "dotnet":
        return DOTNET if first in {"build", "publish"} else None
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
    if name in _MAKE:
        if _MAKE_NOTHING.intersection(words):
            return False
        pairs = zip(["", *words], words)
        wanted = [w for before, w in pairs if w[:1] != "-" and before not in _MAKE_VALUES]
        wanted = [word for word in wanted if "=" not in word]
        return not wanted or not _MAKE_REST.issuperset(wanted)
    if name in {"cmake", "meson"}:
        return words[:1] in (["--build"], ["compile"])
    return bool(_C_COMPILER.fullmatch(name)) and any(map(_C_SOURCE.fullmatch, words))
