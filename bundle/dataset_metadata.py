"""`dataset-metadata.json`: what Kaggle's client wants to know of a dataset."""

from __future__ import annotations

import re
from typing import Any

from kit.errors import KitError
from kit.local.kaggle_limits import DATASET_NAME_LENGTHS, SUBTITLE_LENGTHS, TITLE_LENGTHS

NAME = "dataset-metadata.json"
OWNER_PLACEHOLDER = "owner-not-set"
"""Stands for the Kaggle account until one is given; a bundle that carries it is for rehearsals only."""

LICENCES = frozenset(
    {
        "CC0-1.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC-BY-NC-SA-4.0", "CC-BY-4.0", "CC-BY-NC-4.0",
        "GPL-2.0", "GPL-3.0", "LGPL-3.0", "AGPL-3.0", "apache-2.0", "ODbL-1.0", "DbCL-1.0", "PDDL",
        "ODC-BY-1.0", "FDL-1.3", "US-Government-Works", "copyright-authors", "other", "unknown",
    }
)  # fmt: skip
"""Licence names that Kaggle's client takes, without the CDLA licences, whose exact names are not known."""

# Words of small letters and digits, joined by single hyphens: "hubmap-kit-wheels", not "kit--wheels" or
# "-kit".
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_OWNER = re.compile(r"[A-Za-z0-9_-]+")


def describe(
    slug: str, *, owner: str, title: str, subtitle: str, licence: str, description: str
) -> dict[str, Any]:
    """Return the content of a `dataset-metadata.json` that Kaggle's client and server take.

    The server checks the slug only after the upload, so all rules are checked here.

    Args:
        slug: the dataset's name in its address.
        owner: Kaggle user name.
        title: shown on the dataset's page.
        subtitle: shown below the title.
        licence: one of `LICENCES`.
        description: Markdown.

    Raises:
        KitError: Kaggle would refuse the slug, title, subtitle, owner or licence.
    """
    if not _SLUG.fullmatch(slug) or len(slug) not in DATASET_NAME_LENGTHS:
        raise KitError(
            f"Kaggle does not take {slug!r} ({len(slug)} characters) as the name of a dataset",
            where="--prefix",
            fix="choose a prefix that gives a name of 6 to 50 characters of a-z, 0-9 and single hyphens",
        )
    if not _OWNER.fullmatch(owner):
        raise KitError(
            f"{owner!r} is not a Kaggle user name", where="--owner", fix="use the name in your profile's URL"
        )
    if len(title) not in TITLE_LENGTHS:
        raise KitError(
            f"the title {title!r} has {len(title)} characters; Kaggle takes 6 to 50",
            where="--prefix",
            fix="shorten --prefix",
        )
    if len(subtitle) not in SUBTITLE_LENGTHS:
        raise KitError(
            f"the subtitle {subtitle!r} has {len(subtitle)} characters; Kaggle takes 20 to 80",
            fix="write another subtitle in bundle/build.py",
        )
    if licence not in LICENCES:
        raise KitError(
            f"Kaggle knows no licence {licence!r}",
            where="--licence",
            fix=f"give one of {', '.join(sorted(LICENCES))}",
        )
    return {
        "id": f"{owner}/{slug}",
        "title": title,
        "subtitle": subtitle,
        "description": description,
        "licenses": [{"name": licence}],
        "keywords": [],
    }
