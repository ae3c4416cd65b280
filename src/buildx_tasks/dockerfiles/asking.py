"""What of the target the compilers of a stage get: it, a fixed architecture, the build machine's."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Literal, NamedTuple

from buildx_tasks.dockerfiles import architectures
from buildx_tasks.dockerfiles.compiling import DOTNET, GO, RUST, compiling_command, language, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from buildx_tasks.dockerfiles.compiling import Language
    from buildx_tasks.dockerfiles.instructions import Instruction
    from buildx_tasks.dockerfiles.stages import Placed

# What a compiler makes of the target: it asks for it, for a variable that is empty in the stage, for
# none although the stage has one, or for nothing; or it is told one architecture, the build
# machine's, or something that is no machine's own, as wasm or another system.
Asks = Literal["target", "undeclared", "unread", "nothing", "fixed", "machine", "elsewhere"]

_TARGET = re.compile(r"TARGET(?:PLATFORM|OS|ARCH|VARIANT)")
_ARCHITECTURE = frozenset({"TARGETARCH", "TARGETPLATFORM"})
_BESIDE = frozenset({"BUILDOS", "BUILDVARIANT", "TARGETOS", "TARGETVARIANT"})
_BUILD = frozenset({"BUILDARCH", "BUILDPLATFORM"})
_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
_ASSIGNED = re.compile(
    r"\b(?:for|read)\s+([A-Za-z_]\w*)"
)  # names that a script gives values itself
_VALUE = r"(\"[^\"]*\"|'[^']*'|\$\([^)]*\)|(?:\$\([^)]*\)|[^\s;&|])*)"
_ASSIGNMENT = re.compile(rf"(?<![\w$.{{-])([A-Za-z_]\w*)={_VALUE}")
_GOARCH = re.compile(rf"(?:\bGOARCH=|\btinygo build .*-target[= ]){_VALUE}")
_TRIPLE = re.compile(rf"(?:--target[= ]|\bCARGO_BUILD_TARGET=){_VALUE}")
_RUNTIME = re.compile(rf"\s(?:-r|--runtime|-a|--arch)[= ]\s*{_VALUE}")
_C = re.compile(
    rf"(?:--host[= ]|\s--?target[= ]|\bGOARCH=){_VALUE}|"
    r"(?<![\w/-])((?:x86_64|aarch64|i686|i386|arm|riscv64|s390x|powerpc64le)-[\w-]*linux[\w-]*)"
    r"-(?:gcc|g\+\+|cc|c\+\+|as|ld|clang)"
)
_GOOS = re.compile(rf"\bGOOS={_VALUE}")
_NO_MACHINE = re.compile(r"wasm|wasi|emscripten|windows|darwin|apple|freebsd|android|\bwin-|\bosx-")
_MACHINE = re.compile(
    r"\$\(\s*(uname -m|uname -p|arch|dpkg --print-architecture|apk --print-arch|"
    r"go env (?:GOARCH|GOHOSTARCH))\s*(?:\|[^)]*)?\)|`(uname -m|arch)`"
)
# What sets GOARCH in a way that is not a plain assignment, or by the target's name.
_CHOSEN = re.compile(r"\bGOARCH\b|\beval\b|\bsource\b|(?:^|[\s;&])\.\s", re.MULTILINE)
_BRANCH = re.compile(r"\bcase\b|\bif\b|\[ ")


class Compiled(NamedTuple):
    """A ``RUN`` that compiles.

    ``word`` is the variable that it asks for and that is empty, or what tells it an architecture;
    ``architecture`` is that one, where it is fixed.
    """

    run: Instruction
    language: Language
    asks: Asks
    word: str = ""
    architecture: str = ""

    def is_foreign(self, here: str, machine: str, wanted: str) -> bool:
        """Say whether it makes something else than the ``wanted`` architecture's.

        ``here`` is the architecture that the stage runs on, ``machine`` the build machine's.
        """
        if self.asks in {"target", "elsewhere"}:
            return False
        if self.asks == "fixed":
            return self.architecture != wanted
        return (machine if self.word.startswith("$BUILD") else here) != wanted


class Meaning(NamedTuple):
    """What a value comes to."""

    asks: Asks
    word: str = ""
    architecture: str = ""


_ALL = Meaning("target")


def compiled_in(
    chain: Sequence[Placed], args: Mapping[str, str]
) -> Iterator[tuple[Placed, Compiled]]:
    """Yield what the stages of a chain compile, and what of the target that asks for."""
    if any(_TARGET.search(one.stage.base) for one in chain):
        return  # another image, with another compiler, for each platform
    scope = Scope(chain[-1].stage.base, args)
    for one in reversed(chain):
        for its in filter(None, map(scope.read, one.stage.instructions)):
            yield one, its


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
                value = self._args.get(name, value)
                if not given and name not in self._args:
                    if _TARGET.fullmatch(name):
                        self._declared.add(name)
                    continue
            self._set(name, value)

    def _set(self, name: str, value: str) -> None:
        missing = self._missing(value)
        if missing:
            self._void[name] = missing
            return
        self._void.pop(name, None)
        self._values[name] = value
        if _TARGET.fullmatch(name):  # a default, and an argument, stand for what BuildKit gives
            is_target = "$" in value and self._meaning(value, {}).asks == "target"
            (self._declared.add if is_target else self._declared.discard)(name)

    def _keep(self, script: str) -> None:
        if "go env -w" in script or ">" in script:
            self._kept.update(f for f in ("GOARCH", "CARGO_BUILD_TARGET") if f"{f}=" in script)
        if "cargo/config" in script and _TARGET.search(script):
            self._kept.add("CARGO_BUILD_TARGET")

    def _missing(self, script: str, own: Iterable[str] = ()) -> str:
        """Return the first variable of the target that a script asks for and that is not declared.

        ``""`` where there is none, or where it asks for a declared one or one of its ``own`` as well.
        """
        missing = ""
        for name in _VARIABLE.findall(script):
            if name in own or (name in self._declared and name in _ARCHITECTURE):
                return ""
            if name in _ARCHITECTURE and name not in self._values and not missing:
                missing = name
            missing = missing or self._void.get(name, "")
        return missing

    def _asks(self, run: Instruction, its: Language) -> Meaning:
        script = text(run)
        command = compiling_command(run) or ("",)
        local = _local(script)
        is_xx = command[0].rpartition("/")[2].startswith("xx-")
        by_itself = bool(its.reads) and not is_xx
        if by_itself and its is GO:
            found = self._other_system(script, local) or self._given(script, "GOARCH", _GOARCH)
        elif by_itself:
            found = self._given(script, "CARGO_BUILD_TARGET", _TRIPLE)
        elif its is DOTNET:  # without any it makes what every machine runs
            return self._all_of(_RUNTIME.findall(script), script) or _ALL
        else:
            found = None if is_xx else self._toolchain(script)
            # A Makefile or a script may read what is declared: it is in the environment.
            if not found and (self._declared or _ARCHITECTURE.intersection(local)):
                found = _ALL
        if found:
            return found
        asked = any(name in self._declared for name in _VARIABLE.findall(script))
        if by_itself and asked and (its is RUST or _CHOSEN.search(script)):
            return _ALL
        missing = self._missing(script, local)
        if missing and (its is not GO or not by_itself or "GOARCH" in script):
            return Meaning("undeclared", missing)
        return Meaning("unread" if by_itself and self._declared else "nothing")

    def _other_system(self, script: str, local: Mapping[str, list[str]]) -> Meaning | None:
        """Say whether it is for another system than Linux, on purpose."""
        values = _GOOS.findall(script) or [self._values.get("GOOS", "linux")]
        names = {local.get(v.strip("\"'$"), [v])[0].strip("\"'") for v in values}
        return Meaning("elsewhere") if not any("$" in n or n == "linux" for n in names) else None

    def _given(self, script: str, name: str, pattern: re.Pattern[str]) -> Meaning | None:
        """Return what a compiler gets that reads one variable only; None where that is not set."""
        values = pattern.findall(script)
        if not values and name in self._void:
            return Meaning("undeclared", self._void[name])
        if not values and name in self._kept:
            return _ALL
        values = values or ([self._values[name]] if name in self._values else [])
        found = self._all_of(values, script)
        if found and found.asks == "fixed" and name == "GOARCH" and "=" not in found.word:
            return found._replace(word=f"{name}={found.word}")
        return found

    def _toolchain(self, script: str) -> Meaning | None:
        """Return what a C compiler, or make, is told in so many words; None where it is not."""
        values = [one or two for one, two in _C.findall(script)]
        values = values or [self._values[n] for n in ("CC", "GOARCH") if n in self._values]
        found = self._all_of(values, script)
        return found if found and found.asks in {"fixed", "machine"} else None

    def _all_of(self, values: Sequence[str], script: str) -> Meaning | None:
        """Return what several values for one thing come to."""
        local = _local(script)
        means = [self._meaning(value, local) for value in values]
        for wanted in ("target", "undeclared", "machine"):
            for one in means:
                if one.asks == wanted:
                    return one
        fixed = [one for one in means if one.asks == "fixed"]
        if len({one.architecture for one in fixed}) > 1:
            return _ALL
        if fixed and not _BRANCH.search(script):
            return fixed[0]
        return next((one for one in means if one.asks == "elsewhere"), None)

    def _meaning(self, value: str, local: Mapping[str, list[str]], depth: int = 0) -> Meaning:
        """Return what a value comes to; ``local`` are the script's own variables."""
        value = value.strip("\"'")
        machine = _MACHINE.search(value)
        if machine:
            return Meaning("machine", machine[0])
        names = [name for name in _VARIABLE.findall(value) if name not in _BESIDE]
        means = [self._variable(name, local, depth) for name in names]
        for wanted in ("target", "undeclared", "machine", "fixed", "elsewhere"):
            for one in means:
                if one.asks == wanted:
                    return one
        if "$(" in value or "`" in value:
            return _ALL  # what a command answers is not known
        if _NO_MACHINE.search(value):
            return Meaning("elsewhere")
        named = set(architectures.in_text(value))
        return Meaning("fixed", value, *named) if len(named) == 1 else Meaning("nothing")

    def _variable(self, name: str, local: Mapping[str, list[str]], depth: int) -> Meaning:
        if depth > 5:
            return _ALL
        if name in local:
            if len(local[name]) != 1:
                return _ALL
            return self._meaning(local[name][0], {**local, name: []}, depth + 1)
        if name in _ARCHITECTURE and name in self._declared:
            return _ALL
        if name in self._void:
            return Meaning("undeclared", self._void[name])
        if name in self._values:
            return self._by(name, self._meaning(self._values[name], local, depth + 1))
        if name in _ARCHITECTURE:
            return Meaning("undeclared", name)
        return Meaning("machine", f"${name}") if name in _BUILD else _ALL

    def _by(self, name: str, found: Meaning) -> Meaning:
        """Name the variable that has a fixed value; what BuildKit gives otherwise, by how it was set."""
        if found.asks != "fixed":
            return found if found.asks != "nothing" else _ALL
        how = "args" if name in self._args else "value"
        marked = f"{how} {name}={self._values[name]}" if _TARGET.fullmatch(name) else ""
        return found._replace(word=marked or f"{name}={self._values[name]}")


def _local(script: str) -> dict[str, list[str]]:
    """Return the variables that a script gives values itself; those of loops have none that is known."""
    found: dict[str, list[str]] = {name: [] for name in _ASSIGNED.findall(script)}
    for name, value in _ASSIGNMENT.findall(script):
        if f"${name}" not in value and f"${{{name}" not in value:
            found.setdefault(name, [])
            if name not in _ASSIGNED.findall(script):
                found[name].append(value)
    return found
