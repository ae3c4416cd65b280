"""A path in a good image in; whether what looks like a fault there is usual, out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from buildx_tasks.images.paths import matches

if TYPE_CHECKING:
    from buildx_tasks.images.paths import Tree
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

# Files for other machines that are data: tests of linkers, what another machine is booted with, what
# a package brings for each system, what a cross compiler links against.
_DATA = (
    "/**/testdata/**",
    "/**/tests/**",
    "/**/fixtures/**",
    "/usr/lib/perf-core/**",
    "/**/prebuilds/**",
    "/**/runtimes/*/native*/**",
    "/**/.nuget/packages/**",
    "/usr/lib*/dotnet/**",
    "/**/pydevd_attach_to_process/**",
    "/**/*.syso",
    "/lib/firmware/**",
    "/usr/lib/firmware/**",
    "/usr/share/**",
    "/usr/*-linux-*/**",
    "/usr/lib/gcc-cross/**",
    "/boot/**",
    "/usr/lib/grub/**",
    "/usr/lib/ipxe/**",
    "/usr/lib/u-boot/**",
    "/usr/lib/arm-trusted-firmware/**",
    "/usr/lib/*/opensbi/**",
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
    "386": "i[3-6]86|x86|ia32|i32|386|32bit-intel",
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
_OF_WINDOWS = frozenset({"exe", "dll", "node", "pyd", "sys", "com"})  # how its programs' names end
_MULTIARCH = frozenset({"/lib", "/usr/lib", "/usr/local/lib"})  # libraries of packages, not bundles


def is_usual(path: str) -> bool:
    """Say whether distributions have a program of this name, at such a place, setuid or setgid."""
    found = _PLACES.fullmatch(path)
    return found is not None and found[1] in _SETUID


def is_data(path: str) -> bool:
    """Say whether a file for another machine is to be expected there."""
    return any(matches(pattern, path) for pattern in _DATA)


class Bundles:
    """Files that are there for several platforms, by their names: for Windows, or one for each."""

    def __init__(self, tree: Tree, platform: Platform) -> None:
        self._tree = tree
        self._own = _MACHINES.get(platform.architecture, platform.architecture)
        self._names: dict[str, set[str]] = {}

    def has(self, path: str) -> bool:
        """Say whether a file, or a folder that it is in, is called after another platform.

        After Windows, or so that another one beside it is called after this platform.
        """
        if _says(path, _SYSTEMS["windows"]) and path.rpartition(".")[2].lower() in _OF_WINDOWS:
            return True
        folder = path
        while folder:
            folder, _, name = folder.rpartition("/")
            named = None if folder in _MULTIARCH else _NAMED.search(name)
            if named and any(
                other != name and self._is_own(other[named.start() :], named[0])
                for other in self._beside(folder)
                if other.startswith(name[: named.start()])
            ):
                return True
        return False

    def _is_own(self, rest: str, word: str) -> bool:
        if _says(rest, _SYSTEMS["windows"]) or _says(rest, _SYSTEMS[""]):
            return False
        if _says(rest, self._own):
            return True
        # Folders of systems, with those of machines in them.
        is_system = any(_says(word, one) for one in _SYSTEMS.values())
        is_any = not any(_says(rest, one) for one in _MACHINES.values())
        return is_system and is_any and _says(rest, _SYSTEMS["linux"])

    def _beside(self, folder: str) -> set[str]:
        if not self._names:
            for entry in self._tree:
                above, _, name = entry.path.rpartition("/")
                if _NAMED.search(name):
                    self._names.setdefault(above, set()).add(name)
        return self._names.get(folder, set())


def _says(text: str, words: str) -> bool:
    return re.search(f"(?<![a-z0-9])(?:{words})(?![a-z0-9])", text, re.IGNORECASE) is not None
