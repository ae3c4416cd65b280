"""What a shell's words come to: what is told stays told, the rest is ``${NAME}`` of ours."""

from __future__ import annotations

import posixpath
import re
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from buildx_tasks.convert.tokens import COMMAND, END, FILLED, Token, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OPEN, CLOSE = "\ue000", "\ue001"  # of no alphabet: they stand for "${" and "}" of ours
# Before a place that no ``cd`` changes: told from where the import runs, or from where the shell starts.
FIRM, STARTED = "\ue006", "\ue007"
WHOLE = ("/", "~", OPEN, FIRM, STARTED)  # how a place begins that is no other one after a ``cd``
_PARAMETER = re.compile(r"([A-Za-z_]\w*|\d+|[@*?$!-])(.*)", re.DOTALL)
_ALL = re.compile(r"([A-Za-z_]\w*)\[[@*]\](?:\+.*)?|([@*])(?:\+.*)?", re.DOTALL)
_MAYBE_EMPTY = re.compile(f"(?:{OPEN}[\\w.]+(?::-|\\|[^{CLOSE}]*)?{CLOSE})+")
_REPLACED = re.compile(r"//([\w.+-]+|\\?/)/([\w.+-]*)")
_PROGRAM = re.compile(r"DOCKER(?:_BIN|_CMD|_EXE|_TOOL)?|CONTAINER_(?:TOOL|ENGINE|RUNTIME|CLI)")
_OF_SCRIPT = re.compile(r"\bdirname\b.*(?:\$\{?0\b|BASH_SOURCE|\$_)|^BASH_SOURCE\[0\]%/\*$|^0%/\*$")
_WHICH = re.compile(rf"{COMMAND}(?:which|command -v|type -p)\s+([\w./-]+)[^{END}]*{END}")
_WHOLE = re.compile(r"\bpwd\b|\brealpath\b|\breadlink -")
_BEHIND = re.compile(r"(?:\)|%/\*\})[\"']?((?:/[\w.-]+)+)")
_TOP = re.compile(r"git (?:-C \S+ )?rev-parse --show-toplevel")
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
    "git describe --tags --always": "git.describe",
    "git describe --always --tags": "git.describe",
    "git describe --tags": "git.describe",
    "git log -1 --format=%H": "git.commit",
    "git log -1 --format=%h": "git.short-commit",
    "date -u +%FT%TZ": "build.date",
    'date -u +"%FT%TZ"': "build.date",
    "date -u +%Y-%m-%dT%H:%M:%SZ": "build.date",
    "date -u +'%Y-%m-%dT%H:%M:%SZ'": "build.date",
    'date -u +"%Y-%m-%dT%H:%M:%SZ"': "build.date",
}


class Scope:
    """What is known where a command stands.

    ``values`` are assigned, and stay variables; ``bound`` are filled in, as what a loop or a call gives;
    ``arguments`` are those of a call, None outside of one. ``here`` is the folder of the script,
    ``folder`` the one that the shell is in by now.
    """

    def __init__(self, here: str) -> None:
        self.here = here
        self.folder = ""
        self.values: dict[str, str] = {}
        self.bound: dict[str, str] = {}
        self.arrays: dict[str, list[str]] = {}
        self.arguments: list[str] | None = None
        self.looped: set[str] = set()
        self.names: dict[str, str | None] = {}
        self.unknown: list[str] = []
        self.left: list[str] = []
        self.apart: list[str] = []  # the variables that were taken apart
        self._taking: set[str] = set()
        self.given: dict[str, str] = {}  # defaults that hang on other variables

    @contextmanager
    def called(self, arguments: list[str] | None) -> Iterator[None]:
        """Fill in the arguments of a call."""
        before = self.bound, self.arguments
        self.bound, self.arguments = dict(self.bound), arguments
        yield
        self.bound, self.arguments = before

    def words(self, given: Sequence[Token]) -> list[str]:
        """Return the words of a command, lists and what is not quoted taken apart."""
        found: list[str] = []
        for token in given:
            found += self._apart(token, is_first=not found)
        return found

    def text(self, said: str) -> str:
        """Return a text with what is filled in."""
        return FILLED.sub(
            lambda one: self._said(one[2]) if one[1] == COMMAND else self._of(one[2]), said
        )

    def place(self, token: Token) -> str | None:
        """Return the folder that a word is for sure, as that of the script; None for no such word."""
        if not any(map(self._place, (one[2] for one in FILLED.finditer(token.text)))):
            return None
        text = self.text(token.text)
        return None if OPEN in text else text

    def _place(self, said: str) -> str:
        """Return the folder that a variable or a command names; ``""`` where it names none."""
        if _OF_SCRIPT.search(said):
            behind = _BEHIND.search(said)
            above = "/.." * (said.count("dirname") - 1) + (behind[1] if behind else "")
            place = posixpath.normpath(self.here + above)
            return (FIRM if _WHOLE.search(said) else "") + place
        if said in {"pwd", "pwd -P", "PWD"}:
            folder = self.folder or "."
            return folder if folder.startswith(WHOLE) else STARTED + folder
        return f"{FIRM}." if _TOP.search(said) else ""

    def _apart(self, token: Token, *, is_first: bool) -> list[str]:
        whole = token.whole
        listed = _ALL.fullmatch(whole) if whole else None
        if listed and listed[1]:
            self.apart.append(listed[1])
            if listed[1] not in self.arrays:
                self.left.append(f"${{{listed[1]}[@]}}: what it holds is left out")
            return list(self.arrays.get(listed[1], ()))
        if listed:
            return ["$@"] if self.arguments is None else list(self.arguments)
        if not token.is_quoted and re.match(r"\w+:?\+", whole):
            return self.taken_apart(self.text(token.text))
        if whole and not token.is_quoted:
            name, fallback = re.fullmatch(r"(\w*)(?::?-(.*))?.*", whole, re.DOTALL).groups()  # type: ignore[union-attr]
            told = self.bound.get(name, self.values.get(name))
            if told is None and is_first and name:
                told = fallback or ("docker" if _PROGRAM.fullmatch(name) else None)
            is_options = told is not None and (not told or told[:1] == "-" or " " in told)
            if told is not None and (is_first or is_options) and name not in self._taking:
                self.apart.append(name)
                self._taking.add(name)
                taken = self.taken_apart(told)
                self._taking.discard(name)
                return taken
        if is_first and (program := _WHICH.fullmatch(token.text)):
            return [program[1]]
        text = self.text(token.text)
        if text.startswith("~/") and not token.is_quoted:
            text = self._named("HOME") + text[1:]
        comment = token.text.startswith(COMMAND + "#")  # `# as people comment on lines that go on`
        return [] if comment or (not text and not token.is_quoted) else [text]

    def taken_apart(self, text: str) -> list[str]:
        """Return the words of a text, as of a variable that is not quoted."""
        try:
            taken = [one for one in tokens(text) if not one.is_mark]
        except ValueError:
            return text.split()
        return [word for one in taken for word in self._apart(one, is_first=False)]

    def _said(self, asked: str) -> str:
        """Return what a command says: a variable of ours, a folder, or one that stands for it."""
        if place := self._place(asked):
            return place
        ours = known(asked)
        if not ours and not asked.startswith("#"):
            self.unknown.append(asked)
        return f"{OPEN}{ours or unknown_name(asked)}{CLOSE}"

    def _of(self, said: str) -> str:
        """Return what a ``${…}`` comes to."""
        found = _PARAMETER.fullmatch(said)
        if self._place(said) or not found:
            return self._place(said) or self._stands_for(said)
        name, rest = found[1], found[2]
        told = self.bound.get(name)
        if name == "0":
            return f"${said}"
        if name.isdigit() and self.arguments is not None:
            told = (["", *self.arguments, *[""] * int(name)])[int(name)]
        elif name.isdigit():
            name = f"ARG{name}"
        elif not name.isidentifier():
            return f"${said}"
        fallback = re.match(r":?([-=?+])", rest)
        if fallback:
            return self._or_else(name, told, fallback[1], rest[fallback.end() :])
        if not rest:
            return self._named(name) if told is None else told
        known_ = self.values.get(name) if told is None else told
        if known_ is not None and OPEN not in known_ and not rest.startswith("["):
            cut = _cut(known_, rest)
            return self._stands_for(said) if cut is None else cut
        return self._changed(name, rest, said)

    def _or_else(self, name: str, told: str | None, mark: str, rest: str) -> str:
        if mark == "+":
            told = self.values.get(name) if told is None else told
            self.apart.append(name)
            if told is None or _MAYBE_EMPTY.fullmatch(told):
                self.left.append(f"${{{name}:+{rest}}}: what it adds where {name} is set")
                return ""
            return self._fallback(rest) if told else ""
        if told or mark == "?":
            return told or self._named(name)
        text = self._fallback(rest)
        if told is not None:
            return text
        if OPEN in text or re.search(r"[{}$`'\"]", text):
            self.given.setdefault(name, text)
            return self._named(name)
        self.names.setdefault(name, None)
        return f"{OPEN}{name}:-{text}{CLOSE}"

    def _fallback(self, rest: str) -> str:
        try:
            return self.text("".join(one.text for one in tokens(f'"{rest}"') if not one.is_mark))
        except ValueError:
            return rest

    def _changed(self, name: str, rest: str, said: str) -> str:
        replaced = _REPLACED.fullmatch(rest)
        how = {",,": "lower", "^^": "upper"}.get(rest, "")
        if replaced:
            how = f"replace('{replaced[1][-1] if '/' in replaced[1] else replaced[1]}', '{replaced[2]}')"
        if not how:
            return self._stands_for(said)
        self.names.setdefault(name, None)
        return f"{OPEN}{name}|{how}{CLOSE}"

    def _named(self, name: str) -> str:
        self.names.setdefault(name, None)
        return f"{OPEN}{name}{CLOSE}"

    def _stands_for(self, said: str) -> str:
        asked = f"${{{said}}}"
        self.unknown.append(asked)
        return f"{OPEN}{unknown_name(asked)}{CLOSE}"


def _cut(value: str, rest: str) -> str | None:
    """Return a value as ``#``, ``%``, ``/``, ``,``, ``^`` and ``:0:7`` change it; None for others."""
    if part := re.fullmatch(r":(\d+)(?::(\d+))?", rest):
        start = int(part[1])
        return value[start : start + int(part[2])] if part[2] else value[start:]
    found = re.fullmatch(r"(##?|%%?|//?|,,?|\^\^?)(.*)", rest, re.DOTALL)
    if not found:
        return None
    mark, pattern = found[1], found[2]
    if mark[0] in ",^":
        changed = value.lower() if mark[0] == "," else value.upper()
        return changed if len(mark) > 1 else changed[:1] + value[1:]
    if mark[0] == "/":
        old, _, new = pattern.replace("\\/", "\ue005").partition("/")
        return value.replace(old.replace("\ue005", "/"), new, -1 if len(mark) > 1 else 1)
    ends = range(len(value) + 1)
    pieces = [(value[:end], value[end:]) for end in ends]
    if mark[0] == "%":
        pieces = [(behind, before) for before, behind in reversed(pieces)]
    rests = [kept for cut, kept in pieces if fnmatchcase(cut, pattern)]
    return value if not rests else rests[0 if len(mark) == 1 else -1]


def known(asked: str) -> str:
    """Return our variable (as in a ``${…}``) for what a command says; ``""`` where there is none."""
    words = re.sub(r"\s*2>\s*\S+|\s*\|\|\s*echo\s+\S+", "", asked).strip()
    ours = _KNOWN.get(words, "")
    return f"{ours}:-dev" if ours.startswith("git.") else ours


def unknown_name(asked: str) -> str:
    """Return the name of the variable that stands for what a command says."""
    words = re.findall(r"[A-Za-z]+", asked)[:4]
    # A part of a variable must not be called as that is, nor as another part.
    if words and asked.startswith("${") and "_".join(words) in asked:
        words += ["part", *["last"] * (": -" in asked), *re.findall(r"\d+", asked)]
    return "_".join(words).upper() or "VALUE"


def ours(text: str) -> str:
    """Return a text with our variables in place of the marks."""
    return text.replace("${", "$${").replace(OPEN, "${").replace(CLOSE, "}")
