"""A git repository at one commit. Branches and tags can move, so only the full hash of a commit is taken."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from bundle.foreign import git
from bundle.foreign.source import Origin, project_in, without_user
from kit.errors import KitError

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
"""SHA-1, and SHA-256 in repositories that use it."""
_SCHEMES = ("https", "http", "ssh", "git", "file")


@dataclass(frozen=True)
class Repository:
    """A git repository at one commit.

    Attributes:
        url: as git takes it.
        commit: its full hash.
        subdirectory: of the project in it; "" for the top.
        where: file and line that name it.
    """

    url: str
    commit: str
    subdirectory: str
    where: str

    @property
    def local(self) -> Path | None:
        """The folder of a `file://` repository."""
        parts = urlsplit(self.url)
        return Path(unquote(parts.path)) if parts.scheme == "file" else None

    def content(self) -> str:
        """As `Source`: the commit. A `file://` repository is looked at; others only when they are fetched."""
        if self.local is not None:
            self._check_local(self.local)
        return f"commit:{self.commit}"

    def origin(self, content: str) -> Origin:
        """As `Source`."""
        inside = f"#subdirectory={self.subdirectory}" if self.subdirectory else ""
        if self.local is not None:
            return Origin(title=f"repository {self.local.name.removesuffix('.git')}{inside}", content=content)
        address = f"git+{self.url}@{self.commit}{inside}"
        return Origin(title=address, content=content, vcs_url=address)

    def unpack(self, to: Path) -> Path:
        """As `Source`: history stays with it, because many projects take their version from its tags."""
        # Without a filter the server sends every version of every file; one that knows none sends all.
        options = ["-c", "core.autocrlf=false", "-c", "core.hooksPath=/dev/null", "--template="]
        cloned = git.run(
            "clone", "--quiet", "--no-checkout", "--filter=blob:none", *options, self.url, str(to)
        )
        if cloned.returncode:
            raise git.complaint(cloned, self.url, self.where)
        if not self._has(to):
            # No branch leads to it any more, but a server may still have it, for example of a pull request.
            git.run("fetch", "--quiet", "origin", self.commit, cwd=to)
        if not self._has(to):
            raise self._absent(to)
        done = git.run("checkout", "--quiet", "--detach", self.commit, cwd=to)
        if not done.returncode and (to / ".gitmodules").is_file():
            # git refuses submodules that are files of this machine; those of a local repository may be.
            allowed = ["-c", "protocol.file.allow=always"] if self.local is not None else []
            done = git.run(*allowed, "submodule", "update", "--quiet", "--init", "--recursive", cwd=to)
        if done.returncode:
            raise git.complaint(done, self.url, self.where)
        return project_in(to, self.subdirectory, self.where)

    def _has(self, folder: Path) -> bool:
        return git.run("cat-file", "-e", f"{self.commit}^{{commit}}", cwd=folder).returncode == 0

    def _absent(self, folder: Path) -> KitError:
        newest = git.run("rev-parse", "HEAD", cwd=folder).stdout.strip()
        known = f"; its newest commit is {newest}" if _COMMIT.fullmatch(newest) else ""
        return KitError(
            f"{self.url} has no commit {self.commit}{known}",
            where=self.where,
            fix="push that commit, or write the hash of one that is there",
        )

    def _check_local(self, folder: Path) -> None:
        top = git.run("rev-parse", "--git-dir", cwd=folder) if folder.is_dir() else None
        if top is None or top.returncode:
            raise KitError(
                f"{folder} is not a git repository",
                where=self.where,
                fix="correct the path, or write it without git+file:// to take the folder as it is",
            )
        if not self._has(folder):
            raise self._absent(folder)
        kind = git.run("cat-file", "-t", self.commit, cwd=folder).stdout.strip()
        if kind == "tag":
            commit = git.run("rev-parse", f"{self.commit}^{{commit}}", cwd=folder).stdout.strip()
            raise KitError(
                f"{self.commit} is a tag, not a commit", where=self.where, fix=f"write {commit} instead"
            )
        # Only while the pinned commit is the one that is worked on: then the changes are meant to be built.
        head = git.run("rev-parse", "HEAD", cwd=folder).stdout.strip()
        changed = git.run("status", "--porcelain", "--untracked-files=no", cwd=folder).stdout.split("\n")
        if head == self.commit and changed[0]:
            raise KitError(
                f"the repository has changes that its commit {self.commit[:12]} has not: "
                f"{', '.join(line[3:] for line in changed if line)}",
                where=self.where,
                fix="commit them and write the new hash, or give the folder itself as the source",
            )


def parse(text: str, subdirectory: str, where: str) -> Repository:
    """Read `https://host/repo.git@<commit>`, the part of a line after "git+" and before "#".

    Raises:
        KitError: another form, a password in it, or no full hash; the message says what to write.
    """
    try:
        parts = urlsplit(text)
    except ValueError:  # "https://[host/repo.git"
        parts = SplitResult("", "", "", "", "")
    if parts.scheme not in _SCHEMES or (parts.scheme == "file") == bool(parts.netloc) or not parts.path:
        raise KitError(
            f"git+{without_user(text)} is not the address of a repository",
            where=where,
            fix="write git+https://host/repo.git@<commit>, git+ssh://git@host/repo.git@<commit> "
            "or git+file:///path/to/repo@<commit>",
        )
    if parts.password or (parts.username and parts.scheme != "ssh"):
        raise KitError(
            f"there is a user name or password in the address of {parts.hostname}",
            where=where,
            fix="take it out, since this file is kept with the code; git asks its credential helper",
        )
    path, at, revision = parts.path.rpartition("@")
    if not at:
        path, revision = parts.path, ""
    url = urlunsplit(SplitResult(parts.scheme, parts.netloc, path, "", ""))
    if parts.scheme == "file":
        url = f"file://{path}"
    if _COMMIT.fullmatch(revision.lower()):
        return Repository(url, revision.lower(), subdirectory, where)
    raise _unpinned(url, revision, subdirectory, where)


def _unpinned(url: str, revision: str, subdirectory: str, where: str) -> KitError:
    """Say what to write instead of a branch, a tag, a short hash or nothing."""
    found = git.resolve(url, revision)
    inside = f"#subdirectory={subdirectory}" if subdirectory else ""
    problem = f"{revision!r} of {url} is not the full hash of a commit, and may be another one tomorrow"
    if not revision:
        problem = f"{url} is not pinned to a commit"
    if found is None:
        fix = f"write git+{url}@<the 40 digits that `git ls-remote {url}` shows>{inside}"
    else:
        fix = f"write git+{url}@{found}{inside}"
    return KitError(problem, where=where, fix=fix)
