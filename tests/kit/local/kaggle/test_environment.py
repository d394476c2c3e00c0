import pytest

from kit.errors import KitError
from kit.local.kaggle.environment import child_environment


def test_credentials_and_proxies_reach_the_client_and_what_misleads_it_does_not(tmp_path):
    own = {
        "KAGGLE_KEY": "k",
        "HTTPS_PROXY": "p",
        "VERBOSE": "1",
        "KAGGLE_TOKEN": "t",
        "PYTHONHOME": "/x",
        "TMP": "/y",
    }
    made = child_environment(own, scratch=tmp_path)
    assert made["TMPDIR"] == str(tmp_path)
    assert {name: made.get(name) for name in own} == {
        **dict.fromkeys(own),
        "KAGGLE_KEY": "k",
        "HTTPS_PROXY": "p",
    }


@pytest.mark.parametrize("server", ["", "PROD", "LOCALHOST", "TEST"])
def test_a_server_that_the_client_knows_stays(tmp_path, server):
    assert (
        child_environment({"KAGGLE_API_ENVIRONMENT": server}, scratch=tmp_path)["KAGGLE_API_ENVIRONMENT"]
        == server
    )


def test_another_server_is_refused_because_the_client_would_take_the_real_one(tmp_path):
    with pytest.raises(KitError, match="names no server of the client: 'STAGING'") as caught:
        child_environment({"KAGGLE_API_ENVIRONMENT": "STAGING"}, scratch=tmp_path)
    assert "PROD, LOCALHOST or TEST" in caught.value.fix
