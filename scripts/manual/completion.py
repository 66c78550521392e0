"""Completion for bash: commands, options, and values of which there is a list."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.manual.commandline import CommandLine

HEAD = """\
# Completion of {name} for bash; made by scripts/manual.
{function}() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} command='' each
    COMPREPLY=()
    for each in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case "$command $each" in
{commands}
        esac
    done
    case "$command $before" in
{values}
    esac
    case "$command" in
{words}
    esac
}}
complete -o default -F {function} {name}
"""


def completion(program: CommandLine) -> str:
    """The script; where it knows nothing, bash completes names of files."""
    lines = list(_walk(program))
    common = [option for option in program.options if option.flags]
    values, words = [], []
    for command in lines:
        path = " ".join(command.words[1:])
        options = command.options if command is program else (*command.options, *common)
        for option in options:
            if option.choices and option.flags:
                patterns = " | ".join(f"'{path} {flag}'" for flag in option.flags)
                words_of = " ".join(option.choices)
                values.append(f"    {patterns}) {_reply(words_of)}; return ;;")
        flags = [flag for option in options for flag in option.flags if flag.startswith("--")]
        known = " ".join([*(each.words[-1] for each in command.commands), *flags])
        words.append(f"    '{path}') {_reply(known)} ;;")
    return HEAD.format(
        name=program.name,
        function=f"_{program.name.replace('-', '_')}",
        commands="\n".join(
            f"        '{' '.join(each.words[1:-1])} {each.words[-1]}') "
            f"command='{' '.join(each.words[1:])}' ;;"
            for each in lines[1:]
        ),
        values="\n".join(values) or "    '') ;;",
        words="\n".join(words),
    )


def _reply(words: str) -> str:
    return f"mapfile -t COMPREPLY < <(compgen -W '{words}' -- \"$word\")"


def _walk(command: CommandLine) -> Iterator[CommandLine]:
    yield command
    for below in command.commands:
        yield from _walk(below)
