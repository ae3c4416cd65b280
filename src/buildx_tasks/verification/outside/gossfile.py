"""A file of goss, with those that it takes in, in; its resources, one by one, out.

Source of the format: https://github.com/goss-org/goss/blob/master/docs/gossfile.md
"""

from __future__ import annotations

import glob
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from buildx_tasks.machine import yaml_files
from buildx_tasks.verification.outside import matchers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.machine.yaml_files import Table, Value

_MOST_FILES = 100
_MOST_DEPTH = 10  # of files that take in others
_HOST = re.compile(r"[A-Za-z0-9_.-]+")
_PARAMETER = re.compile(r"(?!.*\.\.)(?!.*//)[A-Za-z0-9_][A-Za-z0-9_./-]*")
_INTERFACE = re.compile(r"(?!\.+$)[^/\s:]{1,15}")
_COMMON = ("skip", "title", "meta")
LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]", "::1", "0.0.0.0"})  # noqa: S104 - the container's own


class _Kind(NamedTuple):
    """What a kind of resource may say: what is compared, what says how, and what is not supported."""

    compared: str
    ways: str = ""
    not_here: str = ""
    name: str = ""  # the attribute that stands for the resource's own name
    needed: str = ""


KINDS = {
    "addr": _Kind("reachable", "timeout", "local-address", "address", "reachable"),
    "command": _Kind("exit-status stdout stderr", "timeout", "", "exec", "exit-status"),
    "dns": _Kind("resolvable addrs", "timeout", "server", "resolve", "resolvable"),
    "file": _Kind(
        "exists mode size owner group uid gid filetype contents contains md5 sha256 sha512 linked-to",
        name="path",
        needed="exists",
    ),
    "group": _Kind("exists gid", name="groupname", needed="exists"),
    "http": _Kind(
        "status headers body",
        "timeout no-follow-redirects request-headers request-body method username password",
        "allow-insecure ca-file cert-file key-file proxy",
        "url",
        "status",
    ),
    "interface": _Kind("exists mtu addrs", name="name", needed="exists"),
    "kernel-param": _Kind("value", name="name", needed="value"),
    "matching": _Kind("matches", "content", needed="matches"),
    "mount": _Kind(
        "exists opts vfs-opts source filesystem", "timeout", "usage", "mountpoint", "exists"
    ),
    "package": _Kind("installed versions", name="name", needed="installed"),
    "port": _Kind("listening ip", name="port", needed="listening"),
    "process": _Kind("running", name="comm", needed="running"),
    "user": _Kind("exists uid gid groups home shell", name="username", needed="exists"),
}
_NOT_HERE = {
    "service": "a container has no init system",
}


class Resource(NamedTuple):
    """One thing of the container; ``compared`` is what is expected by attribute, ``ways`` is how.

    ``id`` is its name in the file, ``name`` what it is about. ``skip`` says why it is not looked at.
    """

    kind: str
    id: str
    name: str
    compared: dict[str, Any]
    ways: dict[str, Any]
    skip: str = ""


def resources(root: Path, name: str) -> list[Resource]:
    """Return the resources of a file of the project, and of those that it takes in.

    Raises:
        ConfigError: one cannot be read, or says what is not supported; says where.

    """
    found = list(_Reading(root).of_file(name, 0))
    if not found:
        raise yaml_files.Place(name, 1, 1).fault("it has no test; add one, or leave the file out")
    return found


class _Reading:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._files = 0

    def of_file(self, name: str, depth: int) -> Iterator[Resource]:
        self._files += 1
        start = yaml_files.Place(name, 1, 1)
        if self._files > _MOST_FILES or depth > _MOST_DEPTH:
            raise start.fault("files take in each other without end; remove one")
        _require_no_template(self._root, name)
        file = yaml_files.read(self._root, name)
        known = {*KINDS, "gossfile"}
        for kind, value in file.pairs("the file"):
            if kind in _NOT_HERE:
                raise value.fault(
                    f'"{kind}" is not supported here: {_NOT_HERE[kind]}; remove it, or leave the file to '
                    "goss itself"
                )
            if kind not in known:
                file.table("the file", known)  # says so
            for id_, said in value.pairs(kind):
                if kind == "gossfile":
                    yield from self._taken_in(name, id_, said, depth)
                else:
                    yield _resource(kind, id_, said, name)

    def _taken_in(self, name: str, id_: str, said: Value, depth: int) -> Iterator[Resource]:
        table = (
            said.table("a gossfile", {"file", "skip"})
            if said.of is not None
            else yaml_files.Table("a gossfile", {}, said.place)
        )
        if table.flag("skip"):
            return
        pattern = table.text("file", id_)
        folder = PurePosixPath(name).parent
        paths = sorted(glob.glob(str(self._root / folder / pattern)))  # noqa: PTH207 with .. and /
        if not paths:
            raise said.fault(f"no file is at {pattern}; correct it")
        for path in paths:
            try:
                relative = Path(path).resolve().relative_to(self._root.resolve())
            except ValueError:
                raise said.fault(
                    f"{pattern} is not in the project's folder; copy it there"
                ) from None
            yield from self.of_file(relative.as_posix(), depth + 1)


def _require_no_template(root: Path, name: str) -> None:
    """Raise where a file is a template of Go, which YAML may read as something else."""
    try:
        lines = (root / name).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return  # reading it says what is wrong
    for number, line in enumerate(lines, 1):
        at = line.find("{{")
        if at >= 0 and not line.lstrip().startswith("#"):
            raise yaml_files.Place(name, number, at + 1).fault(
                "templates are not supported here; write what goss render prints into a file"
            )


def _resource(kind: str, id_: str, said: Value, file: str) -> Resource:
    what = f"{kind} {id_}"
    shape = KINDS[kind]
    known = {*shape.compared.split(), *shape.ways.split(), shape.name, *_COMMON} - {""}
    table = said.table(what, known, frozenset(shape.not_here.split()))
    skip = f"{file} says skip" if table.flag("skip") else ""
    table.needed(shape.needed)
    compared = {}
    for key in shape.compared.split():
        value = table.get(key)
        if value is not None and value.of != []:
            compared["contents" if key == "contains" else key] = matchers.require(value)
    ways = {key: value.plain() for key in shape.ways.split() if (value := table.get(key))}
    name = table.text(shape.name, id_) if shape.name else id_
    _require_sense(kind, name, table)
    return Resource(kind, id_, name, compared, ways, skip)


def _require_sense(kind: str, name: str, table: Table) -> None:
    """Raise where a resource cannot be looked at from outside."""
    if "timeout" in table and table.number("timeout", 0) <= 0:
        raise table.place.fault("timeout is in milliseconds, more than 0")
    if kind in ("file", "mount") and not name.startswith("/"):
        raise table.place.fault(f'"{name}" is no path that begins with /; write the whole path')
    if kind == "matching" and "content" not in table:
        raise table.place.fault('it has no "content"; add it')
    if kind == "dns" and not _HOST.fullmatch(name):
        raise table.place.fault(
            f'"{name}" is not supported here: addresses are asked for, of a name; remove it, or leave '
            "the file to goss itself"
        )
    if kind == "kernel-param" and not _PARAMETER.fullmatch(name):
        raise table.place.fault(f'"{name}" is no parameter; write it as in net.core.somaxconn')
    if kind == "interface" and not _INTERFACE.fullmatch(name):
        raise table.place.fault(f'"{name}" is no interface; write it as in eth0')
    if kind == "port":
        protocol, _, port = name.rpartition(":")
        if protocol not in ("", "tcp", "tcp6", "udp", "udp6") or not port.isdigit():
            raise table.place.fault(f'"{name}" is no port; write it as in tcp:8080')
    if kind in ("http", "addr"):
        try:
            address = urlsplit(name)
            number = address.port
        except ValueError as error:
            raise table.place.fault(f'"{name}" is no address: {error}; correct it') from None
        scheme = "http" if kind == "http" else "tcp"
        if address.scheme != scheme or address.hostname not in LOCAL:
            raise table.place.fault(
                f'"{name}" is not supported here: only {scheme}://localhost is asked, which is the '
                "container; remove it, or leave the file to goss itself"
            )
        if kind == "addr" and number is None:
            raise table.place.fault(f'"{name}" has no port; write it as in tcp://localhost:80')
