"""The scripts that a shell reads. They hold all words, so completing starts no Python."""

from __future__ import annotations

from collections.abc import Sequence

from kit.local.completion.words import PROGRAMS, Option, Place

COMMANDS = ("python", "python3", "python3.11", "python3.12", "python3.13")
_HEAD = (
    "# Made by `python -m kit completion {shell}`; make it again when recipes, targets or options change.\n"
)
# Bash hands over the words of the line (COMP_WORDS) and the number of the one that is completed. The first
# loop finds "-m PROGRAM"; the second one takes verbs as long as they are known:
#     python -m bundle wheel mmcv --cache x   ->   path "bundle wheel mmcv"
# An empty answer lets bash complete files. `complete` knows one function for a command, so one that was there
# before is called for every other use of Python.
_BASH = r"""
_kit_words() {
    case "$1" in
@WORDS@
    esac
}
_kit_options() {
    case "$1" in
@OPTIONS@
    *) return 1 ;;
    esac
}
_kit_values() {
    case "$1" in
@VALUES@
    *) return 1 ;;
    esac
}
_kit_complete() {
    [ -n "${ZSH_VERSION-}" ] && setopt localoptions ksharrays shwordsplit
    local at=1 path="" word current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}"
    COMPREPLY=()
    while [ $at -lt $COMP_CWORD ]; do
        if [ "${COMP_WORDS[at]}" = "-m" ]; then
            case " @PROGRAMS@ " in
            *" ${COMP_WORDS[at+1]} "*) [ $((at + 1)) -lt $COMP_CWORD ] && path="${COMP_WORDS[at+1]}" ;;
            esac
            break
        fi
        at=$((at + 1))
    done
    if [ -z "$path" ]; then
        if [ "$previous" = "-m" ]; then
            COMPREPLY=( $(compgen -W "@PROGRAMS@" -- "$current") )
        elif [ -n "${_kit_before-}" ]; then
            "$_kit_before" "$@"
        fi
        return 0
    fi
    at=$((at + 2))
    while [ $at -lt $COMP_CWORD ]; do
        word="${COMP_WORDS[at]}"
        case " $(_kit_words "$path") " in
        *" $word "*) _kit_options "$path $word" >/dev/null && path="$path $word" ;;
        *) break ;;
        esac
        at=$((at + 1))
    done
    case "$current" in
    -*) COMPREPLY=( $(compgen -W "$(_kit_options "$path")" -- "$current") ); return 0 ;;
    esac
    case "$previous" in
    --*) if word="$(_kit_values "$path $previous")"; then
            COMPREPLY=( $(compgen -W "$word" -- "$current") )
            return 0
        fi ;;
    esac
    COMPREPLY=( $(compgen -W "$(_kit_words "$path")" -- "$current") )
}
"""
_BASH_END = r"""
_kit_before="$(complete -p python 2>/dev/null | sed -n 's/.*-F \([^ ]*\).*/\1/p')"
[ "$_kit_before" = "_kit_complete" ] && _kit_before=""
complete -o default -o bashdefault -F _kit_complete @COMMANDS@
"""
_ZSH_END = r"""
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
autoload -Uz bashcompinit && bashcompinit
_kit_before=""
complete -o default -o bashdefault -F _kit_complete @COMMANDS@
"""
_FISH = r"""
# Whether the words before the cursor name this program and these verbs, and no further verb.
function __kit_at
    set -l words (commandline -opc)
    set -l at (contains -i -- -m $words); or return 1
    set -e words[1..$at]
    set -l wanted (string split " " -- $argv[1])
    set -l many (count $wanted)
    test (count $words) -ge $many; or return 1
    test "$words[1..$many]" = "$wanted"; or return 1
    test (count $words) -eq $many; and return 0
    set -l next (math $many + 1)
    set -l verbs $argv
    set -e verbs[1]
    not contains -- $words[$next] $verbs
end
function __kit_program
    set -l words (commandline -opc)
    test "$words[-1]" = -m
end
"""


def script(shell: str, places: Sequence[Place]) -> str:
    """Return the completion of one shell.

    Args:
        shell: "bash", "zsh" or "fish".
        places: as `words.places` returns them.
    """
    head = _HEAD.format(shell=shell)
    if shell == "fish":
        return head + _FISH + "\n".join(_fish(places)) + "\n"
    return head + _filled(_BASH + (_BASH_END if shell == "bash" else _ZSH_END), places)


def _filled(text: str, places: Sequence[Place]) -> str:
    def case(path: str, words: Sequence[str]) -> str:
        return f'    "{path}") echo "{" ".join(words)}" ;;'

    values = [
        # A switch has no case: what follows it is the next word of the line.
        case(f"{place.path} {flag}", option.values)
        for place in places
        for option in place.options
        if option.values is not None
        for flag in option.flags
    ]
    parts = {
        "@WORDS@": [case(place.path, place.words) for place in places],
        "@OPTIONS@": [
            case(place.path, [flag for option in place.options for flag in option.flags]) for place in places
        ],
        "@VALUES@": values,
        "@PROGRAMS@": [" ".join(PROGRAMS)],
        "@COMMANDS@": [" ".join(COMMANDS)],
    }
    for mark, lines in parts.items():
        text = text.replace(mark, "\n".join(lines))
    return text


def _fish(places: Sequence[Place]) -> list[str]:
    first, *others = COMMANDS
    # Fish loads the rules of a command once, so the other names of Python follow those of the first.
    lines = [f"complete -c {other} -w {first}" for other in others]
    lines.append(f"complete -c {first} -n __kit_program -f -a {_quoted(' '.join(PROGRAMS))}")
    for place in places:
        verbs = [word for word in place.words if word in place.helps]
        where = f"complete -c {first} -n {_quoted(' '.join(['__kit_at', _quoted(place.path), *verbs]))}"
        # A verb or a recipe is no file (-f); a competition may be one.
        lines += [
            f"{where}{'' if place.files and word not in place.helps else ' -f'} -a {word} "
            f"-d {_quoted(place.helps.get(word, ''))}"
            for word in place.words
        ]
        lines += [f"{where} {_fish_option(option)}" for option in place.options]
    return lines


def _fish_option(option: Option) -> str:
    flags = [f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags]
    needs = [] if option.values is None else ["-r"]
    known = ["-a", _quoted(" ".join(option.values))] if option.values else []
    return " ".join([*flags, *needs, *known, "-d", _quoted(option.help)])


def _quoted(text: str) -> str:
    """A word of fish: in single quotes only the quote and the backslash mean something."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", " ") + "'"
