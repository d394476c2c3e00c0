"""Which lines of foreign.in name a source, and what is said of the others."""

import tarfile

import pytest

from bundle.foreign import lines
from bundle.foreign.folder import Folder
from bundle.foreign.repository import Repository
from bundle.foreign.sdist_file import Sdist
from kit.errors import KitError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_folders_source_distributions_and_commits_are_read_with_comments_between(project, listed, tmp_path):
    (tmp_path / "dist").mkdir()
    with tarfile.open(tmp_path / "dist" / "foo-1.2.tar.gz", "w:gz") as tar:
        tar.add(project, "foo-1.2")
    path = listed(
        "# ours",
        "",
        "./my_models  # the networks",
        "dist/foo-1.2.tar.gz#subdirectory=python",
        f"git+https://host/team/repo.git@{COMMIT.upper()}#subdirectory=a/b",
        f"git+ssh://git@host/team/repo.git@{COMMIT}",
    )
    assert lines.read(path) == [
        Folder(project, "", f"{path}:3"),
        Sdist(tmp_path / "dist" / "foo-1.2.tar.gz", "python", f"{path}:4"),
        Repository("https://host/team/repo.git", COMMIT, "a/b", f"{path}:5"),
        Repository("ssh://git@host/team/repo.git", COMMIT, "", f"{path}:6"),
    ]


def test_a_list_that_an_editor_of_windows_wrote_is_read(project, tmp_path):
    path = tmp_path / "foreign.in"
    path.write_bytes("./my_models\r\n# more\r\n".encode("utf-8-sig"))
    assert lines.read(path) == [Folder(project, "", f"{path}:1")]


@pytest.mark.parametrize(
    ("line", "told", "advice"),
    [
        ("absent/folder>", "absent/folder> is not there", "correct the path"),
        ("timm==1.0", "if it is the name of a package, an index has it", "requirements.in"),
        (
            f"x @ git+https://secret@h/r@{COMMIT}",
            "begins with a name",
            f"write git+https://h/r@{COMMIT} alone",
        ),
        ("https://secret@h/r.git", "neither a path nor a git+ address", "write git+https://h/r.git"),
        ("-e ./my_models", "is an option of pip", "the source alone"),
        (f"x @ git+https://h/r@{COMMIT}", "begins with a name", f"write git+https://h/r@{COMMIT} alone"),
        ("./my_models#egg=x", "#egg=x says nothing here", "only #subdirectory="),
        (
            "./my_models#subdirectory=../x",
            "'../x' is not a folder inside the source",
            "from the source's top",
        ),
        ("./my_models#subdirectory=", "'' is not a folder inside the source", "from the source's top"),
        ("https://host/repo.git", "neither a path nor a git+ address", "write git+https://host/repo.git"),
        ("https://host/x-1.tar.gz", "neither a path nor a git+ address", "download the file"),
        ("foreign.in", "neither a folder nor a source distribution", "the sources it was made of"),
        (f"git+git@host:team/repo.git@{COMMIT}", "is not the address of a repository", "git+ssh://git@host/"),
        (f"git+https://[host/r.git@{COMMIT}", "is not the address of a repository", "git+ssh://git@host/"),
        (f"git+ftp://me:secret@host/r.git@{COMMIT}", "git+ftp://host/r.git@", "git+ssh://git@host/"),
        ("~nobody-of-this-name/x", "is in the home of nobody", "correct it"),
        (f"git+file://repo@{COMMIT}", "is not the address of a repository", "git+file:///path/to/repo@"),
        (
            f"git+https://me:secret@host/r@{COMMIT}",
            "user name or password in the address of host",
            "take it out",
        ),
        (
            f"git+https://secret@host/r@{COMMIT}",
            "user name or password in the address of host",
            "take it out",
        ),
    ],
)
def test_a_line_that_names_no_source_is_told_with_its_number(project, listed, line, told, advice):
    path = listed("# first", line)
    with pytest.raises(KitError) as refused:
        lines.read(path)
    assert told in refused.value.problem
    assert advice in refused.value.fix
    assert refused.value.where == f"{path}:2"
    assert "secret" not in str(refused.value)


def test_a_list_that_is_not_there_is_named(tmp_path):
    with pytest.raises(KitError, match="the list of foreign sources cannot be read"):
        lines.read(tmp_path / "foreign.in")
