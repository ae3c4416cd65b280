"""Which steps of a stage are the same on any machine, and what of a stage another one may take."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.dockerfiles import compiling

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from buildx_tasks.dockerfiles.compiling import Language
    from buildx_tasks.dockerfiles.instructions import Instruction
    from buildx_tasks.dockerfiles.stages import Stage


class Kind(NamedTuple):
    """How a language is compiled for another machine in an image of some name.

    ``crosses`` says that it takes Debian's cross compiler; ``cache`` is the flag of a cache mount;
    ``commands`` and ``packages`` are what may be run and installed besides.
    """

    language: str
    crosses: bool
    cache: str
    commands: frozenset[str]
    packages: frozenset[str]


_COMMON = frozenset(
    "apk apt-get cat cd chmod cp date echo export false git ln ls mkdir mv printf pwd rm sed set "
    "test touch tr true [".split()
)
_PACKAGES = frozenset(
    "autoconf automake bash bison build-essential ca-certificates cmake curl file flex g++ gawk gcc git "
    "gnupg libc6-dev libtool m4 make meson musl-dev ninja-build openssh-client patch perl tzdata unzip "
    "wget xz-utils zip".split()
)
_C_PACKAGES = frozenset(
    "alpine-sdk build-base build-essential clang g++ gcc libc-dev musl-dev".split()
)
_GO_REST = frozenset("build env fmt generate mod test version vet work".split())
_CARGO_REST = frozenset("build fetch fmt generate-lockfile --version".split())
_OF = {
    "Go": frozenset({"go"}),
    "Rust": frozenset({"cargo", "rustc"}),
    "C or C++": frozenset(
        "ar autoreconf c++ cc cmake configure g++ gcc install make meson ninja ranlib strip".split()
    ),
    "Java": frozenset("gradle gradlew mvn mvnw java javac".split()),
}
# What a shell does besides running one command after another.
_SCRIPT = re.compile(r"[;|`()]|\$\(|(?<!&)&(?![&>])|^\s*(?:if|for|while|case|until)\b|<<")
_HARMLESS = re.compile(r"\$\((?:nproc|git|date|cat)\b[^()$`]*\)")
_TOLD = re.compile(
    r"\b(?:CC|CXX|LD|AR|CARGO_BUILD_TARGET|CARGO_TARGET_\w+|RUSTFLAGS)=|--target[= ]|--host[= ]|"
    r"\s-m(?:arch|avx|cpu|float|fpu|sse|tune|\d)"
)
# Cargo puts what it makes somewhere else, or one of several folders is meant.
_PLACED = re.compile(r"--(?:artifact-dir|manifest-path|out-dir|profile|target-dir)\b")
_PROGRAM = re.compile(r".*/target/(?:release|debug)/[\w.-]+")
_MOVES = frozenset({"cat", "cp", "install", "ln", "mv"})
_SYSTEM = re.compile(r"/(?:bin|sbin|lib\w*|usr|etc|go|root|var|opt|home)?(?:/.*)?")
_OWN = re.compile(r"/(?:usr|go)/src/.+")  # where sources are put
_OFFICIAL = re.compile(r"^(?:(?:.*/)?library/|docker\.io/)")
_ALIKE = re.compile(
    r"/(?:etc/(?:ssl|ca-certificates|passwd|group|nsswitch\.conf)|usr/share/(?:zoneinfo|ca-certificates)|"
    r"usr/local/share/ca-certificates)(?:/.*)?"
)


def kind_of(family: Sequence[Stage], its: Language) -> Kind | str:
    """Return how stages that start from the image of the first compile, or why that is not known."""
    place, slash, last = family[0].base.partition("@")[0].rpartition("/")
    last, _, tag = last.partition(":")
    name = _OFFICIAL.sub("", f"{place}{slash}{last}")
    is_alpine = "alpine" in tag
    commands = _COMMON | _OF.get(its.name, frozenset())
    why = f"it compiles {its.name}; how that is told its platform is not known"
    if its is compiling.GO:
        is_pure = is_pure_go(family)
        if name != "golang":
            why = "it compiles Go in another image than golang, whose C compiler is not known"
        elif not is_pure and is_alpine:
            why = "it compiles Go with Alpine's C compiler, and Alpine has no cross compilers"
        elif not is_pure and "$" in tag:
            why = "it may compile Go with C, in an image whose name is not known"
        else:
            cache = "--mount=type=cache,target=/root/.cache/go-build"
            return Kind("Go", not is_pure, cache, commands, _PACKAGES)
    elif its is compiling.RUST:
        why = "it compiles Rust in another image than Debian's rust, where what links is not known"
        if name == "rust" and not is_alpine and "$" not in tag:
            cache = "--mount=type=cache,target=/usr/local/cargo/registry"
            return Kind("Rust", True, cache, commands, _PACKAGES)
    elif its is compiling.C:
        why = "it compiles C or C++ in an image that has no cross compilers of Debian or Ubuntu"
        if name in ("debian", "ubuntu", "buildpack-deps"):
            return Kind("C or C++", True, "", commands, _PACKAGES)
    elif its in (compiling.MAVEN, compiling.GRADLE):
        return Kind("Java", False, its.cache.partition(" ")[0], commands, _PACKAGES)
    return why


def is_pure_go(family: Sequence[Stage]) -> bool:
    """Say whether Go compiles without C there: it is told to, or there is no C compiler."""
    said = "\n".join(
        compiling.text(one)
        for stage in family
        for one in stage.instructions
        if one.keyword in ("ENV", "RUN")
    )
    if "CGO_ENABLED" in said:
        return "CGO_ENABLED=0" in said and "CGO_ENABLED=1" not in said
    return "alpine" in family[0].base and not (_C_PACKAGES & set(said.split()))


def unknown(one: Instruction, kind: Kind, stages: Collection[str]) -> str:
    """Return why an instruction is not known to be the same on any machine; ``""`` where it is.

    ``stages`` are the names of all stages.
    """
    if one.keyword in ("USER", "SHELL", "ONBUILD", "ADD"):
        return f"{one.keyword} is not looked into"
    if one.keyword in ("ARG", "ENV") and kind.crosses and _TOLD.search(one.value):
        return "its compiler is named already"
    if one.keyword == "COPY" and (origin := _origin(one)) and origin not in stages:
        return f"it copies from the image {origin}, for the machine that it runs on"
    return _unknown_run(one, kind) if one.keyword == "RUN" else ""


def _unknown_run(one: Instruction, kind: Kind) -> str:
    if one.json or one.heredocs:
        return "it is no plain line of a shell"
    if any(flag.startswith("--mount") and "from=" in flag for flag in one.flags):
        return "it mounts another image"
    said = _HARMLESS.sub("now", one.arguments.replace("\\\n", " "))
    if _SCRIPT.search(re.sub(r"'[^']*'", "''", said)):
        return "its commands are more than one after the other (&&)"
    if kind.crosses and _TOLD.search(said) and kind.language != "Go":
        return "its compiler is told a machine already"
    if kind.language == "Rust" and _PLACED.search(said):
        return "cargo is told where to put what it makes"
    plain = one._replace(value=_HARMLESS.sub("now", one.value))
    return next(
        filter(None, (_command(words, kind) for words in compiling.run_commands(plain))), ""
    )


def _command(words: tuple[str, ...], kind: Kind) -> str:
    name = words[0].rpartition("/")[2]
    if name not in kind.commands or (words[0].startswith("/") and name != words[0].strip("/")):
        return f"what {words[0]} does for a platform is not known"
    first = next((word for word in words[1:] if not word.startswith(("-", "+"))), "")
    if name in ("apk", "apt-get"):
        strange = _strange(words, kind) if first in ("install", "add") else []
        return (
            f"it installs {', '.join(strange)}, for the machine that it runs on" if strange else ""
        )
    if name == "go" and first not in _GO_REST:
        return f"what go {first} makes may be for either machine"
    if name == "cargo" and first not in _CARGO_REST:
        return f"what cargo {first} makes may be for either machine"
    if name in _MOVES and any(map(_is_systems, words[1:-1])):
        return f"{name} takes what may be the build machine's own"
    if name == "make" and {"test", "check"} & set(words):
        return "it runs what it made"
    return ""


def _origin(one: Instruction) -> str:
    return next((f.partition("=")[2].lower() for f in one.flags if f.startswith("--from=")), "")


def _is_systems(word: str) -> bool:
    """Say whether a path leads to what the image brings, and not to what is made in it."""
    path = posixpath.normpath(word)
    if not path.startswith(("/", "..")) or _ALIKE.fullmatch(path) or _OWN.fullmatch(path):
        return False
    return path.startswith("..") or path == "/" or bool(_SYSTEM.fullmatch(path))


def _strange(words: tuple[str, ...], kind: Kind) -> list[str]:
    named = [
        word for word in words[2:] if not word.startswith("-") and word not in ("install", "add")
    ]
    return [word for word in named if word.partition("=")[0] not in kind.packages]


def made(family: Sequence[Stage]) -> set[str]:
    """Return the absolute paths that the stages compile to, or copy what they compiled to."""
    found = set()
    for stage in family:
        folder = "/"
        for one in stage.instructions:
            if one.keyword == "WORKDIR":
                folder = posixpath.join(folder, one.value.strip())
            if one.keyword != "RUN" or one.json:
                continue
            for words in compiling.run_commands(one):
                paths = [b for a, b in zip(words, words[1:]) if a == "-o"]
                paths += [
                    w[2:] for w in words if w.startswith("-o") and len(w) > 2 and w[2] not in "=s"
                ]
                if words[0] in ("cp", "mv", "install") and len(words) > 2:
                    paths.append(words[-1])
                found |= {posixpath.normpath(posixpath.join(folder, path)) for path in paths}
    return found


def taken(
    one: Instruction, names: Mapping[str, Stage], outputs: set[str], kind: Kind
) -> Iterator[str]:
    """Yield why what an instruction takes from these stages may be the build machine's own."""
    if one.keyword == "RUN" and any(
        f"from={name}" in flag.split(",") or f"=from={name}" in flag
        for flag in one.flags
        for name in names
    ):
        yield "it mounts the stage that compiles"
    if one.keyword != "COPY" or _origin(one) not in names:
        return
    words = one.json or one.arguments.split()
    for source in words[:-1]:
        path = posixpath.normpath(f"/{source}".replace("//", "/"))
        if kind.language == "Java":
            if not path.endswith((".jar", ".war")):
                yield f"it takes {source}, which may be more than Java's own files"
        elif path in outputs or _ALIKE.fullmatch(path):
            continue
        elif kind.language == "Rust":
            if not _PROGRAM.fullmatch(path):
                yield f"it takes {source}, which may be more than the program"
        elif path.startswith("/usr/local/") and kind.language == "C or C++":
            continue  # empty in Debian's images: what is there was made
        elif "$" in path or _is_systems(path):
            yield f"it takes {source}, which may be the build machine's own"
