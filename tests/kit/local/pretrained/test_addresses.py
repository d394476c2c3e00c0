"""Signatures and passwords of an address reach its server and no message."""

from hypothesis import given
from hypothesis import strategies as st

from kit.local.pretrained.addresses import opener_for, public, redacted

WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=6, max_size=12)
UNREADABLE = "https://[half/net.pth?sig=abc"


@given(WORD, WORD, WORD, WORD)
def test_no_secret_of_an_address_is_public(user, password, query, fragment):
    url = f"https://{user}:{password}@host:80/net.pth?{query}#{fragment}"
    assert public(url) == "https://host:80/net.pth"
    told = redacted(f"{url}: no answer to '/net.pth?{query}' of {user}, {password}, {fragment}", url)
    assert not [secret for secret in (user, password, query, fragment) if secret in told]
    assert told.startswith("https://host:80/net.pth")


def test_an_address_that_cannot_be_read_is_not_shown():
    assert public(UNREADABLE) == "an address that cannot be read"
    assert redacted("no answer", UNREADABLE) == "no answer"


def test_a_login_leaves_the_address_and_goes_into_a_header():
    assert opener_for("https://host/a?b=c")[1] == "https://host/a?b=c"
    opener, plain = opener_for("https://me:p%40ss@host/a?b=c")
    assert plain == "https://host/a?b=c"
    assert any(type(handler).__name__ == "HTTPBasicAuthHandler" for handler in opener.handlers)
