"""One resource of goss that is about the kernel or the network, and a container in; what is so, out.

It is what a program in the container sees. What its kernel says of the whole machine is the same there.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

from buildx_tasks.verification.checks.inside import UnknownError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.verification.checks.inside import Inside
    from buildx_tasks.verification.outside.gossfile import Resource

_DNS_MS = 500  # goss's own time limit
_ESCAPED = re.compile(r"\\([0-7]{3})")


def mount(inside: Inside, resource: Resource) -> dict[str, Any]:
    """Return what is mounted at a path; the last one, where there are several.

    Source: man 5 proc_pid_mountinfo
    """
    found: dict[str, Any] = {"exists": False}
    for line in inside.of_process("mountinfo").splitlines():
        fields, _, rest = line.partition(" - ")
        place, kind = fields.split(), rest.split()
        if len(place) > 5 and len(kind) > 2 and _plain(place[4]) == resource.name:
            found = {
                "exists": True,
                "opts": place[5].split(","),
                "vfs-opts": kind[2].split(","),
                "source": _plain(kind[1]),
                "filesystem": kind[0],
            }
    return found


def interface(inside: Inside, resource: Resource) -> dict[str, Any]:
    """Return a network interface: whether there is one, its MTU and addresses."""
    name = resource.name
    names = [line.partition(":")[0].strip() for line in inside.of_process("net/dev").splitlines()]
    if name not in names[2:]:  # behind two lines of headings
        return {"exists": False, "hints": [f"there is {', '.join(names[2:]) or 'none'}"]}
    found: dict[str, Any] = {"exists": True}
    if "mtu" in resource.compared:
        found["mtu"] = int(inside.shown(f"/sys/class/net/{name}/mtu"))
    if "addrs" in resource.compared:
        found["addrs"] = [*_addresses(inside, name), *_addresses_of_6(inside, name)]
    return found


def kernel_param(inside: Inside, resource: Resource) -> dict[str, Any]:
    """Return the value of a parameter of the kernel, as in ``net.core.somaxconn``.

    Source: man 8 sysctl, of dots and slashes
    """
    name = resource.name
    first = next((mark for mark in name if mark in "./"), ".")
    path = name.translate(str.maketrans("./", "/.")) if first == "." else name
    return {"value": inside.shown(f"/proc/sys/{path}").strip()}


def dns(inside: Inside, resource: Resource) -> dict[str, Any]:
    """Return what the container's own resolver makes of a name; ``getent`` in the image asks it."""
    seconds = max(resource.ways.get("timeout", _DNS_MS) / 1000, 1)
    ended = inside.ran(["getent", "ahosts", resource.name], seconds)
    if ended is None:
        return {"resolvable": False, "hints": [f"no answer in {seconds:g} s"]}
    code, stdout, _ = ended
    if code not in (0, 1, 2):  # 2: a name that is not known
        why = "the image has no getent" if code in (126, 127) else "its getent fails"
        raise UnknownError(f"names cannot be resolved: {why}")
    lines = (line.split() for line in stdout.splitlines())
    addresses = dict.fromkeys(line[0] for line in lines if line)
    return {"resolvable": bool(addresses), "addrs": list(addresses)}


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)


def _addresses(inside: Inside, name: str) -> Iterator[str]:
    """Yield the addresses of an interface, of version 4, as the engine gave them."""
    networks = inside.networks()
    if name == "lo":
        yield "127.0.0.1/8"
    elif name == "eth0" and len(networks) == 1:
        yield from (f"{address}/{bits}" for address, bits in networks)
    else:
        raise UnknownError(f"which addresses {name} has cannot be told from here")


def _addresses_of_6(inside: Inside, name: str) -> Iterator[str]:
    for line in inside.of_process("net/if_inet6", needed=False).splitlines():
        fields = line.split()
        if len(fields) > 5 and fields[5] == name:
            address = ipaddress.IPv6Address(int(fields[0], 16))
            yield f"{address}/{int(fields[2], 16)}"
