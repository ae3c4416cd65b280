"""A folder with a program in; a Dockerfile that compiles it natively for each platform out."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Callable

from buildx_tasks.dockerfiles import cross
from buildx_tasks.errors import UsageError
from buildx_tasks.starting import recipes
from buildx_tasks.text import json_line

if TYPE_CHECKING:
    from pathlib import Path

# What tells a language by its presence; the first one is named where nothing is there.
SIGNS = {
    "go": ("go.mod",),
    "rust": ("Cargo.toml",),
    "c": ("CMakeLists.txt", "Makefile"),
    "node": ("package.json",),
    "python": ("pyproject.toml", "setup.py", "requirements.txt"),
}
LANGUAGES = tuple(SIGNS)
_NODE, _PYTHON = "24", "3.13"


def seen(folder: Path) -> list[str]:
    """Return the languages whose files are in the folder; a Makefile alone says nothing."""
    return [
        language
        for language, files in SIGNS.items()
        if any((folder / name).is_file() for name in files if name != "Makefile")
    ]


def dockerfile(folder: Path, language: str, name: str) -> str:
    """Return a Dockerfile that compiles natively for each platform.

    Raises:
        UsageError: the folder is no project of that language, or what its program is cannot be told.

    """
    texts = {
        sign: (folder / sign).read_text("utf-8", "replace")
        for sign in SIGNS[language]
        if (folder / sign).is_file()
    }
    if not texts:
        wanted = " or ".join(SIGNS[language])
        raise _refused(language, f"no {wanted} is here; run it where one is")
    return _OF[language](folder, texts, name)


def _refused(language: str, why: str) -> UsageError:
    return UsageError(f"init: --dockerfile {language}: {why}")


def _go(folder: Path, texts: dict[str, str], name: str) -> str:
    version = re.search(r"(?m)^go (\d+\.\d+)", texts["go.mod"])
    programs = sorted({path.parent for path in folder.glob("*.go") if _is_main(path)}) or sorted(
        {path.parent for path in folder.glob("cmd/*/*.go") if _is_main(path)}
    )
    if not programs:
        raise _refused("go", "no package main is here or in cmd/*; write one")
    inside = programs[0].relative_to(folder).as_posix()
    return recipes.GO.format(
        version=version[1] if version else "1.24",
        name=_word("go", name if inside == "." else programs[0].name),
        package="." if inside == "." else _word("go", f"./{inside}"),
    )


def _is_main(path: Path) -> bool:
    text = path.read_text("utf-8", "replace")
    return bool(re.search(r"(?m)^package main\b", text)) and not path.name.endswith("_test.go")


def _rust(folder: Path, texts: dict[str, str], name: str) -> str:
    import tomli

    try:
        declared = tomli.loads(texts["Cargo.toml"])
    except tomli.TOMLDecodeError as error:
        raise _refused("rust", f"Cargo.toml cannot be read: {error}; correct it") from None
    if "package" not in declared:
        raise _refused("rust", "Cargo.toml is a workspace; run it in the folder of the program")
    binaries = [str(one["name"]) for one in declared.get("bin", []) if "name" in one]
    if not binaries and not (folder / "src" / "main.rs").is_file():
        binaries = sorted(path.stem for path in folder.glob("src/bin/*.rs"))
        if not binaries:
            raise _refused("rust", "no program is here; write src/main.rs")
    program = binaries[0] if binaries else str(declared["package"].get("name", name))
    locked = " --locked" if (folder / "Cargo.lock").is_file() else ""
    return recipes.RUST.format(cross=cross.steps(), name=_word("rust", program), locked=locked)


def _c(folder: Path, texts: dict[str, str], name: str) -> str:  # noqa: ARG001 - as the others
    if "CMakeLists.txt" in texts:
        program = re.search(r"(?im)^\s*add_executable\s*\(\s*([\w.+-]+)", texts["CMakeLists.txt"])
        if not program:
            raise _refused("c", "CMakeLists.txt has no add_executable; write one")
        made = recipes.CMAKE.format(name=program[1])
        return recipes.C.format(
            cross=cross.steps(" cmake make"), made=made, name=_word("c", program[1])
        )
    if not re.search(r"(?m)^install\s*:", texts["Makefile"]):
        raise _refused("c", "Makefile has no goal install (with DESTDIR), which says what to take")
    program = re.search(
        r"(?m)^(?:PROG(?:RAM)?|BIN|TARGET|NAME)\s*[:?]?=\s*([\w.+-]+)\s*$", texts["Makefile"]
    )
    made = recipes.MAKE
    return recipes.C.format(
        cross=cross.steps(" make"), made=made, name=_word("c", program[1] if program else name)
    )


def _node(folder: Path, texts: dict[str, str], name: str) -> str:  # noqa: ARG001 - as the others
    try:
        package = json.loads(texts["package.json"])
        scripts = package.get("scripts", {})
        start = shlex.split(str(scripts.get("start", "")))
    except (ValueError, AttributeError) as error:
        raise _refused("node", f"package.json cannot be read: {error}; correct it") from None
    if not start or re.search(r"[$&|;<>()]", scripts["start"]):
        start = ["npm", "start"] if start else ["node", str(package.get("main") or "index.js")]
    has_lock = any((folder / one).is_file() for one in ("package-lock.json", "npm-shrinkwrap.json"))
    if any((folder / one).is_file() for one in ("pnpm-lock.yaml", "yarn.lock")) and not has_lock:
        raise _refused("node", "it is written for npm, and the lock here is another one's")
    return recipes.NODE.format(
        version=_NODE,
        install="npm ci" if has_lock else "npm install",
        build="RUN npm run build\n" if "build" in scripts else "",
        command=json_line(start),
    )


def _python(folder: Path, texts: dict[str, str], name: str) -> str:
    import tomli

    try:
        declared = tomli.loads(texts.get("pyproject.toml", ""))
    except tomli.TOMLDecodeError as error:
        raise _refused("python", f"pyproject.toml cannot be read: {error}; correct it") from None
    project = declared.get("project", {})
    scripts = list(project.get("scripts", {}))
    module = re.sub(r"\W", "_", str(project.get("name", name)).lower())
    has_package = "project" in declared or "build-system" in declared or "setup.py" in texts
    modules = [
        path.stem
        for path in map(folder.joinpath, ("main.py", "app.py", "__main__.py"))
        if path.is_file()
    ]
    if has_package:
        command = [scripts[0]] if scripts else ["python", "-m", module]
    elif modules:
        command = ["python", f"/src/{modules[0]}.py"]
    else:
        raise _refused("python", "neither a package nor main.py is here; write one")
    return recipes.PYTHON.format(
        version=_PYTHON,
        wheel=recipes.WHEEL if has_package else "",
        what="/wheels/*.whl" if has_package else "-r requirements.txt",
        sources="" if has_package else "COPY . /src\n",
        command=json_line(command),
    )


def _word(language: str, text: str) -> str:
    """Return a name as it may stand in a Dockerfile and a shell without quotes."""
    if not re.fullmatch(r"[\w./+-]+", text, re.ASCII):
        raise _refused(language, f"{text!r} is no name of a program; rename it")
    return text


_OF: dict[str, Callable[[Path, dict[str, str], str], str]] = {
    "go": _go,
    "rust": _rust,
    "c": _c,
    "node": _node,
    "python": _python,
}
