"""What there is to say of a command line, taken from its argparse parser.

argparse has no public way to ask a parser for its arguments, so its private names are used, which
have been the same since Python 3.2. A test compares what is found with ``--help``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Option:
    """An option or a positional argument.

    Attributes:
        flags: ``("--json",)``; empty for a positional argument.
        value: what stands for its value in the usage, ``FILE``; "" where it takes none.
        text: what it does.
        choices: its values, if there is a list of them.
        required: whether it must be given.
    """

    flags: tuple[str, ...]
    value: str
    text: str
    choices: tuple[str, ...]
    required: bool


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A program, or one of its commands.

    Attributes:
        words: the program's name and those of the commands below it.
        text: one clause.
        description: whole sentences; paragraphs are kept.
        options: its own, without those that the program has on every command.
        epilog: exit codes and examples, set by hand.
        commands: below it.
    """

    words: tuple[str, ...]
    text: str
    description: str
    options: tuple[Option, ...]
    epilog: str
    commands: tuple[CommandLine, ...]

    @property
    def name(self) -> str:
        """``sitewatch captures list``."""
        return " ".join(self.words)


def read(
    parser: argparse.ArgumentParser, text: str = "", common: frozenset[Option] = frozenset()
) -> CommandLine:
    """Takes a parser apart.

    Args:
        parser: of a program or a command.
        text: one clause on it; "" takes its description.
        common: options told with the program already.
    """
    own = tuple(option for option in _options(parser) if option not in common)
    return CommandLine(
        words=tuple(parser.prog.split()),
        text=text or (parser.description or ""),
        description=(parser.description or "").strip(),
        options=own,
        epilog=(parser.epilog or "").strip("\n"),
        commands=tuple(_commands(parser, common.union(own))),
    )


def _commands(parser: argparse.ArgumentParser, common: frozenset[Option]) -> Iterator[CommandLine]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            texts = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, below in action.choices.items():
                yield read(below, texts.get(name, ""), common)


def _options(parser: argparse.ArgumentParser) -> Iterator[Option]:
    formatter = parser._get_formatter()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            continue
        # The formatter knows how often a value may come: FILE, [FILE], FILE [FILE ...].
        name = action.dest.upper() if action.option_strings else action.dest
        yield Option(
            flags=tuple(action.option_strings),
            value="" if action.nargs == 0 else formatter._format_args(action, name),
            text=formatter._expand_help(action) if action.help else "",
            choices=tuple(str(choice) for choice in action.choices or ()),
            required=action.required,
        )
