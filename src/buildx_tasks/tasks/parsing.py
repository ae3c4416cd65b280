"""What invoke's parser does for our tasks beyond its own: words are targets, values are required.

invoke has no place for it, so four methods of its parser are wrapped, once. Other tasks' flags go
through them as ever: each looks first whether the flag, or the task, is ours.
"""

from __future__ import annotations

import sys
from typing import Any

from invoke import Collection, Task
from invoke.parser.parser import ParseMachine

from buildx_tasks.tasks.flags import LETTERS, Flag, MisuseError, of_a_task, words_of

# Our name of a task → the name that it has in a person's file, as in image.build.
NAMES: dict[str, str] = {}
_HAVE_LETTERS = {f"-{letter}": f"--{name}" for name, letter in LETTERS.items()}

_init = ParseMachine.__init__
_handle = ParseMachine.handle
_complete_flag = ParseMachine.complete_flag
_see_value = ParseMachine.see_value
_waiting: Any = ParseMachine.__dict__["waiting_for_flag_value"]


def install() -> None:
    """Wrap invoke's parser; a second time changes nothing."""
    for name, own in {
        "__init__": _started,
        "handle": _handled,
        "complete_flag": _completed_flag,
        "see_value": _saw_value,
        "waiting_for_flag_value": property(_waits),
    }.items():
        setattr(ParseMachine, name, own)


def _started(self: ParseMachine, *args: Any, **kwargs: Any) -> None:
    _init(self, *args, **kwargs)
    for name, context in sorted(self.contexts.items(), key=lambda item: -len(item[0])):
        for flag in context.args.values():
            if isinstance(flag, Flag):
                NAMES[flag.owner] = name  # the shortest comes last: a task can have several
    own = sys.argv[: sys.argv.index("--")] if "--" in sys.argv else sys.argv
    if "--complete" in own:
        from buildx_tasks.tasks.completion import answer

        answer(self.contexts)


def _waits(self: ParseMachine) -> bool:
    if isinstance(self.flag, Flag):
        # Twice is no mistake: the last one counts, as with most programs.
        return self.flag.takes_value and not self.flag_got_value
    return bool(_waiting.__get__(self))


def _saw_value(self: ParseMachine, value: str) -> None:
    if isinstance(self.flag, Flag):
        self.flag.check(value, self.context)
        _count(self, self.flag)
    _see_value(self, value)


def _completed_flag(self: ParseMachine) -> None:
    flag = self.flag
    if isinstance(flag, Flag) and flag.takes_value and not self.flag_got_value:
        flag.fail(f"{flag.typed} has no value", self.context)
    _complete_flag(self)


def _handled(self: ParseMachine, token: str) -> None:
    context = self.context
    strange = not of_a_task(context) or self.current_state == "unknown"
    if strange and _is_left_out(self, token):
        raise MisuseError(
            f"{token} is a task of your file, and not in its namespace; write "
            f"namespace.add_task({token}) below it",
            context,
        )
    if strange or token in context.flags or token in context.inverse_flags or _waits(self):
        _handle(self, token)
        _place(self)
    else:
        _handle_ours(self, token, context)


def _handle_ours(self: ParseMachine, token: str, context: Any) -> None:
    words = words_of(context)
    if token in self.contexts:
        if words and words.kind is list:
            words.value.next_task = token
        _handle(self, token)
        _place(self)
    elif token in _HAVE_LETTERS or (token.startswith("-") and token not in self.initial.flags):
        raise MisuseError(_unknown(token, context), context)
    elif token.startswith("-"):
        _handle(self, token)
    elif words:
        words.take_word(token, context)
        _count(self, words)
    else:
        raise MisuseError(_no_word(token, context, self.contexts), context)


def _is_left_out(machine: Any, token: str) -> bool:
    """Say whether an unknown word is a task beside the namespace, of which invoke takes nothing else."""
    unknown = not token.startswith("-") and token not in machine.contexts
    if not unknown or machine.current_state == "unknown" or not machine.contexts or _waits(machine):
        return False
    if machine.context.missing_positional_args:
        return False
    name = token.replace("-", "_")
    modules = [
        one for one in list(sys.modules.values()) if "namespace" in getattr(one, "__dict__", ())
    ]
    return any(
        isinstance(vars(one).get(name), Task) and isinstance(vars(one)["namespace"], Collection)
        for one in modules
        if not one.__name__.startswith("buildx_tasks")
    )


def _count(machine: Any, flag: Flag) -> None:
    """Note that a flag was given which holds for later tasks."""
    if flag.names[0] in LETTERS:
        machine.handed_on = getattr(machine, "handed_on", 0) + 1


def _place(machine: Any) -> None:
    """Give what a task that begins takes from the command line its place there."""
    for flag in machine.context.args.values():
        if isinstance(flag, Flag) and flag.kind is list and not flag.value:
            flag.value.place = getattr(machine, "handed_on", 0)


def _no_word(token: str, context: Any, tasks: Any) -> str:
    from buildx_tasks.errors import nearest

    hint = nearest(token, tasks) or f"; see invoke {context.name} --help"
    return f'{context.name} takes no targets, and no task is called "{token}"{hint}'


def _unknown(token: str, context: Any) -> str:
    from buildx_tasks.errors import nearest

    long = f" ({_HAVE_LETTERS[token]})" if token in _HAVE_LETTERS else ""
    hint = "" if long else nearest(token, context.flags)
    return f"{context.name} has no {token}{long}{hint or f'; see invoke {context.name} --help'}"
