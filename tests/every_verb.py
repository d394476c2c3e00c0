"""All verbs of all command lines, and a driver that sends a real SIGINT when a verb begins."""

import shlex

from benchmarks.__main__ import program as benchmarks
from bundle.__main__ import program as bundle
from documents.__main__ import program as documents
from kit.local.kit_program import program as kit
from kit.local.verbs import every_verb
from kit.models.__main__ import program as models
from submission.__main__ import program as submission
from train_local.cli import program as train_local

PROGRAMS = {
    "kit": kit(),
    "kit.models": models(),
    "train_local": train_local(),
    "bundle": bundle(),
    "submission": submission(),
    "benchmarks": benchmarks([]),
    "documents": documents(),
}
VERBS = {
    f"{module} {words}": (module, verb)
    for module, program in PROGRAMS.items()
    for words, verb in every_verb(program.verbs)
}
""" "bundle wheel mmcv" -> its module, and the verb."""


def arguments_of(name, example):
    """The words after `python -m MODULE` of an example; those of `bundle wheel mmcv` begin with "mmcv"."""
    between = name.split()[1:-1]
    return [*between, *shlex.split(example.partition(" > ")[0])]


# A profile function sees each call of a Python function. At that of the verb the signal is sent to this very
# process, as a terminal does: Python raises KeyboardInterrupt within the verb.
INTERRUPT = """
import os, runpy, signal, sys

module, *sys.argv[1:] = sys.argv[1:]
parsed = []

def watch(frame, event, _):
    name = frame.f_code.co_name
    if event == "return" and name == "read_options":
        parsed.append(name)
    elif event == "call" and parsed and frame.f_back and frame.f_back.f_code.co_filename.endswith("verbs.py"):
        sys.setprofile(None)
        os.kill(os.getpid(), signal.SIGINT)

sys.setprofile(watch)
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
