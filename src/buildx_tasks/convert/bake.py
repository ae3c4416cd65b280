"""A bake or compose file, as ``bake --print`` resolves it → the text of a ``buildx.toml``."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from buildx_tasks.errors import UsageError
from buildx_tasks.language.merging import as_csv
from buildx_tasks.language.targets import DEFAULT
from buildx_tasks.machine.files import write_file

if TYPE_CHECKING:
    from pathlib import Path

    from buildx_tasks.machine.commands import Commands

_HEADER = "# Imported from {name}; variables, matrices and inheritance are worked out.\n\n"
_COMPOSABLE = ("attest", "cache-from", "cache-to", "output", "secret", "ssh")
_ESCAPED = {"$${": "${", "%%{": "%{"}
# bake prints these escaped, and all other strings as they are.
_ESCAPED_KEYS = frozenset({"annotations", "args", "dockerfile-inline", "extra-hosts", "labels"})


def convert(commands: Commands, path: Path) -> str:
    """Return the text of a ``buildx.toml`` that declares what the file's targets and groups come to.

    Variables, functions, matrices and inheritance are gone: bake has worked them out.

    Raises:
        UsageError: bake cannot read the file; the message holds what it says.

    """
    import tomli_w

    data = read(commands, path)
    return _HEADER.format(name=path.name) + tomli_w.dumps(data, multiline_strings=True)


def read(commands: Commands, path: Path) -> dict[str, Any]:
    """Return the data of that ``buildx.toml``; raise as :func:`convert` does."""
    if not path.is_file():
        raise UsageError(f"--from: {path} is no file")
    listing = _bake(commands, path, "--list", "type=targets,format=json")
    listed = [entry["name"] for entry in listing or ()]
    if not listed:
        raise UsageError(f"--from: {path.name} declares no target")
    everything = _bake(commands, path, "--print", *listed)
    groups = {k: v for k, v in everything["group"].items() if k != DEFAULT}
    if DEFAULT in listed and DEFAULT not in everything["target"]:
        # Asked for by name, all of them would be in the default group.
        groups = {DEFAULT: _bake(commands, path, "--print")["group"][DEFAULT], **groups}
    data: dict[str, Any] = {}
    if groups:
        data["group"] = groups
    data["target"] = {name: _target(t) for name, t in everything["target"].items()}
    return data


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet.

    Raises:
        UsageError: it is there.

    """
    if path.exists():
        raise UsageError(f"--to: {path} is there already; name another file, or - to see it")
    write_file(path, text)


def _bake(commands: Commands, path: Path, *options: str) -> Any:
    result = commands.query(["docker", "buildx", "bake", "--file", str(path), *options])
    if not result.ok:
        said = [line for line in result.stderr.splitlines() if line.strip()]
        raise UsageError(
            f"--from: bake cannot read {path.name}: {said[-1] if said else 'no reason given'}; "
            f"see docker buildx bake --file {shlex.quote(str(path))} --print"
        )
    return json.loads(result.stdout)


def _target(attributes: dict[str, Any]) -> dict[str, Any]:
    target: dict[str, Any] = {}
    for key, value in attributes.items():
        if (key, value) in (("dockerfile", "Dockerfile"), ("context", ".")):
            continue
        if key in _COMPOSABLE:
            target[key] = [_ours(as_csv(key, entry) or entry) for entry in value]
        else:
            target[key] = _ours(_unescaped(value) if key in _ESCAPED_KEYS else value)
    # A target that only says the defaults still has to say something.
    return target or {"context": "."}


def _unescaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unescaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return list(map(_unescaped, value))
    for escaped, plain in _ESCAPED.items():
        value = value.replace(escaped, plain)
    return value


def _ours(value: Any) -> Any:
    """Escape what our own file would take for a variable."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, dict):
        return {key: _ours(item) for key, item in value.items()}
    return list(map(_ours, value)) if isinstance(value, list) else value
