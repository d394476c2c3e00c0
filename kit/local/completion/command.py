"""The verb `python -m kit completion bash|zsh|fish`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from kit.command_line import option
from kit.local.program import DONE
from kit.local.verbs import Verb


@dataclass(frozen=True, kw_only=True)
class Completion:
    """Print a script that lets a shell complete verbs, options and names of all the kit's command lines."""

    shell: Literal["bash", "zsh", "fish"] = field(metadata=option("which reads it", positional=True))


def run(options: Completion) -> int:
    """Run the verb: the script goes to stdout.

    Raises:
        KitError: a program does not tell its command line.
    """
    from kit.local.completion.shells import script
    from kit.local.completion.words import places

    print(script(options.shell, places()), end="")
    return DONE


COMPLETION = Verb(
    "completion",
    Completion,
    run,
    task="this machine",
    examples=("completion bash > kit-completion.bash && source kit-completion.bash",),
)
"""`completion bash > FILE`."""
