"""A shell's text → its words, and the marks between them; what is to be filled in stays as written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of no alphabet: before a variable, before a command, and behind either.
VARIABLE, COMMAND, END = "\ue002", "\ue003", "\ue004"
FILLED = re.compile(f"([{VARIABLE}{COMMAND}])([^{END}]*){END}")
_MARKS = ("\n", "&&", "||", ";;&", ";;", ";&", ";", "|&", "|", "&", "(", ")")
_NAME = re.compile(r"\w+|[@*#?$!-]")
_ARRAY = re.compile(r"([A-Za-z_]\w*)(\+?)=")
_REDIRECTED = re.compile(r"(?:\d*|&)(<<<|<<-?|<&|<>|>&|>>|>\||>|<)[ \t]*")


class Token(NamedTuple):
    """A word, or (``is_mark``) what stands between commands; ``start`` and ``end`` are in the text.

    ``items`` are those of ``NAME=(…)``, whose text is ``NAME=`` or ``NAME+=``. ``stdin`` of a mark is
    what the command before it reads: ``<FILE``, or a text that stands there.
    """

    text: str
    start: int
    end: int
    is_mark: bool = False
    is_quoted: bool = False
    items: tuple[Token, ...] | None = None
    stdin: str = ""

    @property
    def whole(self) -> str:
        """The variable that the word is, without what stands around it; ``""`` where it is more."""
        found = FILLED.fullmatch(self.text)
        return found[2] if found and found[1] == VARIABLE else ""


def tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of a text, a newline behind each line.

    Raises:
        ValueError: a quote or a bracket does not end.

    """
    yield from _Reader(text).tokens()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        # Of texts that stand below the line: what ends them, whether they are plain, and indented.
        self._waiting: list[tuple[str, bool, bool]] = []
        self._owners: list[int] = []  # where in the line the mark behind each one's command is
        self._stdin = ""

    def tokens(self, until: str = "") -> Iterator[Token]:
        text = self._text
        line: list[Token] = []
        while self._at < len(text):
            if text.startswith("\\\n", self._at):
                self._at += 2
            elif text[self._at] in " \t\r":
                self._at += 1
            elif text[self._at] == "#":
                end = text.find("\n", self._at)
                self._at = len(text) if end < 0 else end
            elif text.startswith(("<(", ">("), self._at):
                self._at = closing(text, self._at + 1)
            elif redirected := _REDIRECTED.match(text, self._at):
                self._redirect(redirected)
            elif mark := next((one for one in _MARKS if text.startswith(one, self._at)), ""):
                if mark == until:
                    self._at += 1
                    yield from line
                    return
                start = self._at
                self._at += len(mark)
                self._mark(line, Token(mark, start, start + len(mark), True, stdin=self._stdin))
                if mark == "\n":
                    self._below(line)
                    yield from line
                    line = []
            else:
                line.append(self._word())
        if until:
            raise ValueError(until)
        self._mark(line, Token("\n", len(text), len(text), True, stdin=self._stdin))
        yield from line

    def _mark(self, line: list[Token], mark: Token) -> None:
        """End a command of a line: what it reads is the mark's."""
        self._owners += [len(line)] * (len(self._waiting) - len(self._owners))
        line.append(mark)
        self._stdin = ""

    def _redirect(self, found: re.Match[str]) -> None:
        self._at = found.end()
        if self._text.startswith(("<(", ">("), self._at):
            self._at = closing(self._text, self._at + 1)
            return
        word = self._word() if self._at < len(self._text) else None
        if word and found[1] in {"<<", "<<-"}:
            raw = self._text[word.start : word.end]
            is_plain = word.is_quoted or "\\" in raw
            self._waiting.append((re.sub(r"[\\'\"]", "", raw), is_plain, found[1] == "<<-"))
        elif word and found[1] == "<":
            self._stdin = f"<{word.text}"
        elif word and found[1] == "<<<":
            self._stdin = word.text + "\n"

    def _below(self, tokens_: list[Token]) -> None:
        """Give the texts that stand below a line to the marks behind the commands that read them."""
        for owner, (end, is_plain, is_indented) in zip(self._owners, self._waiting):
            lines = []
            while self._at < len(self._text):
                line, mark, _ = self._text[self._at :].partition("\n")
                self._at += len(line) + len(mark)
                line = line.lstrip("\t") if is_indented else line
                if line == end:
                    break
                lines.append(line)
            said = "\n".join([*lines, ""])
            if not is_plain:  # what is to be filled in, as in a word
                said = self._filled_in(said)
            tokens_[owner] = tokens_[owner]._replace(stdin=said or tokens_[owner].stdin)
        self._waiting, self._owners = [], []

    def _filled_in(self, said: str) -> str:
        reader, done = _Reader(said), []
        while reader._at < len(said):
            done.append(reader._in_quotes())
        return "".join(done)

    def _word(self) -> Token:
        text, start, done, is_quoted = self._text, self._at, "", False
        while self._at < len(text):
            mark = text[self._at]
            if mark == "\\":
                done += text[self._at + 1 : self._at + 2].replace("\n", "")
                self._at += 2
            elif mark in "'\"" or text.startswith(("$'", '$"'), self._at):
                is_quoted = True
                done += self._quoted()
            elif mark in "$`":
                done += self._filled()
            elif mark == "(" and (found := _ARRAY.fullmatch(done)) and not is_quoted:
                self._at += 1
                items = tuple(one for one in self.tokens(")") if not one.is_mark)
                return Token(found[0], start, self._at, items=items)
            elif mark in " \t\r\n;&|()<>":
                break
            else:
                done += mark
                self._at += 1
        return Token(done, start, self._at, is_quoted=is_quoted)

    def _quoted(self) -> str:
        text = self._text
        if text[self._at] == "$":
            self._at += 1
        quote = text[self._at]
        self._at += 1
        if quote == "'":
            end = text.index("'", self._at)
            done, self._at = text[self._at : end], end + 1
            return done
        done = ""
        while self._at < len(text) and text[self._at] != '"':
            done += self._in_quotes()
        if self._at >= len(text):
            raise ValueError(quote)
        self._at += 1
        return done

    def _in_quotes(self) -> str:
        """Return the next piece of what is between double quotes."""
        text, mark = self._text, self._text[self._at]
        if mark == "\\" and text[self._at + 1 : self._at + 2] in {'"', "\\", "$", "`", "\n"}:
            self._at += 2
            return text[self._at - 1].replace("\n", "")
        if mark in "$`":
            return self._filled()
        self._at += 1
        return mark

    def _filled(self) -> str:
        """Return what a ``$`` or a backquote begins, between marks."""
        text, at = self._text, self._at
        if text[at] == "`":
            end = text.index("`", at + 1)
            self._at = end + 1
            return f"{COMMAND}{text[at + 1 : end].strip()}{END}"
        if text.startswith("$((", at):
            self._at = closing(text, at + 1)
            return f"{VARIABLE}{text[at + 1 : self._at]}{END}"
        if text.startswith("$(", at):
            self._at = closing(text, at + 1)
            return f"{COMMAND}{text[at + 2 : self._at - 1].strip()}{END}"
        if text.startswith("${", at):
            self._at = closing(text, at + 1, "{}")
            return f"{VARIABLE}{text[at + 2 : self._at - 1]}{END}"
        if found := _NAME.match(text, at + 1):
            name = found[0][:1] if found[0][:1].isdigit() else found[0]
            self._at = at + 1 + len(name)
            return f"{VARIABLE}{name}{END}"
        self._at += 1
        return "$"


def closing(text: str, at: int, pair: str = "()") -> int:
    """Return where what opens at ``at`` is closed, and one further, quotes heeded.

    Raises:
        ValueError: nowhere.

    """
    depth, place = 0, at
    while place < len(text):
        mark = text[place]
        if mark == "\\":
            place += 1
        elif mark == "'" and pair == "()":
            place = text.index("'", place + 1)
        elif mark == '"':
            place = _end_of_quotes(text, place)
        elif text.startswith(("${", "$("), place) and place > at:
            place = closing(text, place + 1, "{}" if text[place + 1] == "{" else "()") - 1
        depth += (mark == pair[0]) - (mark == pair[1])
        if not depth:
            return place + 1
        place += 1
    raise ValueError(pair)


def _end_of_quotes(text: str, at: int) -> int:
    place = at + 1
    while place < len(text) and text[place] != '"':
        if text[place] == "\\":
            place += 1
        elif text.startswith(("${", "$("), place):
            place = closing(text, place + 1, "{}" if text[place + 1] == "{" else "()") - 1
        place += 1
    if place >= len(text):
        raise ValueError('"')
    return place
