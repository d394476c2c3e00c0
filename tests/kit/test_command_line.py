"""One dataclass gives the parser, the defaults and the values."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest

from kit.command_line import add_options, option, parse
from kit.errors import KitError
from kit.typed_json import Checked, at_least, below


@dataclass(frozen=True, kw_only=True)
class Machine(Checked):
    """What a program runs on."""

    device: Literal["auto", "cpu"] = field(default="auto", metadata=option("what computes"))
    threads: Annotated[int, at_least(1)] = field(default=1, metadata=option("of the CPU"))


def fraction(text):
    above, _, under = text.partition("/")
    if under == "0":
        raise KitError("nothing is divided by 0")
    return float(above) / float(under or 1)


@dataclass(frozen=True, kw_only=True)
class Predict(Checked):
    """Predict images,
    100% offline.

    Only the first paragraph is help.
    """

    images: tuple[str, ...] = field(default=(), metadata=option("their names", positional=True))
    data: Path = field(metadata=option("the folder", metavar="DIR"))
    budget: Annotated[float, below(100)] | None = field(default=None, metadata=option("seconds, 50% of it"))
    scales: tuple[float, ...] = field(default=(1.0,), metadata=option("sizes", read=fraction))
    python: tuple[str, ...] = field(default=("3.11",), metadata=option("versions", repeat=True))
    chapter: tuple[tuple[str, Path], ...] = field(
        default=(), metadata=option("parts", metavar=("NAME", "FOLDER"))
    )
    memory: float | None = field(default=None, metadata=option("GB", flag="--memory-gb"))
    view: str = field(
        default="identity", metadata=option("of the image", choices=lambda: ["identity", "flip"])
    )
    compressed: bool = field(default=True, metadata=option("write plain files"))
    json: bool = field(default=False, metadata=option("print JSON"))
    worker: int | None = field(default=None, metadata=option("its number", hidden=True))
    machine: Machine = field(default_factory=Machine)
    seen: list[str] = field(default_factory=list)

    def __post_init__(self):
        super().__post_init__()
        if self.json and self.worker is not None:
            raise KitError("a worker prints no JSON", where="--json", fix="leave it out")


@dataclass(frozen=True, kw_only=True)
class Show:
    """Show one thing."""

    what: str = field(metadata=option("its name", positional=True))
    size: int = field(default=3, metadata=option("pixels", positional=True))


def read(*arguments):
    return parse(arguments, Predict, prog="predict")


def refusal(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        read(*arguments)
    assert stop.value.code == 2
    return " ".join(capsys.readouterr().err.split())


def test_what_is_not_written_has_the_default_of_the_dataclass():
    assert read("--data", "d") == Predict(data=Path("d"))


def test_every_form_of_option_is_read():
    assert read(
        *("a", "b", "--data", "d", "--budget", "5", "--scales", "1/2", "2", "--python", "3.12"),
        *("--python", "3.13", "--chapter", "x", "y", "--chapter", "z", "w", "--memory-gb", "1.5"),
        *("--view", "flip", "--no-compressed", "--json", "--threads", "4", "--device", "cpu"),
    ) == Predict(
        images=("a", "b"),
        data=Path("d"),
        budget=5.0,
        scales=(0.5, 2.0),
        python=("3.12", "3.13"),
        chapter=(("x", Path("y")), ("z", Path("w"))),
        memory=1.5,
        view="flip",
        compressed=False,
        json=True,
        machine=Machine(threads=4, device="cpu"),
    )
    assert read("--worker", "3", "--data", "d").worker == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: --data"),
        (["--data", "d", "--budget", "soon"], "argument --budget: 'soon' is not a number"),
        (
            ["--data", "d", "--budget", "nan"],
            "argument --budget: 'nan' cannot be used: it is nan, not a finite",
        ),
        (["--data", "d", "--budget", "100"], "it is 100.0; it has to be below 100"),
        (["--data", "d", "--threads", "1.5"], "argument --threads: '1.5' is not an integer"),
        (["--data", "d", "--threads", "0"], "it has to be at least 1"),
        (
            ["--data", "d", "--scales", "1/0"],
            "argument --scales: '1/0' cannot be used: nothing is divided by 0",
        ),
        (["--data", "d", "--scales", "x"], "'x' is not a"),
        (["--data", "d", "--scales"], "expected at least one argument"),
        (["--data", "d", "--chapter", "x"], "argument --chapter: expected 2 arguments"),
        (["--data", "d", "--view", "rot90"], "invalid choice: 'rot90'"),
        (["--data", "d", "--device", "tpu"], "invalid choice: 'tpu'"),
        (["--data", "d", "--nothing"], "unrecognized arguments: --nothing"),
    ],
)
def test_what_is_wrong_is_told_by_the_parser(capsys, arguments, message):
    assert message in refusal(capsys, *arguments)


def test_a_rule_across_options_is_an_error_of_the_command():
    with pytest.raises(KitError, match="a worker prints no JSON"):
        read("--data", "d", "--json", "--worker", "1")


def test_help_tells_each_option_with_its_default(capsys):
    with pytest.raises(SystemExit) as stop:
        read("--help")
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Predict images, 100% offline." in text
    assert "Only the first" not in text
    for part in (
        "--data DIR the folder",
        "--budget BUDGET seconds, 50% of it",
        "of the CPU (default: 1)",
        "{auto,cpu} what computes (default: auto)",
        "of the image (default: identity)",
        "sizes (default: 1)",
        "versions (default: 3.11)",
        "--chapter NAME FOLDER parts",
        "--no-compressed write plain files",
    ):
        assert part in text, part
    assert "--worker" not in text
    assert "seen" not in text


@dataclass(frozen=True, kw_only=True)
class Places:
    out: Path = field(metadata=option("a folder", metavar="DIR"))
    data: tuple[tuple[str, Path], ...] = field(
        default=(), metadata=option("a name and a folder", metavar=("NAME", "DIR"))
    )


def test_a_path_that_cannot_be_looked_up_is_told_and_a_new_one_is_none(tmp_path, capsys):
    (tmp_path / "loop").symlink_to("loop")
    loop, new = str(tmp_path / "loop"), str(tmp_path / "new" / "folder")
    assert parse(["--out", new, "--data", "a", new], Places, prog="p").data == (("a", Path(new)),)
    for arguments in (["--out", loop], ["--out", "x" * 300]):
        with pytest.raises(SystemExit) as stop:
            parse(arguments, Places, prog="p")
        assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "cannot be used: Too many levels of symbolic links" in said
    assert "cannot be used: File name too long" in said
    with pytest.raises(KitError, match="Too many levels"):
        parse(["--out", new, "--data", "a", loop], Places, prog="p")


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """Look something up."""

    name: str | None = field(default=None, metadata=option("may be left out", positional=True))
    ratio: Annotated[float | None, at_least(1)] = field(default=None, metadata=option("if any"))


def test_a_positional_value_may_be_left_out_and_a_limit_may_stand_around_a_union():
    assert parse([], Lookup, prog="look") == Lookup(name=None, ratio=None)
    assert parse(["kidney", "--ratio", "2"], Lookup, prog="look") == Lookup(name="kidney", ratio=2.0)


def test_names_are_kept_for_completion_only_where_they_are_asked_for():
    @dataclass(frozen=True)
    class Fetch:
        """Fetch."""

        what: str = field(default="", metadata=option("what", names=lambda: ["a", "b"]))
        out: str = field(default="", metadata=option("where"))

    def kept(*, names):
        parser = argparse.ArgumentParser(add_help=False)
        add_options(parser, Fetch, names=names)
        return {action.dest: getattr(action, "names", None) for action in parser._actions}

    assert kept(names=True) == {"what": ["a", "b"], "out": None}
    assert kept(names=False) == {"what": None, "out": None}
