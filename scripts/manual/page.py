"""A manual page, man(7), of a program and its commands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from scripts.manual.commandline import CommandLine, Option

HEADING = re.compile(r"^([a-z][a-z ]*):(.*)$")
"""``exit codes: 0 done, …`` and ``examples:`` in an epilog."""

SIGNS = str.maketrans(
    {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti", "…": "..."}
)
"""troff shows others in their place (groff_char(7)): a hyphen that no terminal takes, for one."""


def page(program: CommandLine, *, version: str, date_unix_s: int, files: Mapping[str, str]) -> str:
    """Renders the page.

    Args:
        program: to be described.
        version: of the software.
        date_unix_s: shown at the bottom of the page.
        files: what the program reads and writes: path and explanation.
    """
    date = datetime.fromtimestamp(date_unix_s, UTC).strftime("%Y-%m-%d")
    name = program.name
    others = [each for each in ("sitewatch", "sitewatch-update") if each != name]
    lines = [
        f'.TH {name.upper()} 1 "{date}" "Sitewatch {version}"',
        ".ad l",  # no blanks to fill a line: a command is copied from here
        ".SH NAME",
        rf"{escape(name)} \- {escape(_clause(program.text))}",
        ".SH SYNOPSIS",
        *_synopsis(program, r"\fICOMMAND\fR ..."),
        ".SH DESCRIPTION",
        *_paragraphs(program.description),
        ".SH OPTIONS",
        *_options(program),
        ".SH COMMANDS",
        *(line for command in program.commands for line in _command(command)),
        *_epilog(program.epilog, ".SH"),
        ".SH FILES",
        *(line for path, text in files.items() for line in _item(_bold(path), text)),
        ".SH SEE ALSO",
        *(rf"{_bold(each)}(1)" for each in others),
    ]
    return "\n".join(lines) + "\n"


def _command(command: CommandLine) -> Iterator[str]:
    if command.commands:
        for each in command.commands:
            yield from _command(each)
        return
    yield f".SS {escape(' '.join(command.words[1:]))}"
    yield from _synopsis(command)
    yield from _paragraphs(command.description or _sentence(command.text))
    yield from _options(command)
    yield from _epilog(command.epilog, "")


def _synopsis(command: CommandLine, last: str = "") -> Iterator[str]:
    yield ".HP"
    yield ".nh"
    parts = [_bold(command.name)]
    for option in command.options:
        if option.flags:
            shown = rf"{_bold(option.flags[0])} {_italic(option.value)}".rstrip()
            parts.append(shown if option.required else f"[{shown}]")
    parts += [_italic(option.value) for option in command.options if not option.flags]
    yield " ".join([*parts, *filter(None, [last])])
    yield ".hy"


def _options(command: CommandLine) -> Iterator[str]:
    for option in command.options:
        yield from _item(_option(option), option.text)


def _option(option: Option) -> str:
    if not option.flags:
        return _italic(option.value)
    flags = ", ".join(_bold(flag) for flag in option.flags)
    return f"{flags} {_italic(option.value)}" if option.value else flags


def _item(term: str, text: str) -> Iterator[str]:
    yield ".TP"
    yield term
    yield escape(" ".join(text.split()))


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        yield ".PP"
        if re.search(r"^  ", paragraph, re.MULTILINE):  # set by hand: a table
            yield from _verbatim(paragraph.splitlines())
        else:
            yield escape(" ".join(paragraph.split()))


def _epilog(text: str, section: str) -> Iterator[str]:
    """Its blocks: prose, and tables and examples whose lines are kept."""
    for block in filter(None, text.split("\n\n")):
        first, *rest = block.splitlines()
        heading = HEADING.match(first)
        if heading is None:
            yield from _paragraphs(block)
            continue
        title, beside = heading.groups()
        yield f"{section} {escape(title.upper())}" if section else f".PP\n{_bold(title)}:"
        if beside.strip():
            yield escape(" ".join([beside, *rest]).strip())
        else:
            yield from _verbatim(rest)


def _verbatim(lines: list[str]) -> Iterator[str]:
    yield ".RS 2"
    yield ".nf"
    yield from (escape(line.removeprefix("  ")) or r"\&" for line in lines)
    yield ".fi"
    yield ".RE"


def escape(text: str) -> str:
    """Text that troff prints as it is: each sign as in a terminal, no line taken for a request."""
    escaped = text.translate(SIGNS)
    return rf"\&{escaped}" if escaped.startswith(".") else escaped


def _bold(text: str) -> str:
    return rf"\fB{escape(text)}\fR"


def _italic(text: str) -> str:
    # A long list of choices may go on in the next line.
    return rf"\fI{escape(text)}\fR".replace(",", r",\:") if text else ""


def _clause(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
