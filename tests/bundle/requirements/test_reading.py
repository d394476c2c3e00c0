"""Requirements files as pip reads them, and what is said of lines that cannot be part of a bundle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from bundle.requirements.reading import parse, read, statements
from kit.errors import KitError

DIGEST = "ab" * 32


def told(wanted):
    return [(str(line.requirement), line.hashes, line.where) for line in wanted]


def test_names_pins_extras_markers_comments_and_hashes_are_read(requirements):
    path = requirements(
        "# what we import",
        "",
        "timm>=1.0,<2  # encoders",
        'scikit-learn[tests] ; python_version >= "3.12"',
        "six==1.17.0 \\",
        f"    --hash=sha256:{DIGEST} \\",
        f"    --hash sha256:{DIGEST[::-1]}",
        "Foo.Bar",
    )
    assert told(read(path).requirements) == [
        ("timm<2,>=1.0", (), "requirements.txt:3"),
        ('scikit-learn[tests]; python_version >= "3.12"', (), "requirements.txt:4"),
        ("six==1.17.0", tuple(sorted({DIGEST, DIGEST[::-1]})), "requirements.txt:5"),
        ("Foo.Bar", (), "requirements.txt:8"),
    ]
    assert read(path).requirements[3].name == "foo-bar"


@pytest.mark.parametrize(
    "line", ["-r more.txt", "-rmore.txt", "--requirement more.txt", "--requirement=more.txt"]
)
def test_a_file_that_is_named_in_it_is_read_with_its_constraints(requirements, line):
    requirements("einops", "-c bounds.txt", name="more.txt")
    requirements("einops<1", name="bounds.txt")
    wanted = read(requirements("timm", line))
    assert told(wanted.requirements) == [("timm", (), "requirements.txt:1"), ("einops", (), "more.txt:1")]
    assert told(wanted.constraints) == [("einops<1", (), "bounds.txt:1")]


def test_no_folder_of_this_machine_is_told_of(requirements, tmp_path):
    more = requirements("einops", name="more.txt")
    wanted = read(requirements(f"-r {more}", f"-r ../{tmp_path.name}/more.txt"))
    assert [line.where for line in wanted.requirements] == ["more.txt:1", "more.txt:1"]


def test_what_a_windows_editor_wrote_is_read(tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_bytes("timm\r\n# more\r\neinops\r\n".encode("utf-8-sig"))
    assert [line.name for line in read(path).requirements] == ["timm", "einops"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_what_windows_shell_writes_is_read(tmp_path, encoding):
    path = tmp_path / "requirements.txt"
    mark = "" if encoding == "utf-16" else "\ufeff"
    path.write_bytes(f"{mark}timm==1.0\r\n# für später\r\neinops\r\n".encode(encoding))
    assert [str(line.requirement) for line in read(path).requirements] == ["timm==1.0", "einops"]


@pytest.mark.parametrize("data", [b"timm\xff\n", b"\xff\xfet\x00i", b"\x89PNG\r\n\x1a\n\x00"])
def test_what_is_no_text_is_refused(tmp_path, data):
    path = tmp_path / "requirements.txt"
    path.write_bytes(data)
    with pytest.raises(KitError, match=r"the requirements file requirements\.txt cannot be read"):
        read(path)


@pytest.mark.parametrize(
    ("line", "problem", "fix"),
    [
        ("-e ./mine", "'-e ./mine' is an option of pip", "--package"),
        ("--editable=./mine", "is an option of pip", "--package"),
        ("./mine", "./mine is no name of an index", "--package"),
        ("dist/mine-1.0.tar.gz", "is no name of an index", "--package"),
        ("mine-1.0-py3-none-any.whl", "is no name of an index", "PIP_FIND_LINKS"),
        (
            "git+https://me:secret@host/repo.git@main",
            "git+https://host/repo.git@main is no name",
            "--package",
        ),
        ("mine @ https://host/mine.zip", "https://host/mine.zip is no name", "--package"),
        ("mine[extra] @ file:///mine", "file:///mine is no name", "--package"),
        ("--index-url https://host/simple", "is an option of pip", "PIP_INDEX_URL"),
        ("-f wheels", "is an option of pip", "PIP_FIND_LINKS"),
        ("--pre", "is an option of pip", "pre-release"),
        ("--no-binary :all:", "is an option of pip", "built of its sources"),
        ("--unheard-of", "is an option of pip", "only -r, -c and --hash"),
        ("timm==", "is no requirement", "timm>=1.0,<2"),
        ("timm = 1", "is no requirement", "timm>=1.0,<2"),
        ("timm --hash=md5:00", "is no sha256", "pip hash"),
        ("timm --config-settings=x=y", "is not known here", "leave it out"),
        ("-r", "-r names no file", "write the file's path"),
        ("-r nowhere.txt", "nowhere.txt cannot be read", "correct its path"),
        ("-c https://me:secret@host/c.txt", "https://host/c.txt is no file of this", "download the file"),
        ("-r requirements.txt", "requirements.txt includes itself", "take out the line"),
    ],
)
def test_a_line_that_cannot_be_part_of_a_bundle_is_named_with_what_to_do(requirements, line, problem, fix):
    with pytest.raises(KitError) as caught:
        read(requirements("# comment", line))
    assert problem in caught.value.problem
    assert "secret" not in str(caught.value)
    assert fix in caught.value.fix
    assert caught.value.where == "requirements.txt:2"


NAMES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?", fullmatch=True)
VERSIONS = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}", fullmatch=True)
SPECIFIERS = st.lists(
    st.builds(
        lambda sign, version: sign + version, st.sampled_from(["==", ">=", "<=", "!=", "<", ">"]), VERSIONS
    ),
    max_size=3,
).map(",".join)
EXTRAS = st.lists(NAMES, max_size=2).map(lambda names: f"[{','.join(names)}]" if names else "")
MARKERS = st.sampled_from(["", ' ; python_version < "3.13"', ' ; sys_platform == "linux" and extra == "a"'])
COMMENTS = st.sampled_from(["", "  # why", " # a == b", "\t#x"])


@given(st.lists(st.tuples(NAMES, EXTRAS, SPECIFIERS, MARKERS, COMMENTS), max_size=5), st.sampled_from("\n\r"))
def test_every_requirement_is_read_as_packaging_reads_it(tmp_path_factory, rows, end):
    path = tmp_path_factory.mktemp("file") / "requirements.txt"
    newline = "\n" if end == "\n" else "\r\n"
    texts = ["".join(row[:4]) for row in rows]
    path.write_bytes(newline.join(text + row[4] for text, row in zip(texts, rows, strict=True)).encode())
    found = read(path).requirements
    assert [line.requirement for line in found] == [Requirement(text) for text in texts]
    assert [line.where for line in found] == [
        f"requirements.txt:{number + 1}" for number in range(len(texts))
    ]


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=80))
def test_any_text_is_read_or_refused_with_an_error_for_people(text):
    for _, statement in statements(text):
        assert statement == statement.strip() != ""
        error = refused(statement)
        assert error is None or (error.where == "requirements.txt:1" and error.fix)


def test_an_address_needs_no_blanks_around_its_sign():
    assert "no name of an index" in str(refused("six@0"))


def refused(statement):
    """The error for a statement; None if it is a requirement, which never has an address."""
    try:
        assert parse(statement, "requirements.txt:1").requirement.url is None
    except KitError as error:
        return error
    return None


@given(st.lists(st.from_regex(r"[a-z]{1,5}(==[0-9])?", fullmatch=True), min_size=1, max_size=5), st.data())
def test_a_statement_may_go_on_in_the_next_line_anywhere(names, data):
    text = "".join(f"{name}\n" for name in names)
    places = [index for index, char in enumerate(text) if char != "\n" and index and text[index - 1] != "\n"]
    cut = data.draw(st.sampled_from(places)) if places else 0
    broken = text[:cut] + "\\\n" + text[cut:] if places else text
    assert [statement for _, statement in statements(broken)] == names
