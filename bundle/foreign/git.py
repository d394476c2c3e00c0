"""Run git so that it never asks, never waits for ever, and says in our words what is wrong."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from kit.errors import KitError

_NOT_OURS = frozenset(
    {
        *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"),
        *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_PREFIX"),
    }
)
"""Set inside a hook of git; they would turn every command to the hook's repository."""
_SSH = "ssh -o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=15 -o ServerAliveCountMax=4"
_STALLED = ("-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=60")
"""A server that sends nothing for a minute has ended."""
# git has no machine-readable errors, and a server says 401 or 404 also for a repository that one may not see.
_NO_REPOSITORY = re.compile(
    r"does not appear to be a git repository|repository .*not found|returned error: 40[134]"
    r"|could not read Username|Authentication failed|Permission denied|does not exist|dubious ownership",
    re.IGNORECASE,
)
_OFFLINE = re.compile(
    r"Could not resolve|unable to access|Connection (refused|reset|timed out|closed)|Network is unreachable"
    r"|Operation too slow|early EOF|hung up unexpectedly|Could not read from remote|unable to connect",
    re.IGNORECASE,
)
_TAIL = 6


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run git to its end, whatever its exit code.

    Raises:
        KitError: there is no git.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    environment |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    environment.setdefault("GIT_SSH_COMMAND", _SSH)
    try:
        return subprocess.run(
            ["git", *_STALLED, *arguments],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as error:
        raise KitError(
            "git is not installed", fix="install it, or give the source as a folder or source distribution"
        ) from error


def resolve(url: str, revision: str) -> str | None:
    """Return the commit that a branch, tag or short hash means in a repository now; None if nobody can say.

    Args:
        url: of the repository.
        revision: "" for its default branch.
    """
    listed = run("ls-remote", "--", url)
    if listed.returncode:
        return None
    # 1f2e...  HEAD
    # 1f2e...  refs/heads/main
    # 77aa...  refs/tags/v1.0        an annotated tag, and below it the commit that it stands for
    # 5b3c...  refs/tags/v1.0^{}
    found = {
        name: commit for commit, _, name in (line.partition("\t") for line in listed.stdout.splitlines())
    }
    wanted = revision or "HEAD"
    for name in (f"refs/tags/{wanted}^{{}}", f"refs/tags/{wanted}", f"refs/heads/{wanted}", wanted):
        if name in found:
            return found[name]
    tags = {name.removesuffix("^{}") for name in found if name.endswith("^{}")}
    commits = {commit for name, commit in found.items() if name not in tags and commit.startswith(wanted)}
    return commits.pop() if len(commits) == 1 and len(wanted) >= 4 else None


def complaint(done: subprocess.CompletedProcess[str], url: str, where: str) -> KitError:
    """Translate what git said when it could not fetch a repository."""
    tail = "\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-_TAIL:])
    if _NO_REPOSITORY.search(tail):
        return KitError(
            f"{url} is not a git repository that you may read:\n{tail}",
            where=where,
            fix="correct the address; for a private repository set up git's credential helper or ssh agent",
        )
    if _OFFLINE.search(tail):
        return KitError(
            f"{url} cannot be reached:\n{tail}",
            where=where,
            fix="check the network and the proxy (HTTPS_PROXY), and run the command again",
        )
    return KitError(
        f"git cannot fetch {url}:\n{tail}", where=where, fix="try `git clone` of that address by hand"
    )
