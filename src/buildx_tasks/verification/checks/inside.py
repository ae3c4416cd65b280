"""A running container, as programs in it would see it: its files, users, packages, ports, processes.

Nothing is put into it; what only a program in it can tell is asked of the image's own.
"""

from __future__ import annotations

import contextlib
import ipaddress
import posixpath
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.engine import containers, faults
from buildx_tasks.verification.checks.streams import MOST_OUTPUT

if TYPE_CHECKING:
    import tarfile
    from collections.abc import Callable, Iterator

_MOST_READ = 16_000_000  # bytes of a file that is read into memory
_MOST_LINKS = 40  # the kernel's own limit: man 7 path_resolution
_LISTENING = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}  # st of /proc/net: TCP_LISTEN
_DPKG, _DPKG_PARTS = "/var/lib/dpkg/status", "/var/lib/dpkg/status.d"
_APK = ("/lib/apk/db/installed", "/usr/lib/apk/db/installed")
_RPM = ("/var/lib/rpm", "/usr/lib/sysimage/rpm")


class UnknownError(Exception):
    """Something of the container cannot be told from here; says why."""


class User(NamedTuple):
    """A line of ``/etc/passwd``."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


class Group(NamedTuple):
    """A line of ``/etc/group``."""

    name: str
    gid: int
    members: tuple[str, ...]


class Inside:
    """Answers about one running container; each kind of question is asked of the engine once."""

    def __init__(self, box: Any) -> None:
        self._box = box
        self._known: dict[str, Any] = {}

    def forget(self) -> None:
        """Ask anew from now on."""
        self._known.clear()

    def entry(self, path: str) -> tarfile.TarInfo | None:
        """Return what is at a path; a link at its very end is not followed."""
        with containers.members(self._box, path) as found:
            return next((info for info, _ in found), None) if found else None

    def resolved(self, path: str) -> str | None:
        """Return the path of the file that a program opens here; None where nothing is."""
        for _ in range(_MOST_LINKS):
            target = containers.link_target(self._box, path)
            if not target:
                return None if target is None else path
            path = posixpath.join(posixpath.dirname(path), target)
        return None

    def feed(self, path: str, take: Callable[[bytes], object]) -> bool:
        """Give a file's content to ``take``, piece by piece; say whether there is such a file."""
        there = self.resolved(path)
        if there is None:
            return False
        with containers.members(self._box, there) as found:
            _, file = next(found, (None, None)) if found else (None, None)
            if file is None:
                return False
            while piece := file.read(1 << 16):
                take(piece)
        return True

    def text(self, path: str) -> str | None:
        """Return a file's text; None where there is no file.

        Raises:
            UnknownError: it is too large.

        """
        if path not in self._known:
            held = bytearray()

            def take(piece: bytes) -> None:
                held.extend(piece)
                if len(held) > _MOST_READ:
                    raise UnknownError(f"{path} has more than {_MOST_READ} bytes")

            is_there = self.feed(path, take)
            self._known[path] = held.decode("utf-8", "replace") if is_there else None
        text: str | None = self._known[path]
        return text

    def users(self) -> list[User]:
        """Return the users of ``/etc/passwd``."""
        rows = (line.split(":") for line in (self.text("/etc/passwd") or "").splitlines())
        return [
            User(row[0], int(row[2]), int(row[3]), row[5], row[6])
            for row in rows
            if len(row) > 6 and row[2].isdecimal() and row[3].isdecimal()
        ]

    def groups(self) -> list[Group]:
        """Return the groups of ``/etc/group``."""
        rows = (line.split(":") for line in (self.text("/etc/group") or "").splitlines())
        return [
            Group(row[0], int(row[2]), tuple(filter(None, row[3].split(","))))
            for row in rows
            if len(row) > 3 and row[2].isdecimal()
        ]

    def ran(self, command: list[str], seconds: float) -> tuple[int, str, str] | None:
        """Run a command in the container; return exit code, output and errors, None if it still runs.

        Raises:
            UnknownError: it cannot be run.

        """
        try:
            ended = containers.Exec(self._box, command, MOST_OUTPUT).ended(seconds)
        except faults.api_errors() as error:
            if faults.status_of(error) in (None, 409) or faults.status_of(error) >= 500:
                raise
            raise UnknownError(
                f"{command[0]} cannot be run in it: {faults.words_of(error)}"
            ) from None
        if ended is None:
            return None
        code, stdout, stderr = ended
        return code, stdout.decode("utf-8", "replace"), stderr.decode("utf-8", "replace")

    def processes(self) -> list[str]:
        """Return the names of what runs, as ``/proc/PID/comm`` has them.

        Raises:
            UnknownError: the engine cannot tell.

        """
        if "processes" not in self._known:
            try:
                table = self._box.top(ps_args="-eo pid,comm")
            except faults.api_errors() as error:
                if faults.status_of(error) == 409:  # it has ended
                    raise
                raise UnknownError(
                    f"the engine cannot list processes: {faults.words_of(error)}"
                ) from None
            self._known["processes"] = [row[1] for row in table["Processes"] or ()]
        names: list[str] = self._known["processes"]
        return names

    def listening(self, protocol: str) -> dict[int, list[str]]:
        """Return the ports that something listens on, each with the addresses, as in ``0.0.0.0``.

        ``protocol`` is tcp, tcp6, udp or udp6.

        Raises:
            UnknownError: nothing in the image can tell.

        """
        found: dict[int, list[str]] = {}
        for line in self.of_process(f"net/{protocol}").splitlines()[1:]:
            fields = line.split()
            if len(fields) > 3 and fields[3] == _LISTENING[protocol]:
                address, _, port = fields[1].partition(":")
                found.setdefault(int(port, 16), []).append(_address(address))
        return found

    def of_process(self, name: str, *, needed: bool = True) -> str:
        """Return what ``/proc/self`` has under a name, as in ``net/tcp``; ``""`` where not ``needed``.

        Raises:
            UnknownError: neither this machine nor the image can tell.

        """
        key = f"/proc/self/{name}"
        if key not in self._known:
            text = self._of_machine(name)
            self._known[key] = text if text or not needed else self.shown(key)
        found: str = self._known[key]
        return found

    def shown(self, path: str) -> str:
        """Return a file of the kernel as a program in the container reads it.

        Raises:
            UnknownError: the image has nothing that reads it, or there is no such file.

        """
        try:
            ended = self.ran(["cat", path], 10)
        except UnknownError as error:
            raise UnknownError(f"{path} cannot be read: the image has no cat ({error})") from None
        if ended is None or ended[0]:
            why = ended[2].strip().rpartition(": ")[2] if ended else "no answer"
            raise UnknownError(f"{path} cannot be read in it: {why}")
        return ended[1]

    def networks(self) -> list[tuple[str, int]]:
        """Return the addresses that the engine gave it, each with the bits of its network."""
        networks = self._box.attrs["NetworkSettings"]["Networks"].values()
        return [(one["IPAddress"], one["IPPrefixLen"]) for one in networks if one["IPAddress"]]

    def address(self) -> str:
        """Return the container's own address.

        Raises:
            UnknownError: it has none.

        """
        found = self.networks()
        if not found:
            raise UnknownError('the container has no address; write network = "default"')
        return found[0][0]

    def packages(self) -> dict[str, list[str]]:
        """Return the versions of all packages that are installed, of dpkg or apk.

        Raises:
            UnknownError: it has neither's list.

        """
        if "packages" not in self._known:
            self._known["packages"] = self._packages()
        found: dict[str, list[str]] = self._known["packages"]
        return found

    def _packages(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        listed = [self.text(path) for path in (_DPKG, *_APK)]
        texts = [text for text in listed if text is not None]
        with containers.members(self._box, _DPKG_PARTS) as parts:
            for info, file in parts or ():
                if file and not info.name.endswith(".md5sums"):
                    texts.append(file.read(_MOST_READ).decode("utf-8", "replace"))
        if not texts:
            what = "rpm's" if any(self.entry(path) for path in _RPM) else "no"
            raise UnknownError(f"it has {what} list of packages; those of dpkg and apk are read")
        for text in texts:
            for paragraph in text.split("\n\n"):
                fields = dict(_fields(paragraph))
                name = fields.get("Package") or fields.get("P")
                if name and fields.get("Status", "install ok installed").endswith(" installed"):
                    found.setdefault(name, []).append(
                        fields.get("Version") or fields.get("V") or ""
                    )
        return found

    def _of_machine(self, name: str) -> str:
        """Return what this machine says of the container, where it runs here; else ``""``."""
        self._box.reload()
        process = Path("/proc", str(self._box.attrs["State"]["Pid"]))
        with contextlib.suppress(OSError):
            # An engine elsewhere has processes of the same number: only the container's own says its id.
            if self._box.id in (process / "cgroup").read_text("utf-8"):
                return (process / name).read_text("utf-8")
        return ""


def _fields(paragraph: str) -> Iterator[tuple[str, str]]:
    for line in paragraph.splitlines():
        name, colon, value = line.partition(":")
        if colon and not name.startswith(" "):
            yield name, value.strip()


def _address(text: str) -> str:
    """Return an address as ``/proc/net`` has it, words of 32 bits in the machine's order."""
    words = struct.pack(
        f"={len(text) // 8}I", *(int(text[n : n + 8], 16) for n in range(0, len(text), 8))
    )
    return str(ipaddress.ip_address(words))
