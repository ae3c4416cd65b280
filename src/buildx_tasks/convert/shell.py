"""Lines of a shell → the commands in them, as words; ``$NAME`` as ``${NAME}``, whose default stays.

Nothing is run. Of ``if`` and ``case`` all branches are read, loops over plain values and calls of
functions are unrolled, lists are filled in.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.convert.expanding import CLOSE, OPEN, WHOLE, Scope, known, ours, unknown_name
from buildx_tasks.convert.tokens import FILLED, Token, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Command", "commands", "known", "unknown_name"]

_BETWEEN = frozenset("then do else elif ! { }".split())
_BEFORE = frozenset("sudo time exec command env nice builtin nohup cross-env npx".split())
_DECLARING = frozenset({"export", "local", "readonly", "declare", "typeset"})
_ASKING = frozenset({"[", "[[", "test", "command", "which", "grep", "git", "type", "hash"})
_OPENING, _ENDING = frozenset({"if", "while", "until"}), frozenset({"fi", "done"})
_ASSIGNED = re.compile(r"([A-Za-z_]\w*)(\+?)=(.*)", re.DOTALL)
_MARKS = re.compile(r"(?:\A|(?<!\\\n)(?<=\n))[ \t]*[@+-]+(?=[^\s@+-])")
_PLAIN = re.compile(r"[^*?\[$`]+")
_MOST_VALUES, _MOST_COMMANDS, _MOST_STEPS = 100, 2_000, 20_000


class Command(NamedTuple):
    """One command: its words, the shell's variables in it, what it names that is not known before.

    ``before`` are the variables that it alone gets, ``looped`` those of loops over what is not told,
    ``left`` is what of it is not told otherwise. It runs in ``folder``, and reads ``stdin``: ``<FILE``,
    or a text.
    """

    words: list[str]
    names: dict[str, str | None]
    unknown: list[str]
    text: str
    line: int = 0
    before: dict[str, str] = {}  # noqa: RUF012 - nobody writes to it
    looped: Sequence[str] = ()
    left: Sequence[str] = ()
    folder: str = ""
    stdin: str = ""


def commands(text: str, here: str = ".", *, apart: bool = False) -> Iterator[Command]:
    """Yield the commands in a shell's text; what cannot be taken apart is one command without words.

    ``here`` is the folder of the file. With ``apart`` each line has a shell of its own.
    """
    text = text.replace("\r\n", "\n")
    for start, piece in _pieces(text):
        line = text.count("\n", 0, start) + 1
        try:
            yield from _Shell(piece, line, here, apart=apart).commands()
        except (ValueError, RecursionError):
            yield Command([], {}, [], piece.strip(), line)


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Yield the text and where it starts: whole, or, where a quote does not end, what can be read."""
    start = end = 0
    try:
        list(tokens(text))
    except (ValueError, RecursionError):
        pass
    else:
        yield 0, text
        return
    lines = re.findall(r"(?:[^\n\\]|\\(?:.|\n)|\\$)*\n?", text)[:-1]
    while lines:
        for number in range(1, min(len(lines), 60) + 1):
            piece = "".join(lines[:number])
            try:
                list(tokens(piece))
            except (ValueError, RecursionError):
                continue
            break
        else:
            number, piece = 1, lines[0]
        end = start + len(piece)
        yield start, piece
        start, lines = end, lines[number:]


class _Shell:
    def __init__(self, text: str, line: int, here: str, *, apart: bool) -> None:
        # make and just have marks of their own before a command.
        self._text = _MARKS.sub(lambda m: " " * len(m[0]), text) if apart else text
        self._line = line
        self._here = here
        self._is_apart = apart
        self._scope = Scope(here)
        self._functions: dict[str, list[Token]] = {}
        self._uncalled: dict[str, list[Token]] = {}
        self._folders = [""]
        self._found: list[Command] = []
        self._depth = self._inner = self._steps = 0
        self._calling: set[str] = set()
        self._is_cut = False
        self._last, self._first = "", ""  # the mark before a command, the word before that
        self._may: dict[str, list[str]] = {}

    def commands(self) -> list[Command]:
        self._run(list(tokens(self._text)))
        while self._uncalled:  # called by what is not read, as by the first argument
            name, _ = self._uncalled.popitem()
            self._call(name, ["$@"])
        return self._found

    def _run(self, given: Sequence[Token]) -> None:
        at = 0
        while at < len(given) and len(self._found) < _MOST_COMMANDS and self._steps < _MOST_STEPS:
            self._steps += 1
            at = self._next(given, at)
        if at < len(given) and not self._is_cut:
            self._is_cut = True
            why = f"what comes behind {len(self._found)} commands, of docker or others: too many"
            line = self._line + self._text.count("\n", 0, given[at].start)
            self._found.append(Command([], {}, [], why, line))

    def _next(self, given: Sequence[Token], at: int) -> int:
        """Take what stands at a place; return what comes behind it."""
        token = given[at]
        word = "" if token.is_quoted else token.text
        if token.is_mark:
            return self._marked(given, at)
        behind = [one.text for one in given[at + 1 : at + 3] if one.is_mark]
        if word == "function" or behind == ["(", ")"]:
            return self._define(given, at)
        if word == "for":
            return self._loop(given, at)
        if word == "case":
            return self._case(given, at)
        if word in _OPENING | _ENDING:
            self._depth = max(0, self._depth + (1 if word in _OPENING else -1))
            return at + 1
        if word in _BETWEEN:
            return at + 1
        end = at
        while not given[end].is_mark:
            end += 1
        self._simple(given[at:end], given[end].stdin)
        return end

    def _marked(self, given: Sequence[Token], at: int) -> int:
        mark = given[at].text
        if mark == "(":
            end = _end(given, at, "(", ")")
            before = self._scope.folder
            with self._inside():
                self._run([*given[at + 1 : end], given[at]._replace(text=";")])
            self._scope.folder = before
            return end + 1
        self._last = mark
        if mark == "\n" and self._is_apart and not self._depth and not self._inner:
            self._folders = [""]
            self._scope, self._may = Scope(self._here), {}
        return at + 1

    @contextmanager
    def _inside(self) -> Iterator[None]:
        self._inner += 1
        yield
        self._inner -= 1

    def _define(self, given: Sequence[Token], at: int) -> int:
        start = at + (given[at].text == "function")
        name, body = given[start].text, start + 1
        while body < len(given) - 1 and given[body].is_mark:
            body += 1
        if body >= len(given) or given[body].text != "{":
            return body
        end = _end(given, body, "{", "}")
        ended = given[end]._replace(text=";", is_mark=True)
        self._functions[name] = self._uncalled[name] = [*given[body + 1 : end], ended]
        return end + 1

    def _loop(self, given: Sequence[Token], at: int) -> int:
        do = next((n for n in range(at, len(given)) if given[n].text == "do"), 0)
        if not do or given[at + 1].is_mark:
            return at + 1
        name, end = given[at + 1].text, _end(given, do, "do", "done")
        listed = [one for one in given[at + 3 : do] if not one.is_mark]
        values = [word for one in listed for word in self._values(one)]
        body = [*given[do + 1 : end], given[do]._replace(text=";", is_mark=True)]
        scope = self._scope
        with self._inside(), scope.called(scope.arguments):
            if values and len(values) <= _MOST_VALUES and all(map(_PLAIN.fullmatch, values)):
                for value in values:
                    scope.bound[name] = value
                    self._run(body)
            else:
                scope.looped.add(name)
                scope.bound.pop(name, None)
                self._depth += 1
                self._run(body)
                self._depth -= 1
                scope.looped.discard(name)
        return end + 1

    def _values(self, token: Token) -> list[str]:
        """Return what a loop goes over: what is not quoted is taken apart."""
        told = self._scope.values.get(token.whole)
        if token.whole and told is not None and not token.is_quoted and OPEN not in told:
            return told.split()
        words = self._scope.words([token._replace(is_quoted=True)])
        return [("$" + word) if OPEN in word else word for word in words]

    def _case(self, given: Sequence[Token], at: int) -> int:
        end = _end(given, at, "case", "esac")
        start = next((n for n in range(at, end) if given[n].text == "in"), end) + 1
        self._depth += 1
        while start < end:
            stop, depth = start, 0
            while stop < end and (depth or given[stop].text not in {";;", ";&", ";;&"}):
                depth += (given[stop].text == "case") - (given[stop].text == "esac")
                stop += 1
            first = next((n for n in range(start, stop) if given[n].text == ")"), stop)
            with self._inside():
                self._run([*given[first + 1 : stop], given[at]._replace(text=";", is_mark=True)])
            start = stop + 1
        self._depth -= 1
        return end + 1

    def _simple(self, given: Sequence[Token], stdin: str) -> None:
        scope = self._scope
        scope.names, scope.unknown, scope.left, scope.apart = {}, [], [], []
        words = list(given)
        while words and not words[0].is_quoted and words[0].text in _BEFORE:
            words.pop(0)
            while words and words[0].text.startswith("-"):
                words.pop(0)
        declares = bool(words) and words[0].text in _DECLARING
        own = [one for one in words[1:] if _assigned(one)] if declares else []
        at = 0
        while not declares and at < len(words) and _assigned(words[at]):
            at += 1
        if declares or (words and at == len(words)):
            for one in own or words[:at]:
                self._assign(one, is_own=declares and words[0].text != "export")
            return
        said = scope.words(words[at:])
        while said and said[0] in _BEFORE | {"eval"}:
            said = scope.taken_apart(" ".join(said[1:])) if said[0] == "eval" else said[1:]
        if not said:
            return
        before = {one.text.partition("=")[0]: scope.text(_value(one)) for one in words[:at]}
        if said[0] in {"cd", "pushd", "popd"}:
            self._move(said)
        elif said[0] in self._functions:
            self._call(said[0], said[1:])
        elif said[0] == "shift" and scope.arguments:
            scope.arguments = scope.arguments[1:]
        elif said[0] == "read":
            scope.looped.update(one for one in said[1:] if one.isidentifier())
        else:
            self._add(said, before, given, stdin)
        self._first = said[0]

    def _add(
        self, said: list[str], before: dict[str, str], given: Sequence[Token], stdin: str
    ) -> None:
        scope = self._scope
        read = "" if "$" in stdin or not stdin else scope.text(stdin)
        whole = " ".join([*said, *before.values(), self._scope.folder, read])
        used = {n: v for n, v in scope.names.items() if re.search(f"{OPEN}{n}\\b", whole)}
        for name in re.findall(f"{OPEN}([A-Za-z_]\\w*)(?![\\w.])", whole):
            used.setdefault(name, None)
        unknown = {unknown_name(one): one for one in scope.unknown}
        used = {name: told for name, told in used.items() if name not in unknown}
        for name, text in scope.given.items():
            if name in used and name not in scope.values:
                self._found.append(Command([f"{name}={ours(text)}"], {}, [], ""))
        scope.given = {}
        first, text = self._shown(given)
        may = [one for name in (*used, *scope.apart) for one in self._may.get(name, ())]
        self._found.append(
            Command(
                [ours(word) for word in said],
                used,
                [one for name, one in unknown.items() if f"{OPEN}{name}" in whole],
                text,
                first,
                {key: ours(value) for key, value in before.items()},
                [name for name in used if name in scope.looped],
                list(dict.fromkeys([*scope.left, *may])),
                ours(self._scope.folder),
                ours(read),
            )
        )

    def _shown(self, given: Sequence[Token]) -> tuple[int, str]:
        """Return the line that a command begins in, and the text of it."""
        text, start = self._text, given[0].start
        begin = start
        while begin > 0 and not (text[begin - 1] == "\n" and text[begin - 2 : begin - 1] != "\\"):
            begin -= 1
        end = given[-1].end
        while end < len(text) and not (text[end] == "\n" and text[end - 1] != "\\"):
            end += 1
        shown = " ".join(text[begin:end].replace("\\\n", " ").split())
        return self._line + text.count("\n", 0, begin), shown

    def _assign(self, token: Token, *, is_own: bool) -> None:
        scope = self._scope
        name, more, _ = _ASSIGNED.fullmatch(token.text).groups()  # type: ignore[union-attr]
        depends = (
            self._depth or self._last == "||" or (self._last == "&&" and self._first in _ASKING)
        )
        if token.items is not None:
            items = scope.words(token.items)
            if depends and name in scope.arrays:
                self._maybe(name, " ".join(map(ours, items)))
            else:
                scope.arrays[name] = [*(scope.arrays.get(name, []) if more else []), *items]
            return
        value = _value(token)
        place = scope.place(token._replace(text=value))
        text = scope.text(value)
        if scope.left:  # said by the command that uses it
            self._may.setdefault(name, []).extend(scope.left)
            scope.left = []
        if more:
            text = scope.bound.get(name, scope.values.get(name, "")) + text
        text = text.replace(f"{OPEN}{name}{CLOSE}", scope.values.get(name, ""))
        if depends and (name in scope.values or name in scope.bound):
            self._maybe(name, ours(text))
            return
        if place is not None or (is_own and scope.arguments is not None):
            scope.bound[name] = text
            return
        if any(self._hangs(one[2]) for one in FILLED.finditer(value)):
            scope.bound[name] = text  # another in each round, or call
            return
        argument = re.fullmatch(f"{OPEN}ARG\\d(?::-(.*))?{CLOSE}", text, re.DOTALL)
        text = (argument[1] or "") if argument else text
        if argument and not text:
            return  # only who calls it knows
        scope.values[name] = text
        for other, told in scope.given.items():
            self._found.append(Command([f"{other}={ours(told)}"], {}, [], ""))
        scope.given = {}
        self._found.append(Command([f"{name}={ours(text)}"], {}, list(scope.unknown), ""))

    def _hangs(self, said: str) -> bool:
        """Say whether a variable or a command has to do with what is filled in here."""
        used = re.findall(r"\w+", said)
        of_call = self._scope.arguments is not None and any(map(str.isdigit, used))
        return of_call or not self._scope.bound.keys().isdisjoint(used)

    def _maybe(self, name: str, text: str) -> None:
        said = f"{name} may also be {text}" if text else f"{name} may also be empty"
        self._may.setdefault(name, []).append(said)

    def _move(self, said: list[str]) -> None:
        target = next((one for one in said[1:] if not one.startswith("-") or one == "-"), "")
        before = self._scope.folder
        if said[0] == "popd" or target == "-":
            self._scope.folder = self._folders.pop() if len(self._folders) > 1 else ""
            return
        self._folders.append(before)
        target = target or f"{OPEN}HOME{CLOSE}"
        is_whole = target.startswith(WHOLE) or not before
        self._scope.folder = target if is_whole else f"{before}/{target}"

    def _call(self, name: str, arguments: list[str]) -> None:
        self._uncalled.pop(name, None)
        if name in self._calling:
            return
        told = None if "$@" in arguments else arguments
        self._calling.add(name)
        with self._inside(), self._scope.called(told):
            self._run(self._functions[name])
        self._calling.discard(name)


def _assigned(token: Token) -> bool:
    return token.items is not None or (bool(_ASSIGNED.fullmatch(token.text)))


def _value(token: Token) -> str:
    return token.text.partition("=")[2]


def _end(given: Sequence[Token], at: int, opening: str, closing_: str) -> int:
    """Return where what opens at a place is closed; the last place where it is not."""
    depth = 0
    for place in range(at, len(given)):
        word = "" if given[place].is_quoted else given[place].text
        depth += (word == opening) - (word == closing_)
        if not depth:
            return place
    return len(given) - 1
