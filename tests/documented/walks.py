"""Walks: documented commands that run one after another in one copy of the repository.

A step is a command exactly as a page has it. Where the page's words stand for others (DIR, `/data/...`), the
step says what is put in their place; where a command would take hours or more than this machine has, it says
which words are added. Each step says what the command has to print. Steps that come to the same words are one
run: `rehearse -- COMPETITION --data DIR` and `rehearse -- kidney --data DIR`.
"""

import json
import re
import shlex
import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import pairwise

from tests.documented import tree
from tests.once import once

_LACKS = "The walk finds no"


@dataclass(frozen=True)
class Step:
    """One documented command.

    Attributes:
        command: as in the document.
        says: regular expression that its output has to match.
        instead: words of the command -> what stands for them here; "--out DIR" is the DIR after --out alone.
            "$NAME" stands for a variable of the walk.
        more: words added at the end.
        code: exit code.
        with_service: it runs with the variables of the walk's service.
        wrote: a file and a regular expression that its text has to match; () if the output says enough.
    """

    command: str
    says: str
    instead: dict = field(default_factory=dict)
    more: tuple = ()
    code: int = 0
    with_service: bool = False
    wrote: tuple = ()

    def words(self, variables=None):
        """The words that run."""
        typed = shlex.split(self.command)
        words = [part for pair in pairwise(["", *typed]) for part in self.replaced(*pair)]
        dashes = ["--"] if self.more and words[0] == "nox" and "--" not in words else []
        named = {f"${name}": value for name, value in (variables or {}).items()}
        return [named.get(word, word) for word in (*words, *dashes, *self.more)]

    def replaced(self, before, word):
        """What stands for one word: one, several or none."""
        new = self.instead.get(f"{before} {word}", self.instead.get(word, word))
        return [new] if isinstance(new, str) else list(new)


@dataclass(frozen=True)
class Walk:
    """Steps, and functions of the copy's folder that prepare what the next step needs.

    Attributes:
        name: of the walk.
        parts: `Step` or function, in order.
        service: returns what steps need while they run, such as a loopback Kaggle, as a context manager that
            yields variables of the environment.
    """

    name: str
    parts: tuple
    service: Callable = lambda _: nullcontext({})

    def steps(self):
        """The steps without the preparations."""
        return [part for part in self.parts if isinstance(part, Step)]


def walk(made, folder):
    """Take all steps of a walk in a copy; what they print is kept, whatever their exit codes are."""
    copy = folder / "kit"
    copy.mkdir()
    tree.make_tree(copy)
    with made.service(folder) as variables:
        _take(made, copy, folder, variables)


def _take(made, copy, folder, variables):
    found, known = [], {}
    for part in made.parts:
        if not isinstance(part, Step):
            part(copy)
            continue
        began, words = time.monotonic(), part.words(variables)
        ended = known.get((*words, part.with_service))
        if ended is None:
            ended = tree.run(copy, words, **(variables if part.with_service else {}))
            known[*words, part.with_service] = ended
        told = ended.err + _lacking(copy, *part.wrote)
        found.append([ended.code, ended.out, told, time.monotonic() - began])
        (folder / "ended.json").write_text(json.dumps(found))


def _lacking(copy, name="", text=""):
    """What a file should hold and does not: it is looked at before the next step writes it again."""
    if not name or re.search(text, (copy / name).read_text()):
        return ""
    return f"\n{_LACKS} {text!r}: {name}\n"


def walked(factory, made):
    """Return the copy of a walk that was taken once for all processes, and how each step ended."""
    folder = once(factory, f"walk-{made.name}", lambda folder: walk(made, folder))
    ends = json.loads((folder / "ended.json").read_text())
    return folder / "kit", [tree.Ended(*end[:3]) for end in ends]


def check(step, ended):
    """Fail if a step did not end as it says."""
    told = f"{shlex.join(step.words())}\n{ended.out[-4000:]}\n{ended.err[-6000:]}"
    assert ended.code == step.code, told
    assert _LACKS not in ended.err, told
    assert re.search(step.says, ended.out + ended.err, re.DOTALL), f"no {step.says!r} in\n{told}"


def copied(source, target):
    """Return a preparation that copies a file or folder within the copy of the repository."""

    def copy(kit):
        (kit / target).parent.mkdir(parents=True, exist_ok=True)
        if (kit / source).is_dir():
            shutil.copytree(kit / source, kit / target, dirs_exist_ok=True)
        else:
            shutil.copy2(kit / source, kit / target)

    return copy
