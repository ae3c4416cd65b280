"""Words in braces, as ``{platform}`` in expectations and caches, and what they are when misspelt."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildx_tasks.platforms import Platform

OF_A_PLATFORM = frozenset({"platform", "os", "arch", "variant"})
OF_CACHES = frozenset({"target", "platform"})
OF_ATTACHED = OF_A_PLATFORM | {"target"}
KNOWN = OF_A_PLATFORM | {"target", "tag"}

# Doubled braces, ${ and %{ are another language's; \{ is how a regular expression says a brace.
IN_BRACES = re.compile(r"(?<![\\$%])(?<!\{(?=\{[A-Za-z_-]+\}\}))\{([A-Za-z][A-Za-z_-]*)\}")
_OTHER_NAMES = {"architecture": "arch", "system": "os"}
_NEAR = 0.75  # of difflib's likeness: "platfrom" is near "platform", "start" is not near "target"


def of_platform(platform: Platform) -> dict[str, str]:
    """Return what stands for the words of a platform."""
    return {
        "platform": str(platform),
        "os": platform.os,
        "arch": platform.architecture,
        "variant": platform.variant,
    }


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return a text with values for words in braces; other braces stay, as in JSON or ``${os}``."""
    return IN_BRACES.sub(lambda found: values.get(found[1], found[0]), text)


def misspelt(word: str) -> str:
    """Return what is wrong with a word in braces; ``""`` where it is right, or nothing of ours."""
    low = word.lower()
    if word in KNOWN:
        return ""
    meant = low if low in KNOWN else _OTHER_NAMES.get(low)
    meant = meant or next(iter(get_close_matches(low, sorted(KNOWN), 1, _NEAR)), "")
    return f'{{{word}}} is no placeholder; did you mean "{{{meant}}}"?' if meant else ""
