"""Addresses without their secrets: signatures and passwords are for the server, not for messages."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import (
    HTTPBasicAuthHandler,
    HTTPPasswordMgrWithPriorAuth,
    OpenerDirector,
    build_opener,
)

_ADDRESS = re.compile(r"""(?i)\b[a-z][a-z0-9+.-]*://[^\s'"<>]+""")


def public(url: str) -> str:
    """Return an address without user name, password, query and fragment.

    >>> public("https://me:word@host:8080/net.pth?sig=abc#top")
    'https://host:8080/net.pth'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that cannot be read"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def redacted(text: str, url: str) -> str:
    """Return a message of a library without the secrets of an address, whole or in parts.

    >>> redacted("'/net.pth?sig=abc' has no answer", "https://host/net.pth?sig=abc")
    "'/net.pth?...' has no answer"
    """
    plain = _ADDRESS.sub(lambda found: public(found[0]), text)
    try:
        parts = urlsplit(url)
    except ValueError:
        return plain
    secrets = [parts.query, parts.fragment, parts.netloc.rpartition("@")[0]]
    secrets += secrets[2].split(":", 1)
    # The longest first: "me:word" before "me", so that no rest of it stays.
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        plain = plain.replace(secret, "...")
    return plain


def opener_for(url: str) -> tuple[OpenerDirector, str]:
    """Return what opens an address, and the address without user name and password.

    They go to the server in the header that HTTP has for them, and not to a server that it redirects to.
    """
    parts = urlsplit(url)
    login, at, host = parts.netloc.rpartition("@")
    if not at:
        return build_opener(), url
    plain = urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
    user, _, password = login.partition(":")
    known = HTTPPasswordMgrWithPriorAuth()
    known.add_password(None, plain, unquote(user), unquote(password), is_authenticated=True)
    return build_opener(HTTPBasicAuthHandler(known)), plain
