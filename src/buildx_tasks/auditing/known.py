"""A path in a good image in; whether what looks like a fault there is usual, out."""

from __future__ import annotations

import bisect
import itertools
import re
from typing import TYPE_CHECKING

from buildx_tasks.images import elf
from buildx_tasks.images.paths import is_in
from buildx_tasks.machine import executables

if TYPE_CHECKING:
    from buildx_tasks.images.contents import Seen
    from buildx_tasks.images.merged import Files
    from buildx_tasks.platforms import Platform

# Programs that distributions and the usual services install setuid or setgid, by name.
# As packages of Debian, Fedora and Alpine have them.
_SETUID = frozenset(
    "at bbsuid bsd-write bwrap camel-lock-helper-1.2 chage chfn chrome-sandbox chsh cockpit-session "
    "crontab dbus-daemon-launch-helper dmcrypt-get-device doas dotlockfile exim4 expiry "
    "fusermount fusermount3 gpasswd grub2-set-bootflag Xorg.wrap krb5_child ksu ldap_child "
    "lockfile lockspool locate mail-lock mail-touchlock mail-unlock mlocate mount mount.cifs movemail "
    "mount.ecryptfs_private mount.nfs mtr-packet mutt_dotlock newgidmap newgrp newuidmap "
    "newrole ntfs-3g nullmailer-queue pam_extrausers_chkpwd pam_timestamp_check passwd ping "
    "ping6 pkexec plocate polkit-agent-helper-1 postdrop postqueue pppd procmail proxy_child "
    "pt_chown screen selinux_child sendmail sg slocate smbmnt snap-confine ssh-agent "
    "ssh-keysign sssd_pam staprun su sudo sudoedit suexec traceroute6.iputils umount "
    "umount.ecryptfs_private umount.nfs unix_chkpwd unix_update userhelper usernetctl "
    "utempter vlock-main wall write write.ul".split()
)
_PLACES = re.compile(r"(?:(?:/usr)?/(?:s?bin/|lib(?:64|exec)?/.*?)|/opt/google/chrome/)([^/]+)")

# What nobody runs there, whatever it is, and whole or not: tests of linkers, what another machine is
# booted with.
_DATA = (
    "/**/testdata/**",
    "/**/tests/**",
    "/**/fixtures/**",
    "/usr/lib/perf-core/**",
    "/**/*.syso",
    "/lib/firmware/**",
    "/usr/lib/firmware/**",
    "/usr/share/**",
    "/boot/**",
    "/usr/lib/grub/**",
    "/usr/lib/ipxe/**",
    "/usr/lib/u-boot/**",
    "/usr/lib/arm-trusted-firmware/**",
    "/usr/lib/*/opensbi/**",
)
# Among these: where packages of Microsoft put what is run.
_RUN = ("/usr/share/dotnet/dotnet", "/usr/share/dotnet/host/**", "/usr/share/dotnet/shared/**")
# For other machines: what a package brings for each system, what a cross compiler links against.
_BROUGHT = (
    "/**/prebuilds/**",
    "/**/.nuget/packages/**",
    "/usr/lib*/dotnet/sdk/**",
    "/usr/lib*/dotnet/packs/**",
    "/**/pydevd_attach_to_process/**",
    "/usr/*-linux-*/**",
    "/usr/lib/gcc-cross/**",
    # Of one library for several generations of a CPU: the loader takes what suits.
    "/usr/lib/arm-linux-gnueabi*/neon/**",
    "/usr/lib/arm-linux-gnueabi*/libarmmem-v*.so",
    # What packages for any system bring for Windows: stubs before scripts, small helpers; wine's own.
    "/**/distlib/*.exe",
    "/**/setuptools/*.exe",
    "/**/pip/**/*.exe",
    "/**/distutils/command/wininst-*.exe",
    "/**/wine/**",
    "/**/site-packages/conda*/**/cli-*.exe",
    "/**/symfony/console/Resources/bin/*.exe",
    "/**/node-notifier/vendor/**",
)

# As files and folders of bundles call systems and machines.
_SYSTEMS = {
    "linux": "linux",
    "windows": "windows|win32|win64|win|mingw(?:32|64)?|msvc|dlls",
    "": "darwin|macos|macosx|osx|mac|freebsd|openbsd|netbsd|sunos|solaris|aix|android",
}
_MACHINES = {
    "amd64": "x86[-_]64|amd64|x64|i64|64bit-intel",
    "386": "i[3-6]86|x86(?![-_]64)|ia32|i32|386|32bit-intel",
    "arm64": "aarch64|arm64|armv8",
    "arm": "arm(?:v[5-7]\\w*|hf|el|32)?",
    "riscv64": "riscv64(?:gc)?",
    "ppc64le": "ppc64le|powerpc64le|ppc64el",
    "s390x": "s390x",
    "loong64": "loong(?:arch)?64",
    "mips64le": "mips64el|mips64le",
    "": "ppc(?:64)?|powerpc(?:64)?|sparc(?:v9|64)?|mips(?:el|le|64)?|ia64|alpha|universal",
}
_NAMED = re.compile(
    "|".join(
        f"(?<![a-z0-9])(?:{word})(?![a-z0-9])" for word in (*_MACHINES.values(), *_SYSTEMS.values())
    ),
    re.IGNORECASE,
)
_BARE = frozenset({"mac", "win", "alpha", "universal"})  # words that begin other names, too
_MUSL = "musl|linuxmusl"
_OF_WINDOWS = frozenset({"exe", "dll", "node", "pyd", "sys", "com"})  # how its programs' names end
_MULTIARCH = frozenset({"/lib", "/usr/lib", "/usr/local/lib"})  # libraries of packages, not bundles


def is_usual(path: str) -> bool:
    """Say whether distributions have a program of this name, at such a place, setuid or setgid."""
    found = _PLACES.fullmatch(path)
    return found is not None and found[1] in _SETUID


def is_data(path: str) -> bool:
    """Say whether a file that nothing can run is to be expected there."""
    return is_in(path, _DATA) and not is_in(path, _RUN)


def is_brought(path: str) -> bool:
    """Say whether a whole file for another machine is to be expected there."""
    return is_in(path, _BROUGHT)


class Bundles:
    """Files that are there for several platforms, by their names: for Windows, or one for each."""

    def __init__(self, files: Files, platform: Platform) -> None:
        self._files = files
        self._header = executables.header(platform.architecture)
        self._is_of_variants = platform.architecture == "arm"
        self._own = _MACHINES.get(platform.architecture, platform.architecture)
        self._names: dict[str, list[str]] | None = None
        self._found: dict[tuple[str, str, bool], list[str]] = {}

    def has(self, path: str, seen: Seen) -> bool:
        """Say whether a whole file, or a folder that it is in, is called after another platform.

        After Windows, or so that another one beside it is called after this platform, and has, or is, an
        ELF file for its machine.
        """
        is_called_so = path.rpartition(".")[2].lower() in _OF_WINDOWS
        if seen.pe and is_called_so and _says(path, _SYSTEMS["windows"]):
            return True
        # Of one machine there are several, by their names: other systems, or other variants.
        is_ours = not _says(path, "|".join((_SYSTEMS["windows"], _SYSTEMS[""], _MUSL))) and not (
            self._is_of_variants and self._is_own(seen)
        )
        folder, is_last = path, True
        while folder:
            folder, _, name = folder.rpartition("/")
            named = None if folder in _MULTIARCH else _NAMED.search(name)
            is_word = is_last and named and not named.start() and named[0].lower() in _BARE
            is_last = False
            if named is None or is_word:
                continue
            is_system = any(_says(named[0], one) for one in _SYSTEMS.values())
            if is_ours and _says(name, self._own):
                return False
            if any(
                other != name
                for other in self._own_beside(folder, name[: named.start()], is_system)
            ):
                return True
        return False

    def _says_own(self, rest: str, *, is_system: bool) -> bool:
        """Say whether what follows in a name is this platform's, where others' say system or machine."""
        if _says(rest, _SYSTEMS["windows"]) or _says(rest, _SYSTEMS[""]):
            return False
        if _says(rest, self._own):
            return True
        # Folders of systems, with those of machines in them.
        is_any = not any(_says(rest, one) for one in _MACHINES.values())
        return is_system and is_any and _says(rest, _SYSTEMS["linux"])

    def _is_own(self, seen: Seen) -> bool:
        return isinstance(seen.elf, elf.Elf) and seen.elf.header == self._header

    def _own_beside(self, folder: str, start: str, is_system: bool) -> list[str]:
        """Return names in a folder that begin so, and say this platform: two, if there are as many."""
        if self._names is None:
            self._names = self._named()
        key = folder, start, is_system
        if key not in self._found:
            names = self._names.get(folder, [])
            beginning = itertools.takewhile(
                lambda one: one.startswith(start),
                itertools.islice(names, bisect.bisect_left(names, start), None),
            )
            own = (
                one for one in beginning if self._says_own(one[len(start) :], is_system=is_system)
            )
            self._found[key] = list(itertools.islice(own, 2))
        return self._found[key]

    def _named(self) -> dict[str, list[str]]:
        """Return, by folder, the names of files for this machine, and of folders with such files."""
        own: set[str] = set()
        for entry in self._files.tree:
            seen = self._files.seen.get(entry.first) if entry.kind == "file" else None
            path = entry.path if seen and self._is_own(seen) else ""
            while path and path not in own:
                own.add(path)
                path = path.rpartition("/")[0]
        names: dict[str, list[str]] = {}
        for path in sorted(own):
            folder, _, name = path.rpartition("/")
            if _NAMED.search(name):
                names.setdefault(folder, []).append(name)
        return names


def _says(text: str, words: str) -> bool:
    return re.search(f"(?<![a-z0-9])(?:{words})(?![a-z0-9])", text, re.IGNORECASE) is not None
