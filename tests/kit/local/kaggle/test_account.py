"""Whose credentials they are, and what is wrong with them."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from kit.errors import KitError
from kit.local.kaggle.account import Account, account
from tests.kaggle_server.faults import Fault
from tests.kaggle_server.oauth import REFRESH
from tests.kaggle_server.world import World


def test_a_key_and_a_token_name_their_account(kaggle, wire):
    kaggle()
    assert account(wire()) == Account("alice", "key", "KAGGLE_KEY")
    kaggle(way="token")
    assert account(wire()) == Account("alice", "token", "KAGGLE_API_TOKEN")


def test_no_credentials_are_told_with_all_places(kaggle, wire):
    kaggle(way="none")
    with pytest.raises(KitError, match="no Kaggle credentials") as caught:
        account(wire())
    for place in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "kaggle.json", "credentials.json", "Settings"):
        assert place in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"KAGGLE_USERNAME": "alice", "KAGGLE_KEY": "wrongwrong"}, r"does not accept these.*\(401"),
        ({"KAGGLE_USERNAME": "alice", "KAGGLE_KEY": "KGAT_abcdef"}, "holds a token"),
        ({"KAGGLE_API_TOKEN": "KGAT_expired"}, "wrong or has expired"),
        ({"KAGGLE_API_TOKEN": "x" * 300}, "300 characters"),
        ({"KAGGLE_USERNAME": "alice"}, "only KAGGLE_USERNAME is set"),
    ],
)
def test_wrong_credentials_are_told_by_their_source_and_without_their_value(
    kaggle, wire, monkeypatch, variables, message
):
    kaggle(way="none")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    said = []
    with pytest.raises(KitError, match=r"(?s)" + message) as caught:
        account(wire(said.append))
    text = str(caught.value) + "".join(said)
    assert not any(value in text for name, value in variables.items() if name != "KAGGLE_USERNAME")


def log_in(home, *, expires_in, refresh=REFRESH, token=World.token):
    """Write the client's file of a login whose token ends in so many minutes."""
    value = {
        "refresh_token": refresh,
        "access_token": token,
        "access_token_expiration": (datetime.now(UTC) + timedelta(minutes=expires_in)).isoformat(),
        "username": "alice",
        "scopes": [],
    }
    (home / ".kaggle").mkdir()
    (home / ".kaggle" / "credentials.json").write_text(json.dumps(value))


@pytest.mark.parametrize("expires_in", [60, 1, -10, -60])
def test_the_token_of_a_login_is_renewed_before_it_is_used(kaggle, wire, tmp_path, expires_in):
    """The client takes it until half an hour after its end, and Kaggle answers 401 (trap 11)."""
    server = kaggle(way="none")
    log_in(tmp_path / "home", expires_in=expires_in)
    server.world.token = World.token if expires_in > 0 else "another one"
    assert account(wire()) == Account("alice", "oauth", "~/.kaggle/credentials.json")
    assert server.world.faults.count("users.GenerateAccessToken") == (expires_in < 2)


def test_a_login_that_was_revoked_says_how_to_log_in_again(kaggle, wire, tmp_path):
    kaggle(way="none")
    log_in(tmp_path / "home", expires_in=-10, refresh="revoked-0123456789", token="ended-0123456789")
    with pytest.raises(KitError, match="does not accept these credentials") as caught:
        account(wire())
    assert "kaggle auth login" in caught.value.fix
    assert "0123456789" not in str(caught.value)


def test_an_expired_token_that_hides_a_valid_key_is_told(kaggle, wire, monkeypatch):
    kaggle(token_active=False)
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_expired")
    with pytest.raises(KitError, match="hides the valid key"):
        account(wire())


def test_a_passing_fault_at_the_start_is_no_missing_token(kaggle, wire):
    kaggle(Fault("status", "security.IntrospectToken", argument=503), way="token")
    assert account(wire()).name == "alice"


def test_nothing_printed_shows_a_secret_even_when_the_user_asks_for_verbosity(kaggle, wire, monkeypatch):
    server = kaggle()
    monkeypatch.setenv("VERBOSE", "1")
    said = []
    one = wire(said.append)
    account(one)
    text = json.dumps(said) + json.dumps(one.credentials())
    assert server.world.key not in text
    assert "Basic" not in text
