"""One resource of goss and a running container in; what of it is not as expected out."""

from __future__ import annotations

import base64
import hashlib
import http.client
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from buildx_tasks.text import printable
from buildx_tasks.verification.checks import goss_system
from buildx_tasks.verification.checks.inside import UnknownError
from buildx_tasks.verification.checks.streams import MOST_OUTPUT
from buildx_tasks.verification.outside import matchers
from buildx_tasks.verification.outside.gossfile import LOCAL
from buildx_tasks.verification.outside.matchers import Output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.verification.checks.inside import Inside
    from buildx_tasks.verification.outside.gossfile import Resource

# The attribute that says whether there is anything to look at.
_THERE = frozenset({"exists", "installed", "listening", "running", "reachable", "resolvable"})
_HASHES = ("md5", "sha256", "sha512")
_MOST_REDIRECTS = 10
_COMMAND_MS, _HTTP_MS, _ADDR_MS = 10_000, 5_000, 500  # goss's own time limits


def problems(inside: Inside, resource: Resource) -> list[str]:
    """Return what is not as expected, each with its attribute; empty where all is.

    Raises:
        faults.api_errors: the engine fails.

    """
    try:
        return list(_compared(resource, _LOOKS[resource.kind](inside, resource)))
    except (UnknownError, ValueError) as error:  # it may lead to what is no address
        return [printable(str(error))]


def _compared(resource: Resource, found: dict[str, Any]) -> Iterator[str]:
    for key, expected in resource.compared.items():
        wrong = [f"{key}: {one}" for one in matchers.problems(expected, found.get(key, ""))]
        yield from wrong
        if key in _THERE and not found[key]:
            yield from (printable(hint) for hint in found.get("hints", ()) if wrong)
            return  # nothing more is to be said of what is not there


def _file(inside: Inside, resource: Resource) -> dict[str, Any]:
    info = inside.entry(resource.name)
    if info is None:
        return {"exists": False}
    users = {user.uid: user.name for user in reversed(inside.users())}
    groups = {group.gid: group.name for group in reversed(inside.groups())}
    kind = "symlink" if info.issym() else "directory" if info.isdir() else "file"
    found: dict[str, Any] = {
        "exists": True,
        "mode": f"{info.mode & 0o7777:04o}",
        "size": info.size,
        "owner": users.get(info.uid, str(info.uid)),
        "group": groups.get(info.gid, str(info.gid)),
        "uid": info.uid,
        "gid": info.gid,
        "filetype": kind,
        "linked-to": info.linkname if info.issym() else "",
    }
    if wanted := [name for name in _HASHES if name in resource.compared]:
        found.update(_hashes(inside, resource.name, wanted))
    if "contents" in resource.compared:
        text = inside.text(resource.name)
        if text is None:
            raise UnknownError(f"{printable(resource.name)} is no file that could be read")
        found["contents"] = Output(text)
    return found


def _hashes(inside: Inside, path: str, names: list[str]) -> dict[str, str]:
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in names}

    def take(piece: bytes) -> None:
        for one in hashes.values():
            one.update(piece)

    if not inside.feed(path, take):
        raise UnknownError(f"{printable(path)} is no file that could be read")
    return {name: one.hexdigest() for name, one in hashes.items()}


def _command(inside: Inside, resource: Resource) -> dict[str, Any]:
    seconds = resource.ways.get("timeout", _COMMAND_MS) / 1000
    ended = inside.ran(["sh", "-c", resource.name], seconds)
    if ended is None:
        raise UnknownError(f"it still runs after {seconds:g} s")
    code, stdout, stderr = ended
    return {"exit-status": code, "stdout": Output(stdout), "stderr": Output(stderr)}


def _user(inside: Inside, resource: Resource) -> dict[str, Any]:
    user = next((one for one in inside.users() if one.name == resource.name), None)
    if user is None:
        return {"exists": False}
    groups = [
        one.name for one in inside.groups() if one.gid == user.gid or user.name in one.members
    ]
    return {"exists": True, **user._asdict(), "groups": groups}


def _group(inside: Inside, resource: Resource) -> dict[str, Any]:
    group = next((one for one in inside.groups() if one.name == resource.name), None)
    return {"exists": False} if group is None else {"exists": True, "gid": group.gid}


def _process(inside: Inside, resource: Resource) -> dict[str, Any]:
    names = inside.processes()
    # The kernel keeps 15 characters of a name.
    running = resource.name[:15] in {name[:15] for name in names}
    return {"running": running, "hints": [f"it runs {', '.join(sorted(set(names)))}"]}


def _port(inside: Inside, resource: Resource) -> dict[str, Any]:
    protocol, _, number = resource.name.rpartition(":")
    protocol, port = protocol or "tcp", int(number)
    addresses = inside.listening(protocol).get(port, [])
    hints = []
    if not addresses:
        other = f"{protocol}6" if not protocol.endswith("6") else protocol[:-1]
        if port in inside.listening(other):
            hints = [f"{other}:{port} is listened on; write that"]
    return {"listening": bool(addresses), "ip": addresses, "hints": hints}


def _package(inside: Inside, resource: Resource) -> dict[str, Any]:
    versions = inside.packages().get(resource.name)
    return {"installed": versions is not None, "versions": versions or []}


def _matching(inside: Inside, resource: Resource) -> dict[str, Any]:  # noqa: ARG001 as the others
    return {"matches": resource.ways.get("content")}


def _addr(inside: Inside, resource: Resource) -> dict[str, Any]:
    port = urlsplit(resource.name).port or 0
    seconds = resource.ways.get("timeout", _ADDR_MS) / 1000
    try:
        socket.create_connection((inside.address(), port), timeout=seconds).close()
    except OSError as error:
        return {"reachable": False, "hints": [f"{error.strerror or error}"]}
    return {"reachable": True}


def _http(inside: Inside, resource: Resource) -> dict[str, Any]:
    ways, url = resource.ways, resource.name
    for _ in range(_MOST_REDIRECTS):
        answer, body = _asked(inside, url, ways)
        location = answer.headers.get("Location")
        if not (300 <= answer.status < 400 and location) or ways.get("no-follow-redirects"):
            lines = sorted(f"{name}: {value}" for name, value in answer.getheaders())
            text = body.decode("utf-8", "replace")
            return {
                "status": answer.status,
                "headers": Output("\n".join(lines)),
                "body": Output(text),
            }
        url = urljoin(url, location)
        if urlsplit(url).scheme != "http" or urlsplit(url).hostname not in LOCAL:
            raise UnknownError(f"it leads to {printable(url)}, which is not asked from here")
    raise UnknownError("it leads from one address to the next without end")


def _asked(
    inside: Inside, url: str, ways: dict[str, Any]
) -> tuple[http.client.HTTPResponse, bytes]:
    parts = urlsplit(url)
    seconds = ways.get("timeout", _HTTP_MS) / 1000
    connection = http.client.HTTPConnection(inside.address(), parts.port or 80, timeout=seconds)
    path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    # As a program in the container would say it.
    headers = {"Host": parts.netloc.rpartition("@")[2]}
    for line in ways.get("request-headers", ()):
        name, _, value = str(line).partition(":")
        headers[name.strip()] = value.strip()
    if ways.get("username"):
        pair = f"{ways['username']}:{ways.get('password', '')}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    body = ways.get("request-body")
    try:
        connection.request(
            str(ways.get("method", "GET")), path, str(body).encode() if body else None, headers
        )
        answer = connection.getresponse()
        return answer, answer.read(MOST_OUTPUT)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, ConnectionRefusedError):
            why = "nothing listens there (127.0.0.1 inside the container is not enough)"
        else:
            why = str(error) or type(error).__name__
        raise UnknownError(f"{printable(url)} does not answer: {printable(why)}") from None
    finally:
        connection.close()


_LOOKS = {
    "addr": _addr,
    "command": _command,
    "dns": goss_system.dns,
    "file": _file,
    "group": _group,
    "http": _http,
    "interface": goss_system.interface,
    "kernel-param": goss_system.kernel_param,
    "matching": _matching,
    "mount": goss_system.mount,
    "package": _package,
    "port": _port,
    "process": _process,
    "user": _user,
}
