"""The benchmarks: their smallest form, or the test that runs one."""

import re
import shlex

from benchmarks import everything
from benchmarks.options import EverythingOptions
from tests.documented.walks import Step, Walk

TINY = (
    "registry", "bundle", "budget", "dry-run",
    "slide", "published", "reading", "tissue", "rle", "fusion", "ap",
    "workers", "workers-mount", "workers-memory", "workers-decisions",
)  # fmt: skip
"""Blocks of docs/ that the walk makes again in a copy of the pages."""
BY_TEST = {
    "size": "submission/test_size.py::test_it_is_as_small_as_promised",
    "networks": "benchmarks/test_models.py::test_networks_are_measured_in_processes_of_their_own",
    "swin": "benchmarks/test_models.py::test_our_swin_is_timed_beside_mmdets",
    "detectors": "benchmarks/test_models.py::test_without_compiled_operators_the_table_says_so",
    "recipes": "benchmarks/test_models.py::test_steps_of_the_recipes_are_measured",
    "loop": "benchmarks/test_training.py::test_an_instance_network_is_trained_by_our_loop_and_by_its_peers",
    "augmentation": "benchmarks/test_inference.py::test_every_other_table_is_measured_and_kept",
    "ensemble": "benchmarks/test_ensemble.py::test_the_ensemble_step_is_measured_and_kept",
    "ensemble-detections": "benchmarks/test_ensemble.py::test_the_search_of_detections_is_measured_and_kept",
    "early-stopping": (
        "benchmarks/test_early_stopping.py::test_scores_and_costs_with_and_without_early_stopping_are_kept"
    ),
    "set-up": "benchmarks/test_set_up.py::test_wheels_of_a_mount_are_installed_and_each_part_has_its_time",
    "matrix": "kit/models/test_conformance.py::TestConformance",
}
"""Block -> the test that makes its table."""
BY_WALK = ("demo", "workers-budgets", "examples", "faults")
"""Blocks that other walks make: they need what these walks have made before."""
EACH = Walk(
    "benchmarks",
    (
        Step(
            "nox -s bench -- all --tiny --docs DIR",
            r"renewed +benchmarks\.md: workers-decisions",
            {"DIR": "copy"},
            more=("--only", *TINY),
        ),
        Step("nox -s bench -- budget --world 20 --trace", "world 20"),
        Step("nox -s bench -- budget --worlds 200", "ours", {"200": "4"}),
    ),
)


def block_of(command):
    """The block that a command of the benchmarks writes; "" of no such command.

    `nox -s bench -- workers --part memory` and `python -m benchmarks workers --part memory --tiny` write the
    block that everything.py has with this verb and part; without a part it is the verb's first one.
    """
    found = re.match(r"(?:nox -s bench --|python -m benchmarks) ([a-z].*)", command)
    if not found:
        return ""
    verb, *options = shlex.split(found[1])
    part = options[options.index("--part") + 1] if "--part" in options else ""
    if "--device" in options:
        part = "--device"
    for item in everything.figures(EverythingOptions()):
        words = item.command[2:]
        if words[0] == verb and (not part or part in words):
            return item.blocks[0]
    return ""
