"""A commit of a git repository, with real repositories of this machine."""

import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from bundle.foreign import repository
from kit.errors import KitError
from tests.bundle.foreign_projects import git, write_project


def source(folder, revision, subdirectory=""):
    return repository.parse(f"file://{folder}@{revision}", subdirectory, "foreign.in:1")


def head(folder):
    return git(folder, "rev-parse", "HEAD")


def commit_all(folder, words):
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", words)
    return head(folder)


def test_exactly_that_commit_is_taken_though_the_branch_went_on(repo, tmp_path):
    first = head(repo)
    (repo / "src" / "my_models" / "__init__.py").write_text("NAME = 2\n")
    commit_all(repo, "second")
    taken = source(repo, first)
    assert taken.content() == f"commit:{first}"
    found = taken.unpack(tmp_path / "to")
    assert (found / "src" / "my_models" / "__init__.py").read_text() == "NAME = 1\n"
    assert git(found, "describe", "--tags") == "v1.0", "backends take versions from tags"
    origin = taken.origin(taken.content())
    assert (origin.text, origin.vcs_url) == (f"repository repo commit:{first}", None)


def test_an_address_that_others_can_fetch_is_its_own_origin():
    commit = "a" * 40
    taken = repository.parse(f"https://host/r.git@{commit}", "python", "x")
    origin = taken.origin(taken.content())
    assert origin.text == origin.vcs_url == f"git+https://host/r.git@{commit}#subdirectory=python"


def test_a_commit_that_no_branch_leads_to_is_fetched_all_the_same(repo, tmp_path):
    (repo / "new.txt").touch()
    alone = commit_all(repo, "on its own")
    git(repo, "reset", "--quiet", "--hard", "HEAD~1")
    assert (source(repo, alone).unpack(tmp_path / "to") / "new.txt").exists()


def test_a_bare_repository_and_a_folder_in_it(repo, tmp_path):
    write_project(repo / "python" / "inner", "inner")
    commit = commit_all(repo, "one more project")
    git(tmp_path, "clone", "--quiet", "--bare", str(repo), "bare.git")
    taken = source(tmp_path / "bare.git", commit, "python/inner")
    assert taken.unpack(tmp_path / "to") == tmp_path / "to" / "python" / "inner"
    assert taken.origin(taken.content()).title == "repository bare#subdirectory=python/inner"


def test_submodules_come_along(repo, tmp_path):
    write_project(tmp_path / "part", "part")
    git(tmp_path / "part", "init", "--quiet")
    commit_all(tmp_path / "part", "part")
    add = ("-c", "protocol.file.allow=always", "submodule", "add", "--quiet")
    git(repo, *add, f"file://{tmp_path / 'part'}", "third_party/part")
    commit = commit_all(repo, "with a part")
    found = source(repo, commit).unpack(tmp_path / "to")
    assert (found / "third_party" / "part" / "pyproject.toml").is_file()


@pytest.mark.parametrize("revision", ["main", "v1.0", "HEAD", "short", ""])
def test_what_can_move_is_refused_with_the_commit_it_means_now(repo, revision):
    commit = head(repo)
    written = commit[:9] if revision == "short" else revision
    with pytest.raises(KitError) as refused:
        source(repo, written) if revision else unpinned(repo)
    assert f"write git+file://{repo}@{commit}" in refused.value.fix
    assert ("is not pinned" if not revision else "may be another one tomorrow") in refused.value.problem


def unpinned(folder):
    return repository.parse(f"file://{folder}", "", "foreign.in:1")


def test_the_advice_keeps_the_subdirectory_and_says_how_to_ask_where_nobody_answers(repo, tmp_path):
    with pytest.raises(KitError, match=r"#subdirectory=a") as refused:
        source(repo, "main", "a")
    with pytest.raises(KitError) as refused:
        source(tmp_path / "absent", "main")
    assert "`git ls-remote file://" in refused.value.fix


def test_a_commit_that_is_not_there_is_told_with_the_newest(repo, tmp_path):
    with pytest.raises(KitError, match="has no commit " + "0" * 40) as refused:
        source(repo, "0" * 40).content()
    assert head(repo) in refused.value.problem


def test_the_hash_of_a_tag_is_refused_with_its_commit(repo):
    tag = git(repo, "rev-parse", "v1.0")
    with pytest.raises(KitError, match=f"{tag} is a tag, not a commit") as refused:
        source(repo, tag).content()
    assert refused.value.fix == f"write {head(repo)} instead"


def test_changes_that_the_pinned_commit_has_not_are_refused_while_it_is_checked_out(repo):
    first = head(repo)
    (repo / "untracked.txt").touch()
    assert source(repo, first).content()
    (repo / "backend.py").write_text("changed")
    with pytest.raises(KitError, match=r"has changes that its commit .* has not: backend\.py"):
        source(repo, first).content()
    commit_all(repo, "second")
    (repo / "backend.py").write_text("changed again")
    assert source(repo, first).content(), "an older commit is meant as it is"


@pytest.mark.parametrize("name", ["my_models", "absent"])
def test_what_is_no_repository_is_refused(project, tmp_path, name, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    with pytest.raises(KitError, match=f"{name} is not a git repository") as refused:
        source(tmp_path / name, "0" * 40).content()
    assert "without git+file://" in refused.value.fix


def test_a_server_that_does_not_answer_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # bound, but it does not listen
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/r.git"
        with pytest.raises(KitError, match="cannot be reached") as refused:
            repository.parse(f"{address}@{'0' * 40}", "", "foreign.in:1").unpack(tmp_path / "to")
    assert "check the network" in refused.value.fix


def test_a_server_without_that_repository_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), NotFound) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/r.git"
        with pytest.raises(KitError, match="is not a git repository that you may read"):
            repository.parse(f"{address}@{'0' * 40}", "", "foreign.in:1").unpack(tmp_path / "to")
        server.shutdown()


class NotFound(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(404)

    def log_message(self, *_):
        pass


def test_a_hook_of_git_may_run_the_command(repo, tmp_path, monkeypatch):
    commit = head(repo)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "of the hook"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index of the hook"))
    taken = source(repo, commit)
    assert taken.content() == f"commit:{commit}"
    assert (taken.unpack(tmp_path / "to") / "pyproject.toml").is_file()


def test_without_git_it_says_so(repo, monkeypatch):
    commit = head(repo)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(KitError, match="git is not installed"):
        source(repo, commit).content()
