"""Commands of a shell → the data of a ``buildx.toml``: targets, a builder, and what is another task."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.convert import flags, moving, tagging
from buildx_tasks.convert.baking import NotRead
from buildx_tasks.convert.shell import Command, unknown_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from buildx_tasks.convert.baking import Bakes

_DOCKER = frozenset({"docker", "docker-buildx", "docker.exe", "podman", "nerdctl"})
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_REFERENCE = re.compile(r"(?<!\$)\$\{([A-Za-z_]\w*)(:-[^{}]*|\|[^{}]*)?\}")
_SAYING = frozenset("echo printf cat grep which type hash log info trap test [ [[".split())
_DOING = frozenset({"build", "buildx", "image", "builder"})
_WITHIN = re.compile(r"(?:docker|podman) (?:buildx |image )?(?:build|bake)\b")
_EMULATING = re.compile(r"binfmt|qemu-user-static")


class Step(NamedTuple):
    """A command, the goal (or script) that has it, and the file and line that it is in.

    ``folder`` is where its shell starts.
    """

    command: Command
    goal: str
    place: str
    folder: str = "."


class Built(NamedTuple):
    """What a command builds as it stands there: attributes whose paths are from ``folder``.

    ``context`` and ``file`` are as docker takes them, ``None`` where bake says them (``attributes``).
    ``platform`` is the one that ``target`` has of it, ``""`` where it is the whole target.
    """

    said: str
    folder: str
    attributes: dict[str, Any]
    target: str
    context: str | None = None
    file: str = ""
    platform: str = ""


class Found(NamedTuple):
    """Data of a ``buildx.toml``; by target what of its command is not in it; what else is to be said."""

    data: dict[str, Any]
    comments: dict[str, list[str]]
    notes: list[str]
    built: list[Built]


def read(steps: Iterable[Step], bakes: Bakes, values: Mapping[str, str] | None = None) -> Found:
    """Return what the docker commands among the steps say; bake's get ``values`` of variables."""
    reading = _Reading(bakes, values or {})
    for step in steps:
        reading.add(step)
    return reading.found()


class _Reading:
    def __init__(self, bakes: Bakes, values: Mapping[str, str]) -> None:
        self._bakes = bakes
        self._values = values
        self._data: dict[str, Any] = {"target": {}}
        self._comments: dict[str, list[str]] = {}
        self._notes: list[str] = []
        self._variables: dict[str, Any] = {}
        self._assigned: dict[str, str] = {}
        self._asked: dict[str, str] = {}
        self._built: dict[str, Built] = {}
        self._names: list[tagging.Naming] = []

    def found(self) -> Found:
        for one in self._names:
            self._name_anew(one)
        if self._variables:
            self._data["variable"] = self._variables
        declared = (
            f"--builder {self._data['builder']['name']}:" if "builder" in self._data else "\n"
        )
        for name, told in self._comments.items():
            self._comments[name] = [one for one in told if not one.startswith(declared)]
            self._comments[name] = list(dict.fromkeys(self._comments[name]))
        notes = list(dict.fromkeys(" ".join(note.split()) for note in self._notes))
        return Found(self._data, self._comments, notes, list(self._built.values()))

    def add(self, step: Step) -> None:
        words, said = step.command.words, f"{step.place}: {step.command.text}"
        if not words:
            if "docker" in step.command.text:
                self._notes.append(f"{step.place}: cannot be taken apart: {step.command.text}")
            return
        self._asked.update({unknown_name(one): one for one in step.command.unknown})
        if all(_ASSIGNMENT.match(word) for word in words):
            for word in words:
                one, _, value = moving.from_folder(word, ".", step.folder).partition("=")
                self._assigned[one] = _default(one, value)
            return
        at = _docker_in(words)
        if at is None:
            if words[0].endswith("docker-compose"):
                self._notes.append(f"{said}: {_OTHERWISE['compose']}")
            elif words[0] not in _SAYING and any(map(_WITHIN.search, words)):
                self._notes.append(f"{said}: what {words[0]} is given is not read")
            return
        is_moved = _kind(words[at:])[0] in {"build", "bake"}
        step = _told(step, at, self._folder(step) if is_moved else ".")
        words = step.command.words
        kind, rest = _kind(words)
        if kind == "build":
            self._build(step, rest, _of_docker(words))
        elif kind == "bake":
            self._bake(step, rest)
        elif kind == "create":
            self._create(rest, said)
        elif kind == "binfmt":
            self._emulate(rest, said)
        elif naming := tagging.naming(kind, rest, said):
            self._names.append(naming)
        else:
            self._notes.append(f"{said}: {_OTHERWISE.get(kind, 'builds nothing, left out')}")

    def _folder(self, step: Step) -> str:
        said = step.command.folder
        told = moving.from_folder(said, ".", step.folder)
        return posixpath.normpath(told if told != said else posixpath.join(step.folder, said))

    def _build(self, step: Step, rest: list[str], of_docker: list[str]) -> None:
        read, folder = flags.target(rest, step.command.stdin), self._folder(step)
        told, table = [*of_docker, *read.comments], read.table
        if folder.startswith("${"):
            told.append(f"it runs in {folder}: see that the paths are right from here")
        else:
            table = moving.from_here(moving.moved(table, folder))
        name = _name(step.goal, self._data["target"])
        self._data["target"][name] = table or {"context": "."}
        self._built[name] = Built(
            _shown(step), folder, dict(read.table), name, read.context, read.file
        )
        self._comments[name] = [f"{step.place}: {step.command.text}", *told, *_unknown(step)]
        self._declare(table, step, self._comments[name])

    def _bake(self, step: Step, rest: list[str]) -> None:
        told, folder = flags.baked(rest), self._folder(step)
        said = f"{step.place}: {step.command.text}"
        own = {name: f"${{{name}}}" for name in self._assigned if name not in self._values}
        values = {**own, **self._values, **step.command.before}
        try:
            data, printed = self._bakes.built(told, folder, values)
        except NotRead as why:
            self._notes.append(f"{said}: {why}")
            return
        names: dict[str, str] = {}
        for name, target in data["target"].items():
            table = moving.moved(target, folder)
            there = self._data["target"].get(name, table)
            names[name] = name if there == table else _name(name, self._data["target"])
            self._data["target"][names[name]] = table
            attributes = printed["target"].get(name, {})
            self._built[names[name]] = Built(_shown(step), folder, attributes, names[name])
            comments = self._comments.setdefault(names[name], [])
            comments += [one for one in (said, *told.comments) if one not in comments]
            self._declare(table, step, comments)
        for old, new in names.items():
            for one in names.values() if old != new else ():
                moving.rename(self._data["target"][one], old, new)
                moving.rename(self._built[one].attributes, old, new)
        groups = self._data.setdefault("group", {})
        for name, group in data.get("group", {}).items():
            groups[name] = {"targets": [names.get(one, one) for one in group["targets"]]}
        chosen = printed["group"].get("default", {}).get("targets", [])
        goal = _name(step.goal, ())
        if goal not in {*self._data["target"], *groups} and chosen:
            groups[goal] = {"targets": [names.get(one, one) for one in chosen]}
        if not groups:
            del self._data["group"]

    def _create(self, rest: list[str], said: str) -> None:
        made = flags.builder(rest)
        there = self._data.get("builder")
        comments = [said, *made.comments]
        if made.appended and there and made.table["name"] in {there["name"], "builder"}:
            if "node" not in there:
                own = [key for key in there if key not in {"name", "driver"}]
                there["node"] = [{key: there.pop(key) for key in own}]
            there["node"].append(made.node)
            self._comments["builder"] += comments
            return
        if there and there["name"] != made.table["name"]:
            self._notes.append(f"{said}: a second builder, left out; [builder] is one")
            return
        one_node = "name" in made.node
        self._data["builder"] = {**made.table, **({"node": [made.node]} if one_node else made.node)}
        self._comments["builder"] = comments

    def _emulate(self, rest: list[str], said: str) -> None:
        image = next((word for word in rest if _EMULATING.search(word)), "")
        self._comments.setdefault("emulators", []).append(said)
        table = self._data.setdefault("emulators", {"from": "image"})
        if "binfmt" in image:
            table["image"] = image
        else:
            self._comments["emulators"].append(
                f"not by {image}: by binfmt's image, which does more"
            )

    def _name_anew(self, one: tagging.Naming) -> None:
        there = set(self._data["target"])
        name = tagging.named(self._data["target"], one)
        if not name:
            self._notes.append(f"{one.said}: {_OTHERWISE['tag']}")
            return
        self._comments[name].append(one.said)
        gone = sorted(there - set(self._data["target"]))
        for other in gone:
            self._comments[name] += self._comments.pop(other)
        for other in (name, *gone) if gone else ():
            built = self._built[other]
            self._built[other] = built._replace(
                target=name, platform=built.attributes["platforms"][0]
            )
        if name in self._built:
            built = self._built[name]
            tags = [*built.attributes.get("tags", []), *one.new]
            attributes = {**built.attributes, "tags": list(dict.fromkeys(tags))}
            self._built[name] = built._replace(attributes=attributes)

    def _declare(self, table: dict[str, Any], step: Step, comments: list[str]) -> None:
        """Declare the variables that a table has."""
        waiting = [one[1] for one in _REFERENCE.finditer(str(table))]
        # A build argument without a value is left out; all else has to have one.
        needed = _needed({key: value for key, value in table.items() if key != "args"})
        named = _needed(table.get("tags", ""))
        seen: set[str] = set()
        while waiting:
            one = waiting.pop()
            default = self._assigned.get(one)
            within = [found[1] for found in _REFERENCE.finditer(default or "")]
            waiting += within if one not in seen else []
            seen.add(one)
            needed.update(within)
            named.update(within if one in named else ())
            is_new = one not in self._variables
            if asked := self._asked.get(one, "") if is_new else "":
                comments.append(f"${{{one}}} stands for what {asked} says")
            if one in {"npm_package_version", "npm_package_name"}:
                key = one.rpartition("_")[2]
                said = {"file": "package.json", "match": f'"{key}":\\s*"([^"]+)"'}
                self._variables[one] = {"default": said}
            elif default is None and one in named:
                told = f"${{{one}}} comes from the environment; without it, it is dev"
                comments += [told] * (self._variables.get(one) != {"default": "dev"})
                self._variables[one] = {"default": "dev"}
            elif is_new and default is None and (one in step.command.names or one in needed):
                self._variables[one] = {"default": ""}
            elif is_new:
                self._variables[one] = {} if default is None else {"default": default}


def _needed(part: Any) -> set[str]:
    """Return the variables that have to have a value in a part of a table."""
    found = _REFERENCE.finditer(str(part))
    return {one[1] for one in found if not (one[2] or "").startswith(":-")}


def _docker_in(words: list[str]) -> int | None:
    """Return where a command's docker stands: first, or behind what runs it, as ``timeout 9m``."""
    if words[0] in _SAYING:
        return None
    if words[0].startswith("${") and words[1:2] in (["build"], ["buildx"]):
        return 0  # as $ENGINE
    for at, word in enumerate(words):
        if word.rpartition("/")[2] in _DOCKER and (
            not at or (words[at + 1 : at + 2] and words[at + 1] in _DOING)
        ):
            return at
    return None


_OTHERWISE = {
    "compose": "import the compose file itself, as in invoke import --from compose.yaml",
    "imagetools": "invoke inspect shows a published image, invoke promote gives it further tags",
    "inspect": "invoke doctor says what the builder can do",
    "login": "log in to the registry as before",
    "ls": "invoke doctor says what the builder can do",
    "manifest": "a target with platforms has its index; invoke push publishes it",
    "prune": "invoke clean removes what was made here",
    "push": "invoke push publishes each target's tags",
    "rm": "invoke clean --builder removes the builder",
    "run": "invoke run runs an image",
    "tag": "of no target here; write it in the target's tags",
    "use": "invoke setup uses the declared builder",
}


def _shown(step: Step) -> str:
    return f"{step.place}: {' '.join(step.command.words[:2])} … of {step.goal}"


def _unknown(step: Step) -> list[str]:
    looped = "is a loop's, which is not unrolled: a matrix has a target for each value"
    return [*(f"${{{one}}} {looped}" for one in step.command.looped), *step.command.left]


def _told(step: Step, at: int, folder: str) -> Step:
    """Return a step from its word ``at`` on, its places that no ``cd`` changes from a folder."""

    def near(text: str) -> str:
        return moving.from_folder(text, folder, step.folder)

    command = step.command
    return step._replace(
        command=command._replace(
            words=[near(word) for word in command.words[at:]],
            before={key: near(value) for key, value in command.before.items()},
            left=[near(one) for one in command.left],
            stdin=near(command.stdin),
        )
    )


def _default(name: str, value: str) -> str:
    """Return the default in an assignment, which may be of itself or of a script's argument."""
    of_itself = re.fullmatch(rf"\$\{{{name}(?::-([^{{}}]*))?\}}", value)
    of_an_argument = re.fullmatch(r"\$(?:\$?\{\d+(?::-([^{}]*))?\}|\d)", value)
    match = of_itself or of_an_argument
    return (match[1] or "") if match else value


def _own_flags(words: list[str]) -> int:
    """Return where docker's own flags end, as ``--context x``."""
    at = 1
    while at < len(words) and words[at].startswith("-"):
        is_alone = "=" in words[at] or words[at] in {"-D", "--debug", "--tls", "--tlsverify"}
        at += 1 if is_alone else 2
    return at


def _of_docker(words: list[str]) -> list[str]:
    """Return what is said of docker's own flags."""
    own = [f"--host{one[2:]}" if one[:2] == "-H" else one for one in words[1 : _own_flags(words)]]
    return [
        flags.comment(flag, value) for flag, value in flags.split(own) if flag in flags.ELSEWHERE
    ]


def _kind(words: list[str]) -> tuple[str, list[str]]:
    """Return what a docker command does, and what follows."""
    rest = words[_own_flags(words) :]
    of_buildx = rest[:1] == ["buildx"] or words[0].endswith("docker-buildx")
    if rest[:1] in (["buildx"], ["image"], ["builder"]):
        rest.pop(0)
    kind = rest.pop(0) if rest else ""
    if kind in {"b", "f"} and of_buildx:
        kind = {"b": "build", "f": "bake"}[kind]
    if kind == "rm" and not of_buildx:
        kind = "remove"
    is_binfmt = "--privileged" in rest and any(map(_EMULATING.search, rest))
    return ("binfmt" if kind == "run" and is_binfmt else kind), rest


def _name(goal: str, taken: Iterable[str]) -> str:
    """Return the name of a target for a goal, which no other has."""
    base = re.sub(r"[^a-zA-Z0-9_-]+", "-", goal).strip("-") or "image"
    name, number = base, 2
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    return name
