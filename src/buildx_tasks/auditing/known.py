"""A path in a good image in; whether what looks like a fault there is usual, out."""

from __future__ import annotations

import re

from buildx_tasks.images.paths import matches

# Programs that distributions and the usual services install setuid or setgid, by name.
# As packages of Debian, Fedora and Alpine have them.
_SETUID = frozenset(
    "at bbsuid bsd-write camel-lock-helper-1.2 chage chfn chrome-sandbox chsh cockpit-session "
    "crontab dbus-daemon-launch-helper dmcrypt-get-device doas dotlockfile exim4 expiry "
    "fusermount fusermount3 gpasswd grub2-set-bootflag Xorg.wrap krb5_child ksu ldap_child "
    "lockfile lockspool locate mail-lock mail-touchlock mail-unlock mlocate mount mount.cifs "
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
    "/usr/lib/perf-core/**",
    "/**/prebuilds/**",
    "/**/*.syso",
    "/lib/firmware/**",
    "/usr/lib/firmware/**",
    "/usr/share/**",
    "/usr/*-linux-*/**",
    "/usr/lib/gcc-cross/**",
    "/boot/**",
    # Stubs that pip and setuptools put before scripts on Windows; wine's own.
    "/**/distlib/*.exe",
    "/**/setuptools/*.exe",
    "/**/pip/**/*.exe",
    "/**/distutils/command/wininst-*.exe",
    "/**/wine/**",
)


def is_usual(path: str) -> bool:
    """Say whether distributions have a program of this name, at such a place, setuid or setgid."""
    found = _PLACES.fullmatch(path)
    return found is not None and found[1] in _SETUID


def is_data(path: str) -> bool:
    """Say whether a file for another machine is to be expected there."""
    return any(matches(pattern, path) for pattern in _DATA)
