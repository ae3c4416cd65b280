"""Commands of a shell → the data of a ``buildx.toml``: targets, a builder, and what is another task."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.convert import flags
from buildx_tasks.convert.shell import Command, unknown_name

if TYPE_CHECKING:
    from collections.abc import Iterable

_DOCKER = frozenset({"docker", "docker-buildx", "docker.exe", "podman", "nerdctl"})
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_REFERENCE = re.compile(r"(?<!\$)\$\{([A-Za-z_]\w*)(?::-[^{}]*)?\}")


class Step(NamedTuple):
    """A command, the goal (or script) that has it, and the file and line that it is in.

    ``folder`` is where it runs; a ``cd`` holds for the steps of the same ``shell``.
    """

    command: Command
    goal: str
    place: str
    folder: str = "."
    shell: str = ""


class Found(NamedTuple):
    """Data of a ``buildx.toml``; by target what of its command is not in it; what else is to be said."""

    data: dict[str, Any]
    comments: dict[str, list[str]]
    notes: list[str]


def read(steps: Iterable[Step]) -> Found:
    """Return what the docker commands among the steps say."""
    reading = _Reading()
    for step in steps:
        reading.add(step)
    return reading.found()


class _Reading:
    def __init__(self) -> None:
        self._data: dict[str, Any] = {"target": {}}
        self._comments: dict[str, list[str]] = {}
        self._notes: list[str] = []
        self._variables: dict[str, Any] = {}
        self._assigned: dict[str, str] = {}
        self._moved = ("", "")

    def found(self) -> Found:
        if self._variables:
            self._data["variable"] = self._variables
        return Found(self._data, self._comments, self._notes)

    def add(self, step: Step) -> None:
        words, said = step.command.words, f"{step.place}: {step.command.text}"
        if not words:
            if "docker" in step.command.text:
                self._notes.append(f"{step.place}: cannot be taken apart: {step.command.text}")
            return
        if all(_ASSIGNMENT.match(word) for word in words if word != "export"):
            for word in words:
                one, _, value = word.partition("=")
                self._assigned[one] = _default(one, value)
            return
        if words[0] == "cd" and words[1:]:
            self._moved = (step.shell, words[1])
            return
        if words[0].rpartition("/")[2] not in _DOCKER:
            return
        kind, rest = _kind(words)
        if kind == "build":
            self._build(step, rest)
        elif kind == "create":
            self._data["builder"], told = flags.builder(rest)
            self._comments["builder"] = [said, *told]
        elif kind == "binfmt":
            image = next((word for word in rest if "binfmt" in word), "")
            self._data["emulators"] = {"from": "image", "image": image}
            self._comments["emulators"] = [said]
        elif kind:
            self._notes.append(f"{said}: {_OTHERWISE[kind]}")

    def _build(self, step: Step, rest: list[str]) -> None:
        table, told = flags.target(rest)
        shell, moved = self._moved
        folder = posixpath.join(step.folder, moved if shell == step.shell else "")
        if "${" in folder:
            told.append(f"it runs in {folder}: see that the paths are right from here")
        elif posixpath.normpath(folder) != ".":
            _move(table, folder)
        name = _name(step.goal, self._data["target"])
        self._data["target"][name] = table or {"context": "."}
        comments = [f"{step.place}: {step.command.text}", *told]
        comments += [
            f"${{{unknown_name(one)}}} stands for what {one} says" for one in step.command.unknown
        ]
        self._comments[name] = comments
        shown = " ".join(step.command.words[:2])
        self._notes.append(f"{step.place}: {shown} … of {step.goal} is [target.{name}]")
        waiting = _REFERENCE.findall(str(table))
        while waiting:
            one = waiting.pop()
            if one in self._variables:
                continue
            default = self._assigned.get(one)
            if one == "npm_package_version":
                version = {"file": "package.json", "match": '"version":\\s*"([^"]+)"'}
                self._variables[one] = {"default": version}
            elif default is None and f"{{{one}}}" in str(table.get("tags", "")):
                self._variables[one] = {"default": "dev"}
                comments.append(f"${{{one}}} comes from the environment; without it, it is dev")
            elif default is None and one in step.command.names:
                self._variables[one] = {"default": ""}
            else:
                self._variables[one] = {} if default is None else {"default": default}
                waiting += _REFERENCE.findall(default or "")


_OTHERWISE = {
    "bake": "import the bake file itself, as in invoke import --from docker-bake.hcl",
    "imagetools": "invoke promote gives a published image further tags",
    "manifest": "a target with platforms has its index; invoke push publishes it",
    "push": "invoke push publishes each target's tags",
    "tag": "write it in the target's tags",
}


def _move(table: dict[str, Any], folder: str) -> None:
    """Write the paths that docker takes from a folder as they are from here."""
    context = table.get("context", ".")
    if "://" not in context and not context.startswith(("/", "${", "git@")):
        context = posixpath.normpath(posixpath.join(folder, context))
        rest = {key: value for key, value in table.items() if key != "context"}
        table.clear()
        table.update({"context": context, **rest})


def _default(name: str, value: str) -> str:
    """Return the default in an assignment, which may be of itself or of a script's argument."""
    of_itself = re.fullmatch(rf"\$\{{{name}(?::-([^{{}}]*))?\}}", value)
    of_an_argument = re.fullmatch(r"\$(?:\$?\{\d+(?::-([^{}]*))?\}|\d)", value)
    match = of_itself or of_an_argument
    return (match[1] or "") if match else value


def _kind(words: list[str]) -> tuple[str, list[str]]:
    """Return what a docker command does, ``""`` for what is nothing of ours, and what follows."""
    rest = list(words[1:])
    while rest and rest[0].startswith("-"):  # docker's own flags, as --context x
        flag = rest.pop(0)
        if "=" not in flag and flag not in {"-D", "--debug", "--tls", "--tlsverify"} and rest:
            rest.pop(0)
    if rest[:1] in (["buildx"], ["image"], ["builder"]):
        rest.pop(0)
    if not rest:
        return "", []
    kind = rest.pop(0)
    if kind == "b":
        kind = "build"
    if kind == "run":
        is_binfmt = "--privileged" in rest and any("binfmt" in word for word in rest)
        return ("binfmt" if is_binfmt else ""), rest
    return (kind if kind in {"build", "create", *_OTHERWISE} else ""), rest


def _name(goal: str, taken: Iterable[str]) -> str:
    """Return the name of a target for a goal, which no other has."""
    base = re.sub(r"[^a-zA-Z0-9_-]+", "-", goal).strip("-") or "image"
    name, number = base, 2
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    return name
