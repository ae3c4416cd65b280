r"""What MkDocs reads otherwise than GitHub: ``\|`` in the code of a table is ``|`` in both."""

from __future__ import annotations

import re


def on_page_markdown(markdown: str, **_: object) -> str:
    """Return the page's text with ``|`` in code as MkDocs wants it; it is called by MkDocs."""
    return re.sub(r"(?m)^\|.*$", lambda row: _plain(row[0]), markdown)


def _plain(row: str) -> str:
    return re.sub(r"`[^`]+`", lambda code: code[0].replace(r"\|", "|"), row)
