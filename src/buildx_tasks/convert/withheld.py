"""Commands by which a file asks for what may be a secret: a variable stands for what each would say."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from buildx_tasks.language.secrets import is_named_as_one

if TYPE_CHECKING:
    from collections.abc import Iterator

WHY = "may be a secret: nothing of it is written"
_KEEPERS = re.compile(
    r"(?:^|[\s;|&(/])(?:printenv|env\s*\||env$|pass|gopass|lpass|op|bw|vault|sops|secret-tool|security|"
    r"doppler|chamber|age|gpg)(?:\s|$)"
)
_HERE = re.compile(r"\b(?:pwd|PWD|OLDPWD)\b")  # a folder, and no password
_ENVIRONMENT = re.compile(r"\$\$?\{?([A-Za-z_]\w*)|\bprintenv\s+([A-Za-z_]\w*)")


def may_be_secret(asked: str) -> bool:
    """Say whether a command of a shell may say a secret."""
    return is_named_as_one(_HERE.sub("", asked)) or bool(_KEEPERS.search(asked))


def environment(texts: str) -> Iterator[str]:
    """Yield the words for ``env`` that put a reference in place of each secret that a text names."""
    for name in dict.fromkeys(one[1] or one[2] for one in _ENVIRONMENT.finditer(texts)):
        if name in os.environ and is_named_as_one(_HERE.sub("", name)):
            yield f"{name}=${{{name}}}"
