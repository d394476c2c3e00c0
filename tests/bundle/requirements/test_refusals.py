"""Releases that uv chose and pip refuses, as one error."""

from bundle.pip_download import NoWheelError
from bundle.requirements.refusals import refused
from kit.local import targets

OLD, NEW = targets.known()[:2]


def lacking(name, target, *, refuses="", others=()):
    return NoWheelError(
        "no wheel", fix="none", name=name, version="2.0", target=target, refuses=refuses, others=others
    )


def test_a_refusal_names_the_images_the_reason_and_each_way_out():
    error = refused([lacking("tool", NEW, refuses="<3.13", others=("1.0", "0.9"))], [OLD.name, NEW.name])
    assert error.problem == (
        f"pip refuses what uv chose: tool 2.0 has no wheel for {NEW.name} (its Requires-Python is '<3.13'); "
        f"it works on {OLD.name}"
    )
    line = f'tool==1.0 ; python_version == "{NEW.minor}"'
    assert error.fix == (
        f"add the newest that fits to the file, {line!r}; or leave out the images without it: "
        f"--target {OLD.name}; or ask for another release"
    )


def test_of_what_works_nowhere_only_another_release_helps():
    error = refused([lacking("tool", OLD), lacking("tool", NEW)], [OLD.name, NEW.name])
    assert error.problem == f"pip refuses what uv chose: tool 2.0 has no wheel for {OLD.name}, {NEW.name}"
    assert error.fix == "ask for another release"
