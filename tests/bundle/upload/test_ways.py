"""The ways to a server, all by variables that the official client honours; no host stands in our code."""

import pytest

from kit.errors import KitError
from kit.local.kaggle.outcome import Unreachable
from tests.kaggle_server.world import mounted

ID = "alice/kit-kidney-weights"


@pytest.mark.parametrize("tls", [False, True], ids=["plain proxy", "CONNECT and TLS"])
def test_a_bundle_reaches_the_server_that_the_variables_name(kaggle, send, bundle, certificates, tls):
    server = kaggle(certificates=certificates if tls else None)
    assert send()[0].version == 1
    folder = bundle / "kit-kidney-weights"
    sent = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "dataset-metadata.json"}
    assert server.world.live()[ID] == (mounted(sent), "READY", True)
    assert server.hosts == ({"api.kaggle.com:443", "storage.googleapis.com:443"} if tls else set())


@pytest.mark.parametrize("form", ["TEST", "endpoint", "endpoint with a path"])
def test_an_address_that_the_client_alone_would_pass_over_is_used(kaggle, send, monkeypatch, form):
    """The client itself would go to the real Kaggle; here its way there is one that does no TLS."""
    server = kaggle()
    address = f"http://127.0.0.1:{server.http.server_port}"
    monkeypatch.setenv("HTTPS_PROXY", address)
    if form == "TEST":
        monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "TEST")
    else:
        monkeypatch.delenv("KAGGLE_API_ENVIRONMENT")
        monkeypatch.delenv("HTTP_PROXY")
        monkeypatch.setenv("KAGGLE_API_ENDPOINT", address + ("/api/v1" if "path" in form else ""))
        server.http.base = address
    assert send()[0].version == 1
    assert server.world.live()[ID][1:] == ("READY", True)


@pytest.mark.parametrize("name", ["localhost", "QA", "LOCAL"])
def test_a_server_that_the_client_does_not_know_is_no_reason_to_go_to_the_real_one(
    kaggle, send, monkeypatch, name
):
    server = kaggle()
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", name)
    with pytest.raises(KitError, match="names no server") as caught:
        send()
    assert "LOCALHOST" in caught.value.fix
    assert server.world.faults.seen == []


def test_an_authority_that_the_client_does_not_know_is_told_at_once(kaggle, wire, certificates, monkeypatch):
    server = kaggle(certificates=certificates)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED") as caught:
        wire(outage=0.2).rpc("datasets.GetDatasetStatus", {"ownerSlug": "alice", "datasetSlug": "kit-wheels"})
    assert "REQUESTS_CA_BUNDLE" in caught.value.fix
    assert server.world.faults.seen == []
