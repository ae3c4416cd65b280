"""Lines of a shell → the commands in them, as words; ``$NAME`` as ``${NAME}``, whose default stays."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ENDS = frozenset({"&&", "||", ";", "|", "&", "(", ")", "|&", ";;", "\n"})
_BEFORE = frozenset(
    "sudo time exec command env then do else nice if while until ! { [[ set -e".split()
)
_ASSIGNED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_NAME = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(:?-([^{}$`'\"]*))?\})")
_ARGUMENT = re.compile(r"\$(?:(\d)|\{(\d)(?::?-([^{}$`'\"]*))?\})")
_ASSIGNING = re.compile(r"(?:^|[;&|(]|\b(?:export|local|readonly)\s)\s*\w+=[\"']?$")
_LOOP = re.compile(r"\s*[@-]?\s*for\s")
_DO = re.compile(r"(?:^|[;\s])do\b")
_DONE = re.compile(r"(?:^|[;\s])done\b")
_REDIRECTED = re.compile(r"\d*(?:>>?|<)\s*(?:&\d|[^\s;&|()<]+)")
# What the shell's own commands come to, as our variables.
_KNOWN = {
    "git rev-parse HEAD": "git.commit",
    "git rev-parse --short HEAD": "git.short-commit",
    "git rev-parse --abbrev-ref HEAD": "git.branch",
    "git branch --show-current": "git.branch",
    "git describe --tags --always --dirty": "git.describe",
    "git describe --tags --dirty --always": "git.describe",
    "git describe --always --tags --dirty": "git.describe",
    "git describe --always --dirty --tags": "git.describe",
    "date -u +%Y-%m-%dT%H:%M:%SZ": "build.date",
    "date -u +'%Y-%m-%dT%H:%M:%SZ'": "build.date",
    'date -u +"%Y-%m-%dT%H:%M:%SZ"': "build.date",
}
_OPEN, _CLOSE = "\ue000", "\ue001"  # of no alphabet: they stand for "${" and "}" of ours


class Command(NamedTuple):
    """One command: its words, the shell's variables in it, what it names that is not known before.

    ``before`` are the variables that it alone gets, ``looped`` those of loops over what is not told.
    """

    words: list[str]
    names: dict[str, str | None]
    unknown: list[str]
    text: str
    line: int = 0
    before: dict[str, str] = {}  # noqa: RUF012 - nobody writes to it
    looped: Sequence[str] = ()


def commands(text: str, line: int = 1) -> Iterator[Command]:
    """Yield the commands in a shell's text; what cannot be taken apart is one command without words."""
    for number, whole in _joined(text, line):
        names: dict[str, str | None] = {}
        unknown: list[str] = []
        marked = _marked(whole, names, unknown)
        lexer = shlex.shlex(marked, posix=True, punctuation_chars="();&|")
        lexer.whitespace_split = True
        lexer.commenters = "#"
        try:
            words = list(lexer)
        except ValueError:
            yield Command([], {}, [], whole, number)
            continue
        words = _unrolled(words)
        loops = [words[at + 1] for at in range(len(words)) if _is_loop(words, at)]
        for one in _split(words):
            said = " ".join(one)
            used = {name: value for name, value in names.items() if f"{_OPEN}{name}" in said}
            left = [text for text in unknown if unknown_name(text) in said]
            rest = _bare(one)
            before = dict(
                word.partition("=")[::2] for word in one[: len(one) - len(rest)] if "=" in word
            )
            yield Command(
                [_ours(word) for word in rest],
                used,
                left,
                whole.strip(),
                number,
                {key: _ours(value) for key, value in before.items()},
                [name for name in loops if name in used],
            )


def _joined(text: str, line: int) -> Iterator[tuple[int, str]]:
    """Yield the lines, those that end in a backslash joined, with the number of their first."""
    whole, first = "", line
    for number, one in enumerate(text.splitlines(), line):
        if not whole:
            first = number
        if one.endswith("\\"):
            whole += one[:-1] + " "
            continue
        whole += one
        if _LOOP.match(whole) and not _is_closed(whole):
            whole += " " if whole.rstrip().endswith("do") else "; "
            continue
        if whole.count("'") % 2 and whole.count('"') % 2 == 0 and len(whole) < 10_000:
            whole += "\n"
            continue
        if whole.strip():
            yield first, whole.lstrip().lstrip("@-+")
        whole = ""
    if whole.strip():
        yield first, whole.lstrip().lstrip("@-+")


def _is_closed(loop: str) -> bool:
    """Say whether as many loops end in a text as begin."""
    return 0 < len(_DO.findall(loop)) == len(_DONE.findall(loop))


def _unrolled(words: list[str]) -> list[str]:
    """Return the words with the body of each loop over plain values once for each of them."""
    for at in range(len(words)):
        end = _end_of_loop(words, at) if _is_loop(words, at) else 0
        if not end:
            continue
        start = words.index("do", at)
        name, values = words[at + 1], [one for one in words[at + 3 : start] if one != ";"]
        if any(_OPEN in one or set(one) & set("*?[$`") for one in values):
            continue
        made: list[str] = []
        for value in values:
            body = words[start + 1 : end]
            made += [word.replace(f"{_OPEN}{name}{_CLOSE}", value) for word in body]
            made.append(";")
        return _unrolled([*words[:at], *made, *words[end + 1 :]])
    return words


def _is_loop(words: list[str], at: int) -> bool:
    starts = at == 0 or words[at - 1] in {*_ENDS, "do", "then", "else", "{"}
    return starts and words[at] == "for" and words[at + 2 : at + 3] == ["in"]


def _end_of_loop(words: list[str], at: int) -> int:
    """Return where a loop's ``done`` is; 0 where there is none."""
    depth = 0
    for place in range(at, len(words)):
        depth += (words[place] == "do") - (words[place] == "done")
        if words[place] == "done" and not depth:
            return place
    return 0


def _split(words: list[str]) -> Iterator[list[str]]:
    one: list[str] = []
    for word in [*words, ";"]:
        if word in _ENDS or set(word) <= set("();&|"):
            if _bare(one):
                yield one
            one = []
        else:
            one.append(word)


def _bare(words: list[str]) -> list[str]:
    """Return a command without what stands before it: variables of its own, sudo."""
    at = 0
    while at < len(words) and words[at] in _BEFORE:
        at += 1
    start = at
    while at < len(words) and _ASSIGNED.fullmatch(words[at]):
        at += 1
    return words[at:] if at < len(words) else words[start:]


def _marked(text: str, names: dict[str, str | None], unknown: list[str]) -> str:
    """Return the text with marks in place of variables and commands outside of single quotes."""
    done, at, single, double = [], 0, False, False
    while at < len(text):
        mark = text[at]
        if mark == "\\" and not single:
            done.append(text[at : at + 2])
            at += 2
            continue
        if mark == "'" and not double:
            single = not single
        if mark == '"' and not single:
            double = not double
        redirected = None if single or double else _REDIRECTED.match(text, at)
        if redirected and text[at - 1 : at] in {"", " "}:
            at = redirected.end()
            continue
        if mark in "$`" and not single:
            found = _NAME.match(text, at)
            if found:
                name = found[1] or found[2]
                names.setdefault(name, None)
                fallback = f":-{found[4]}" if found[3] else ""
                done.append(f"{_OPEN}{name}{fallback}{_CLOSE}")
                at = found.end()
                continue
            argument = _ARGUMENT.match(text, at)
            if argument and not _ASSIGNING.search(text[:at]):
                name = f"ARG{argument[1] or argument[2]}"
                names.setdefault(name, None)
                fallback = f":-{argument[3]}" if argument[3] else ""
                done.append(f"{_OPEN}{name}{fallback}{_CLOSE}")
                at = argument.end()
                continue
            end = _end_of_command(text, at)
            if end > at:
                asked = text[at:end].lstrip("$(`").rstrip(")`").strip()
                ours = known(asked)
                if not ours:
                    unknown.append(asked)
                done.append(f"{_OPEN}{ours or unknown_name(asked)}{_CLOSE}")
                at = end
                continue
        done.append(mark)
        at += 1
    return "".join(done)


def _end_of_command(text: str, at: int) -> int:
    """Return where a ``$(…)`` or a command in backquotes ends; ``at`` where there is none."""
    if text[at] == "`":
        end = text.find("`", at + 1)
        return end + 1 if end > 0 else at
    if not text.startswith("$(", at):
        return at
    depth = 0
    for place in range(at + 1, len(text)):
        depth += (text[place] == "(") - (text[place] == ")")
        if not depth:
            return place + 1
    return at


def known(asked: str) -> str:
    """Return our variable (as in a ``${…}``) for what a command says; ``""`` where there is none."""
    words = re.sub(r"\s*2>\s*\S+|\s*\|\|\s*echo\s+\S+", "", asked).strip()
    ours = _KNOWN.get(words, "")
    return f"{ours}:-dev" if ours.startswith("git.") else ours


def unknown_name(asked: str) -> str:
    """Return the name of the variable that stands for what a command says."""
    return "_".join(re.findall(r"[A-Za-z]+", asked)[:4]).upper() or "VALUE"


def _ours(word: str) -> str:
    """Return a word with our variables in place of the marks."""
    return word.replace("${", "$${").replace(_OPEN, "${").replace(_CLOSE, "}")
