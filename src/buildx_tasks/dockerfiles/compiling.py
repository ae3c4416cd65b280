"""Which commands of a ``RUN`` compile, for which platform, and what to write for their language."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Literal, NamedTuple

from buildx_tasks.dockerfiles.shell import SHELLS, commands

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from buildx_tasks.dockerfiles.instructions import Instruction

# What a compiler makes of the target: it asks for it, for a variable that is empty in the stage, for
# none although the stage has one, or for nothing.
Asks = Literal["target", "undeclared", "unread", "nothing"]


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


class Compiled(NamedTuple):
    """A ``RUN`` that compiles; ``missing`` is the variable that it asks for and that is empty."""

    run: Instruction
    language: Language
    asks: Asks
    missing: str = ""


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
    _cached("$CARGO_HOME/registry", "target", command="… && cp target/release/APP /")
    + " (CARGO_HOME is set in the official rust images; elsewhere name cargo's folder, as in "
    "/root/.cargo/registry)",
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
CCACHE = C._replace(cache=_cached("/root/.cache/ccache") + " (or where CCACHE_DIR is)")
MAVEN = Language("Java", _cached("/root/.m2"))
GRADLE = Language("Java", _cached("/root/.gradle"))
WHEELS = Language("Python wheels", _cached("/root/.cache/pip"))

_C_COMPILER = re.compile(r"(?:\w+-)*(?:gcc|g\+\+|cc|c\+\+|clang|clang\+\+)(?:-\d+)?")
_C_SOURCE = re.compile(r"-[co].*|.*\.(?:c|cc|cpp|cxx|o|s|S)")
_MAVEN_GOALS = frozenset("compile package verify install deploy".split())
_GRADLE_TASKS = frozenset(
    "assemble bootJar build classes compileJava compileKotlin installDist jar shadowJar war".split()
)
_GO_IMAGE = re.compile(r"(?:^|/)golang(?![\w-])")
_MAKE = frozenset({"gmake", "make", "ninja"})

_TARGET = re.compile(r"TARGET(?:PLATFORM|OS|ARCH|VARIANT)")
_ARCHITECTURE = frozenset({"TARGETARCH", "TARGETPLATFORM"})
_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
# Names that a script gives a value itself.
_ASSIGNED = re.compile(r"\b(?:for|read)\s+(TARGET\w+)|\b(TARGET\w+)=")
_VALUE = r"(\"[^\"]*\"|'[^']*'|[^\s;&|]*)"
_GOARCH = re.compile(rf"(?:\bGOARCH=|\btinygo build .*-target[= ]){_VALUE}")
_TRIPLE = re.compile(rf"(?:--target[= ]|\bCARGO_BUILD_TARGET=){_VALUE}")
# What sets GOARCH in a way that is not a plain assignment, or by the target's name.
_CHOSEN = re.compile(r"\bGOARCH\b|\beval\b|\bsource\b|(?:^|[\s;&])\.\s", re.MULTILINE)
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


def _compiling(run: Instruction) -> tuple[tuple[str, ...], Language] | None:
    found = ((command, _language(command)) for command in run_commands(run))
    return next(((command, its) for command, its in found if its), None)


class Scope:
    """What the commands of a stage can know of the target, from the instructions read so far.

    A stage that starts from another one goes on with its scope.
    """

    def __init__(self, base: str, args: Mapping[str, str]) -> None:
        self._base = base
        self._args = args
        self._before: list[str] = []
        self._declared: set[str] = set()
        self._values: dict[str, str] = {}
        self._void: dict[str, str] = {}  # set from a variable of the target that is empty
        self._kept: set[str] = set()  # what an earlier RUN wrote down for a later one

    def read(self, instruction: Instruction) -> Compiled | None:
        """Take an instruction in; return what it compiles, where a machine can do so for another."""
        found = None
        if instruction.keyword in {"ARG", "ENV"}:
            self._assign(instruction)
        elif instruction.keyword == "RUN":
            its = language(instruction, self._base, "\n".join(self._before))
            if its and its.cross:
                found = Compiled(instruction, its, *self._asks(instruction, its))
            self._keep(text(instruction))
        self._before.append(text(instruction))
        return found

    def _assign(self, instruction: Instruction) -> None:
        try:
            words = shlex.split(instruction.value)
        except ValueError:
            return
        if instruction.keyword == "ENV" and words and "=" not in words[0]:
            words = [f"{words[0]}={' '.join(words[1:])}"]
        for word in words:
            name, given, value = word.partition("=")
            if instruction.keyword == "ARG":
                if _TARGET.fullmatch(name):
                    self._declared.add(name)
                    continue
                value = self._args.get(name, value)
                if not given and name not in self._args:
                    continue
            missing = self._missing(value)
            if missing:
                self._void[name] = missing
                continue
            self._void.pop(name, None)
            self._values[name] = value
            if _TARGET.fullmatch(name):
                self._declared.add(name)

    def _keep(self, script: str) -> None:
        if "go env -w" in script or ">" in script:
            self._kept.update(f for f in ("GOARCH", "CARGO_BUILD_TARGET") if f"{f}=" in script)
        if "cargo/config" in script and _TARGET.search(script):
            self._kept.add("CARGO_BUILD_TARGET")

    def _missing(self, script: str, own: frozenset[str] = frozenset()) -> str:
        """Return the first variable of the target that a script asks for and that is not declared.

        ``""`` where there is none, or where it asks for a declared one or one of its ``own`` as well.
        """
        missing = ""
        for name in _VARIABLE.findall(script):
            if name in own or (name in self._declared and name in _ARCHITECTURE):
                return ""
            if name in _ARCHITECTURE and not missing:
                missing = name
            missing = missing or self._void.get(name, "")
        return missing

    def _asks(self, run: Instruction, its: Language) -> tuple[Asks, str]:
        script = text(run)
        command, _ = _compiling(run) or ((), None)
        own = frozenset(name for names in _ASSIGNED.findall(script) for name in names if name)
        missing = self._missing(script, own)
        by_itself = its.reads and not command[0].rpartition("/")[2].startswith("xx-")
        if by_itself and its is GO:
            found = self._given(script, "GOARCH", _GOARCH, own)
        elif by_itself:
            found = self._given(script, "CARGO_BUILD_TARGET", _TRIPLE, own)
        else:  # a Makefile or a script may read what is declared: it is in the environment
            found = ("target", "") if self._declared or own & _ARCHITECTURE else None
        if found:
            return found
        asked = any(name in self._declared for name in _VARIABLE.findall(script))
        if by_itself and asked and (its is RUST or _CHOSEN.search(script)):
            return "target", ""
        if missing and (its is not GO or not by_itself or "GOARCH" in script):
            return "undeclared", missing
        return ("unread" if by_itself and self._declared else "nothing"), ""

    def _given(
        self, script: str, name: str, pattern: re.Pattern[str], own: frozenset[str]
    ) -> tuple[Asks, str] | None:
        """Return what a compiler gets that reads one variable only; None where that is fixed or unset."""
        values = pattern.findall(script)
        if not values and name in self._void:
            return "undeclared", self._void[name]
        if not values and name in self._kept:
            return "target", ""
        values = values or ([self._values[name]] if name in self._values else [])
        variable = [value for value in values if "$" in value]
        missing = [self._missing(value, own) for value in variable]
        if variable and not all(missing):
            return "target", ""
        return ("undeclared", missing[0]) if missing else None


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
