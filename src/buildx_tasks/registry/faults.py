"""A registry's answer in; out, what passes by itself, and what a person has to set right."""

from __future__ import annotations

import datetime as dt
import email.utils
import json
import random
import re
from typing import TYPE_CHECKING, Any

from buildx_tasks.errors import MissingError, RefusalError, RegistryError
from buildx_tasks.registry.manifests import is_deep
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from requests import Response

ATTEMPTS = 6  # of one request
FIRST_PAUSE = 0.5  # seconds before the second attempt, doubled for each one after it
LONGEST_PAUSE = 20.0  # seconds; also of what Retry-After asks for
_SHOWN = 300  # characters of what a registry says

# What arrived is not what was sent: cut off or changed on the way, for it was well here.
_DAMAGED = frozenset({"DIGEST_INVALID", "SIZE_INVALID", "BLOB_UPLOAD_INVALID", "MANIFEST_INVALID"})
_IMMUTABLE = re.compile(
    "immutable|cannot be overwritten|already ?exists|not allow (overwrit|updat|redeploy)|is locked"
)
_FULL = re.compile(
    "quota|too_?large|(limit|maximum)[a-z_ ]*(reached|exceeded)|(exceed|reach)[a-z_ ]*(limit|maximum)"
    "|payment required|insufficient storage"
)
_RATE = re.compile("rate.?limit|reached your|limit (reached|exceeded)")
# 423 and 425 are for a moment by their names; 408 is the server's own time-out.
_PASSING = frozenset({408, 423, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
_WELL = "see that the registry and the network to it are well, and run this again"


class PassingError(Exception):
    """A fault that may pass; ``pause`` is the seconds that the registry asks to wait.

    ``fix`` is what a person can do if it does not, ``final`` the error that it is then.
    """

    final: type[RegistryError] = RegistryError

    def __init__(
        self,
        reason: str,
        pause: float = 0.0,
        fix: str = _WELL,
    ) -> None:
        super().__init__(reason)
        self.pause = pause
        self.fix = fix


class _LimitError(PassingError):
    """Too many requests: who runs this again at once has one more."""

    final = RefusalError


def pause_before(attempt: int, asked: float) -> float:
    """Return how many seconds to wait before an attempt (the second is 2), with some chance in it."""
    backoff = FIRST_PAUSE * 2.0 ** (attempt - 2) * random.uniform(0.75, 1.25)  # noqa: S311
    return float(min(max(backoff, asked), LONGEST_PAUSE))


def check(answer: Response, what: str, registry: str) -> None:
    """Raise what an HTTP status means; nothing for success.

    Raises:
        PassingError: it may pass.
        MissingError: 404.
        RegistryError: anything else that is no success.

    """
    status = answer.status_code
    if status < 300:
        return
    errors = _errors(answer)
    said = _said(errors)
    if refusal := _refusal(answer, said.lower(), registry):
        raise RefusalError(f"{what}: HTTP {status}: {refusal}{said}")
    if status == 429:
        fix = f"its limit is reached: wait, or ask it with more rights ({_log_in(registry)})"
        raise _LimitError(f"HTTP {status}{said}", _asked(answer), fix)
    if status in _PASSING:
        raise PassingError(f"HTTP {status}{said}", _asked(answer))
    if status == 400 and any(error.get("code") in _DAMAGED for error in errors):
        raise PassingError(
            f"HTTP {status}{said}",
            fix="the registry takes no such image, or a proxy before it damages what is sent: see "
            "which, and run this again",
        )
    if status == 404:
        raise MissingError(
            f"{what}: not found{said}; check the name, and that the repository exists"
        )
    raise RefusalError(f"{what}: {_meaning(status, registry)}{said}")


def _refusal(answer: Response, said: str, registry: str) -> str:
    """Return what a registry says no to for good, by its own words: each has its own status for it."""
    if _IMMUTABLE.search(said):
        return (
            "the tag is there and may not be moved; push another tag (invoke push --tag …), and list "
            "such tags in [target.NAME.push] immutable: then it is known before anything is uploaded"
        )
    if answer.status_code == 429:
        if _RATE.search(said) and not _asked(answer):
            return (
                f"its limit of requests is reached; {_log_in(registry)}, or wait until it is reset"
            )
        return ""
    if answer.status_code in (402, 413, 507) or _FULL.search(said):
        return "no room is left there; raise the quota or remove old images"
    return ""


def _log_in(registry: str) -> str:
    return "docker login" + ("" if registry == "docker.io" else f" {registry}")


def _hostless(registry: str) -> str:
    """Return what else may be the cause at docker.io, which is meant where a tag names no host."""
    if registry != "docker.io":
        return ""
    return (
        ", or write the host where it should be (a tag without one is docker.io's), as in "
        "localhost:5000/app:v1"
    )


def unreachable(reason: str, registry: str) -> PassingError:
    """Return the fault of a registry that does not answer."""
    return PassingError(reason, fix=f"{_WELL}{_hostless(registry)}")


def _meaning(status: int, registry: str) -> str:
    if status == 401:
        return (
            f"HTTP 401: the registry does not know who asks; run {_log_in(registry)}"
            f"{_hostless(registry)}"
        )
    if status == 403:
        return (
            "HTTP 403: this account may not do that; ask for the right to push there, or to pull"
            f"{_hostless(registry)}"
        )
    if status == 405:
        return "HTTP 405: the registry takes no such request; is it a mirror that is only read?"
    return f"HTTP {status}: refused"


def _errors(answer: Response) -> list[dict[str, Any]]:
    """Return what the registry says is wrong.

    Source of its form: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
    """
    try:
        said = {} if is_deep(answer.content) else json.loads(answer.content)
        listed = [one for one in said["errors"] if isinstance(one, dict)]
    except (ValueError, KeyError, TypeError, OSError):  # OSError is requests', of a cut answer
        return []
    keys = ("code", "message")
    return [{key: one[key] for key in keys if isinstance(one.get(key), str)} for one in listed]


def _said(errors: Sequence[dict[str, Any]]) -> str:
    """Return the registry's own words in brackets."""
    known = ([error.get("code"), error.get("message")] for error in errors)
    texts = [": ".join(str(word) for word in words if word) for words in known]
    text = printable("; ".join(texts))[:_SHOWN]
    return f" ({text})" if text else ""


def _asked(answer: Response) -> float:
    """Return the seconds that Retry-After asks for: a number, or a date."""
    value = answer.headers.get("Retry-After", "")
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        when = email.utils.parsedate_to_datetime(value)
        return max(0.0, (when - dt.datetime.now(dt.timezone.utc)).total_seconds())
    # No date, one without a zone, or beyond what a date can be.
    except (TypeError, ValueError, LookupError, ArithmeticError):
        return 0.0
