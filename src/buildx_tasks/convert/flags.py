"""The words of ``docker buildx build`` and ``docker build`` → a target; of ``create`` → a builder."""

from __future__ import annotations

import posixpath
import re
from typing import Any, NamedTuple

_LETTERS = {"-t": "--tag", "-f": "--file", "-o": "--output", "-q": "--quiet", "-D": "--debug"}
_LETTERS.update({"-m": "--memory", "-c": "--cpu-shares"})
_LISTS = {
    "--allow": "entitlements",
    "--annotation": "annotations",
    "--attest": "attest",
    "--cache-from": "cache-from",
    "--cache-to": "cache-to",
    "--no-cache-filter": "no-cache-filter",
    "--output": "output",
    "--secret": "secret",
    "--ssh": "ssh",
    "--tag": "tags",
    "--ulimit": "ulimits",
}
_TABLES = {"--build-context": "contexts", "--label": "labels"}
_TEXTS = {"--network": "network", "--shm-size": "shm-size", "--target": "target", "--call": "call"}
# Flags without a value of their own.
SWITCHES = frozenset(
    "--check --debug --load --no-cache --pull --push --quiet --compress --force-rm --rm --squash "
    "--disable-content-trust --append --bootstrap --leave --use --print --amend --insecure".split()
)
# What is done in another way, and how.
ELSEWHERE = {
    "--allow": "invoke build grants what is declared; invoke plan says it",
    "--builder": "declare [builder] with this name",
    "--cgroup-parent": "resources limits each step, with buildx 0.35",
    "--compress": "BuildKit sends only what changed",
    "--cpu-period": "resources = { cpu-period = … }, with buildx 0.35",
    "--cpu-quota": "resources = { cpu-quota = … }, with buildx 0.35",
    "--cpu-shares": "resources = { cpu-shares = … }, with buildx 0.35",
    "--cpuset-cpus": 'resources = { cpuset-cpus = "…" }, with buildx 0.35',
    "--cpuset-mems": 'resources = { cpuset-mems = "…" }, with buildx 0.35',
    "--memory": 'resources = { memory = "…" }, with buildx 0.35',
    "--memory-swap": 'resources = { memory-swap = "…" }, with buildx 0.35',
    "--debug": "invoke build --progress plain says more",
    "--iidfile": "invoke build --format json has the digests",
    "--load": "images are in the engine's store after invoke build",
    "--metadata-file": "invoke build --format json prints it",
    "--progress": "invoke build --progress",
    "--push": "invoke push publishes what passed invoke verify",
    "--quiet": "invoke build --progress quiet",
    "--rm": "BuildKit leaves no containers",
    "--force-rm": "BuildKit leaves no containers",
    "--call": "invoke lint runs BuildKit's checks",
    "--check": "invoke lint runs BuildKit's checks",
    "--list": "invoke plan lists what is there",
    "--print": "invoke plan --format bake prints it",
    "--leave": "invoke clean --builder removes it",
    "--use": "invoke setup uses it",
    "--bootstrap": "invoke setup starts it",
    "--host": "DOCKER_HOST and docker context use say which engine it is",
    "--context": "DOCKER_HOST and docker context use say which engine it is",
    "--buildkitd-config": "write what the file says below [builder.buildkitd]",
    "--config": "write what the file says below [builder.buildkitd]",
}


_HANDED_ON = frozenset({"$@", "$*"})


class Read(NamedTuple):
    """A table of a ``buildx.toml``, and what of the command is not in it; where it takes files from."""

    table: dict[str, Any]
    comments: list[str]
    context: str = "."
    file: str = ""


class Created(NamedTuple):
    """A builder, or a node of one that is there (``appended``), and what is not in it."""

    table: dict[str, Any]
    node: dict[str, Any]
    comments: list[str]
    appended: bool


class Baked(NamedTuple):
    """What bake is told: its files, targets, what changes them, and what is left out."""

    files: list[str]
    targets: list[str]
    options: list[str]
    comments: list[str]


def target(words: list[str], stdin: str = "") -> Read:
    """Return what the words behind ``build`` say as a ``[target.NAME]``.

    ``stdin`` is what it reads where it is told to: ``<FILE``, or a text; ``""`` for what is not known.
    """
    table: dict[str, Any] = {}
    comments: list[str] = []
    places: list[str] = []
    file = ""
    for flag, value in split(words):
        if value in _HANDED_ON:
            comments.append(f"{value}: what is handed on is left out; invoke build --set says it")
        elif not flag:
            places.append(value)
        elif flag == "--file":
            file = value
        elif not (_collected(table, flag, value) or _told(table, flag, value)):
            comments.append(comment(flag, value))
    # What is no word for sure, as $OPTIONS, may be flags.
    sure = [one for one in places if not one.startswith("${")] or places
    context = sure[0] if sure else "."
    more = [one for one in places if one != context]
    why = {one: "may be flags" if one.startswith("${") else "a second context" for one in more}
    comments += [f"{one}: {why[one]}, left out" for one in more]
    if "-" in (context, file) and stdin.startswith("<"):
        context, file = "." if context == "-" else context, stdin[1:]
    if "-" in (context, file) and stdin:
        context, file = "." if context == "-" else context, ""
        table["dockerfile-inline"] = stdin
    elif "-" in (context, file):
        comments.append("write what comes from standard input as dockerfile-inline")
    elif file:
        table["dockerfile"] = _from_context(file, context)
    whole = table if context in {".", "-"} else {"context": context, **table}
    return Read(whole, comments, context, file)


def _collected(table: dict[str, Any], flag: str, value: str) -> bool:
    """Add to a list or a table what a flag that repeats says; False where it is none of these."""
    key, mark, one = value.partition("=")
    if flag in _LISTS:
        # ssh looks there itself, where it is set.
        value = value.replace("=${SSH_AUTH_SOCK}", "") if flag == "--ssh" else value
        table.setdefault(_LISTS[flag], []).append(value)
    elif flag in _TABLES:
        table.setdefault(_TABLES[flag], {})[key] = one
    elif flag == "--build-arg":
        table.setdefault("args", {})[key] = one if mark else f"${{{key}}}"
    elif flag == "--add-host":
        for host in value.split(","):
            key, _, one = host.partition("=" if "=" in host else ":")
            table.setdefault("extra-hosts", {})[key] = one
    elif flag == "--platform":
        table.setdefault("platforms", []).extend(one for one in value.split(",") if one)
    else:
        return False
    return True


def _told(table: dict[str, Any], flag: str, value: str) -> bool:
    """Set what a flag says once; False where a target has nothing like it."""
    if flag in _TEXTS:
        table[_TEXTS[flag]] = value
    elif flag in {"--provenance", "--sbom"}:
        table.setdefault("attest", []).append(_attest(flag[2:], value))
    elif flag in {"--no-cache", "--pull"} and value in {"", "true", "false"}:
        table[flag[2:]] = value != "false"
    elif flag == "--check":
        table["call"] = "check"
    else:
        return False
    return True


def builder(words: list[str]) -> Created:
    """Return what the words behind ``create`` say as ``[builder]``, and as one node of it."""
    table: dict[str, Any] = {"name": "builder", "driver": "docker-container"}
    node: dict[str, Any] = {}
    comments: list[str] = []
    appended = False
    for flag, value in split(words):
        if flag in {"--name", "--driver"}:
            table[flag[2:]] = value
        elif flag == "--node":
            node["name"] = value
        elif flag == "--append":
            appended = True
        elif flag == "--driver-opt":
            pairs = [one.partition("=")[::2] for one in re.split(r",(?=[\w.-]+=)", value)]
            node.setdefault("driver-opts", {}).update(dict(pairs))
        elif flag == "--buildkitd-flags":
            node["buildkitd-flags"] = value.split()
        elif flag == "--platform":
            node.setdefault("platforms", []).extend(value.split(","))
        elif not flag:
            node["endpoint"] = value
        else:
            comments.append(comment(flag, value))
    return Created(table, node, comments, appended)


def baked(words: list[str]) -> Baked:
    """Return what the words behind ``bake`` say."""
    found = Baked([], [], [], [])
    for flag, value in split(words):
        if value in _HANDED_ON:
            found.comments.append(f"{value}: what is handed on is left out; name targets with -t")
        elif not flag:
            found.targets.append(value)
        elif flag == "--file":
            found.files.append(value)
        elif flag in {"--set", "--provenance", "--sbom"}:
            found.options.extend([flag, value])
        elif flag in {"--no-cache", "--pull"}:
            found.options.append(flag if value in {"", "true"} else f"{flag}={value}")
        else:
            found.comments.append(comment(flag, value))
    return found


def split(words: list[str]) -> list[tuple[str, str]]:
    """Return flags and their values; what is no flag has an empty one."""
    found: list[tuple[str, str]] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*found, *(("", one) for one in rest)]
        if word == "-" or not word.startswith("-"):
            found.append(("", word))
            continue
        if word.startswith("--"):
            flag, mark, value = word.partition("=")
        else:
            flag, value = _LETTERS.get(word[:2], word[:2]), word[2:]
            value, mark = value.removeprefix("="), value[:1]
        if not mark and flag not in SWITCHES and rest:
            value = rest.pop(0)
        found.append((flag, value))
    return found


def _attest(kind: str, value: str) -> str:
    if value in {"", "true"}:
        return f"type={kind}"
    return f"type={kind},disabled=true" if value == "false" else f"type={kind},{value}"


def _from_context(file: str, context: str) -> str:
    """Return a Dockerfile's path, which docker takes from here and bake from the context."""
    if context == "." or file.startswith(("/", "${")) or "://" in context or context[:1] in "/$":
        return file
    return posixpath.relpath(file, context)


def comment(flag: str, value: str) -> str:
    """Return what is said of a flag that a table has not."""
    shown = f"{flag} {value}".strip()
    return f"{shown}: {ELSEWHERE.get(flag, 'bake has nothing like it, left out')}"
