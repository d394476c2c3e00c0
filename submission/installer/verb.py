"""`python -m submission installer`: render install.py for a bundle of wheels."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from kit.command_line import option
from kit.local.verbs import Verb


@dataclass(frozen=True, kw_only=True)
class Options:
    """Write install.py and install.ipynb for a bundle of wheels alone.

    Attributes:
        bundle: folder that `bundle wheels` has made.
        out: path of install.py; None: in that folder.
    """

    bundle: Path = field(
        default=Path("dist/wheels"), metadata=option("folder that `bundle wheels` made", metavar="DIR")
    )
    out: Path | None = field(
        default=None, metadata=option("path of install.py (default: in the bundle)", metavar="FILE")
    )


def run(options: Options) -> int:
    """Run the verb `installer`: write the files and print what they are as JSON."""
    from submission.installer.render import NAME, render

    done = render(options.bundle, options.out or options.bundle / NAME)
    facts = {"script": str(done.script), "bytes": done.size, "sha256": done.sha256, "modules": done.modules}
    print(json.dumps({**facts, "notebook": str(done.notebook)}))
    return 0


VERB = Verb(
    "installer",
    Options,
    run,
    "on this machine",
    ("installer --bundle dist/wheels",),
    "the install.py of before is unchanged",
)
"""`installer [--bundle DIR] [--out FILE]`."""
