"""The flags of our tasks, as invoke's parser meets them: what was typed can be told from a default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from invoke import Argument, Exit, ParseError

if TYPE_CHECKING:
    from invoke.parser import ParserContext

# The same in every task; no other flag has a letter, so -h and invoke's own letters stay free.
LETTERS = {"target": "t", "platform": "p", "overlay": "o", "set": "s"}
_SHOWN = {"target": "NAME", "platform": "os/architecture", "overlay": "NAME", "set": "NAME=value"}
_FREE = frozenset({"args"})  # a container's own flags begin with a dash, too
_MAY_BE_EMPTY = frozenset({"entrypoint"})  # docker's way to take an image's away


class MisuseError(ParseError, Exit):
    """What was typed cannot be used: invoke's parser passes it on, and ends with exit code 2."""

    code = 2

    def __init__(self, text: str, context: ParserContext | None = None) -> None:
        ParseError.__init__(self, text, context)
        self.text = text
        self.message = None  # invoke prints the text once already: it is a ParseError

    def __str__(self) -> str:
        """Return the text alone."""
        return self.text


class Typed(list[str]):
    """What was typed for a flag that repeats; ``next_task`` is the task that follows directly.

    ``place`` counts what earlier tasks of the line were given: invoke leaves out a second call that
    equals the first, and ``push -o a push`` are two that differ, though the second has no flag.
    """

    next_task = ""
    place = 0

    def __eq__(self, other: object) -> bool:
        """Say whether a call with it would do the same."""
        return list.__eq__(self, other) and self.place == getattr(other, "place", self.place)

    def __ne__(self, other: object) -> bool:
        """Say whether a call with it would do something else."""
        return not self == other

    __hash__ = None


class Taken(Typed):
    """What was typed for an earlier task of the same command line."""


class Flag(Argument):
    """One flag; its value is None, or an empty list, where it was not typed."""

    def __init__(self, argument: Argument, owner: str, *, takes_words: bool) -> None:
        long = argument.names[0]
        super().__init__(
            names=(long, LETTERS[long]) if long in LETTERS else (long,),
            kind=argument.kind,
            default=argument.default if argument.kind is bool else None,
            help=argument.help,
            attr_name=argument.attr_name,
        )
        self.owner = owner
        self.takes_words = takes_words
        if self.kind is list:
            self._value: Any = Typed()

    def __deepcopy__(self, memo: dict[int, Any]) -> Flag:
        """Return a flag of the same state: invoke copies all flags of all tasks each time it starts."""
        made = Flag.__new__(Flag)
        made.__dict__.update(self.__dict__)
        if isinstance(self._value, Typed):
            value = made.__dict__["_value"] = Typed(self._value)
            value.__dict__.update(self._value.__dict__)
        return made

    @property
    def typed(self) -> str:
        """The flag as a person types it."""
        return f"-{self.names[1]}" if self.nicknames else f"--{self.names[0]}"

    def set_value(self, value: Any, cast: bool = True) -> None:
        """Take a value; a list grows by it."""
        if self.kind is list:
            self.raw_value = value
            before, self._value = self._value, Typed([*self._value, value])
            self._value.place = before.place
        else:
            super().set_value(value, cast)

    def check(self, value: str, context: ParserContext) -> None:
        """Refuse what is no value: nothing, or the next flag.

        Raises:
            MisuseError: with what to write.

        """
        if not value and self.names[0] in _MAY_BE_EMPTY:
            return
        if not value.strip():
            self.fail(f'{self.typed} "{value}": the value is empty', context)
        if self.kind is int:
            try:
                int(value)
            except ValueError:
                what = f'{self.typed}: "{value}" is no whole number; write one, as in'
                raise MisuseError(f"{context.name}: {what} {self.typed} 4", context) from None
        elif value[0] == "-" and value != "-" and self.names[0] not in _FREE:
            self.fail(f'{self.typed} has no value, "{value}" comes behind it', context)

    def fail(self, what: str, context: ParserContext) -> NoReturn:
        """Say that the value is missing.

        Raises:
            MisuseError: always.

        """
        shown = _SHOWN.get(self.names[0], "VALUE")
        raise MisuseError(
            f"{context.name}: {what}; write {self.typed} {shown}, or leave {self.typed} out (is a "
            "variable of the shell not set?)",
            context,
        )

    def take_word(self, word: str, context: ParserContext) -> None:
        """Take a word that stands by itself behind the task."""
        if not word.strip():
            self.fail(f'"{word}": a word is empty', context)
        if self.kind is not list and self._value is not None:
            raise MisuseError(
                f'{context.name}: "{word}" is one too many: {self.typed} is {self._value} already',
                context,
            )
        self.set_value(word)


def of_a_task(context: ParserContext | None) -> bool:
    """Say whether a task that the parser is at is one of ours."""
    return context is not None and any(isinstance(one, Flag) for one in context.args.values())


def words_of(context: ParserContext) -> Flag | None:
    """Return the flag that a task's words are meant for."""
    flags = (one for one in context.args.values() if isinstance(one, Flag))
    return next((one for one in flags if one.takes_words), None)
