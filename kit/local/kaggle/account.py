"""Whose account it is, by which credentials, and whether Kaggle takes them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kit.errors import KitError
from kit.local.kaggle.outcome import Refused
from kit.local.kaggle.wire import Wire

Way = Literal["token", "key", "oauth"]
_WAYS: Mapping[str, Way] = {"ACCESS_TOKEN": "token", "LEGACY_API_KEY": "key", "OAUTH": "oauth"}
_PAGE = "the page Settings of your Kaggle account, section API"
_LONGEST_TOKEN = 255


@dataclass(frozen=True)
class Account:
    """A user of Kaggle.

    Attributes:
        name: as in addresses.
        way: kind of the credentials.
        source: the variable or file they come from; never their value.
    """

    name: str
    way: Way
    source: str


def account(wire: Wire) -> Account:
    """Return the account that the client found, after Kaggle has accepted its credentials.

    Raises:
        KitError: no credentials, or wrong ones; the message says where they were looked for or come from.
    """
    environment = os.environ
    token = environment.get("KAGGLE_API_TOKEN", "")
    if len(token) > _LONGEST_TOKEN:
        # The client looks for a file of that name, and the system refuses so long a name.
        raise KitError(
            f"the token has {len(token)} characters; Kaggle's have less than {_LONGEST_TOKEN}",
            where="KAGGLE_API_TOKEN",
            fix=f"copy it again from {_PAGE}, or write it to ~/.kaggle/access_token",
        )
    if environment.get("KAGGLE_KEY", "").startswith("KGAT_"):
        raise KitError(
            "KAGGLE_KEY holds a token, which is no key",
            where="KAGGLE_KEY",
            fix="put values that begin with KGAT_ into KAGGLE_API_TOKEN and unset KAGGLE_KEY",
        )
    found = wire.credentials()
    way = _WAYS.get(found["way"])
    if way == "key" and found["token_source"]:
        # The client takes the key for itself and sends the token all the same.
        place = _source("token", found)
        raise KitError(
            "an expired or wrong token hides the valid key: the Kaggle client would send the token",
            where=place,
            fix=f"remove the token from {place}, or make a new one on {_PAGE}",
        )
    if way is None or not found["name"]:
        raise _none(found, environment)
    source = _source(way, found)
    try:
        wire.rpc("datasets.ListDatasets", {"group": "DATASET_SELECTION_GROUP_MY", "page": 1})
    except Refused as error:
        if error.status == 401:
            renewed = f"make new ones on {_PAGE}; a value KGAT_... goes into KAGGLE_API_TOKEN, not KAGGLE_KEY"
            raise KitError(
                f"Kaggle does not accept these credentials (401 {error.reason})".rstrip(),
                where=source,
                fix="log in again with `kaggle auth login`" if way == "oauth" else renewed,
            ) from None
        # Any other no is about this list; the account may still do what is asked of it later.
    return Account(found["name"], way, source)


def _source(way: Way, found: Mapping[str, str | None]) -> str:
    if way == "token":
        place = found["token_source"]
        return "~/.kaggle/access_token" if place == "access_token" else str(place)
    if way == "oauth":
        return "~/.kaggle/credentials.json"
    return "KAGGLE_KEY" if os.environ.get("KAGGLE_KEY") else str(found["config"])


def _none(found: Mapping[str, str | None], environment: Mapping[str, str]) -> KitError:
    if found["token_source"]:
        place = _source("token", found)
        return KitError(
            "Kaggle does not accept the token: it is wrong or has expired",
            where=place,
            fix=f"make a new one on {_PAGE}",
        )
    half = [name for name in ("KAGGLE_USERNAME", "KAGGLE_KEY") if environment.get(name)]
    trouble = (
        f" ({found['trouble']})" if found["trouble"] and "SystemExit" not in str(found["trouble"]) else ""
    )
    config = Path(str(found["config"]))
    return KitError(
        f"no Kaggle credentials{trouble}",
        where="KAGGLE_API_TOKEN, ~/.kaggle/access_token, KAGGLE_USERNAME with KAGGLE_KEY"
        + (f" (only {half[0]} is set)" if len(half) == 1 else "")
        + f", {config}, ~/.kaggle/credentials.json",
        fix=f"make a token on {_PAGE}, and write it to ~/.kaggle/access_token or set KAGGLE_API_TOKEN",
    )
