"""Weights as a Kaggle model against the loopback Kaggle: versions, faults, and what a kernel attaches."""

from dataclasses import replace

import pytest

from bundle.upload.model_destination import ModelDestination
from bundle.upload.verify import wait_ready
from kit import manifest
from kit.errors import BAD_INPUT, KitError
from kit.local.kaggle import state as states
from kit.local.kaggle.wire import Wire
from kit.local.program import run_cli
from submission.submit.sources import Source, require_current
from tests.bundle.upload.conftest import make_dataset
from tests.kaggle_server.faults import Fault
from tests.kaggle_server.models import Model, live_models, models
from tests.kaggle_server.world import mounted

MODEL = "alice/kit-kidney-weights"
ID = f"{MODEL}/pyTorch/default"
CREATE, VERSION = "models.CreateModelInstance", "models.CreateModelInstanceVersion"


@pytest.fixture
def send_model(send):
    def run(**options):
        return send(**{"kind": "model", "model_licence": "MIT"} | options)

    return run


def assert_published(server, bundle, *, versions=1):
    folder = bundle / "kit-kidney-weights"
    files = {
        path.name: path.read_bytes() for path in folder.iterdir() if path.name != "dataset-metadata.json"
    }
    assert live_models(server.world)[MODEL] == (mounted(files, server.world.zips), True)
    [variation] = models(server.world)[MODEL].variations.values()
    assert len(variation.versions) == versions
    assert not server.world.datasets


def test_weights_become_a_version_of_a_model_and_are_then_left_alone(kaggle, send_model, bundle):
    server = kaggle(ready_after=2, hidden_after_create=3)
    [done] = send_model()
    assert (done.id, done.version, done.skipped) == (ID, 1, False)
    assert_published(server, bundle)
    found = states.load(bundle.parent / "kaggle" / f"{ID.replace('/', '.')}.json")
    assert (found.kind, found.stage, found.version) == ("model", "verified", 1)
    assert send_model()[0].skipped
    make_dataset(bundle, seed=1)
    [new] = send_model(verify="full")
    assert (new.version, new.skipped) == (2, False)
    assert_published(server, bundle, versions=2)
    assert f"{ID}/2" in server.world.rooms["attachable_models"]


@pytest.mark.parametrize(
    "faults",
    [
        [Fault("drop_after", "models.CreateModel")],
        [Fault("drop_after", CREATE)],
        [Fault("status", CREATE, argument=503), Fault("status", "models.GetModel", nth=2, argument=503)],
        [Fault("drop_midfile", "blobs.PUT", argument=300), Fault("md5_absent", "files.GET")],
    ],
    ids=lambda faults: f"{faults[0].kind}@{faults[0].at}",
)
def test_a_new_model_survives_faults_and_is_made_once(kaggle, send_model, bundle, faults):
    server = kaggle(*faults)
    assert send_model()[0].version == 1
    assert_published(server, bundle)


@pytest.mark.parametrize("fault", [Fault("drop_after", VERSION), Fault("stale", "", argument=5)])
def test_a_lost_or_a_stale_answer_gives_one_version(kaggle, send_model, bundle, fault):
    server = kaggle(fault)
    send_model()
    make_dataset(bundle, seed=1)
    assert send_model()[0].version == 2
    assert_published(server, bundle, versions=2)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault("flip_byte", "blobs.PUT"), "holds another"),
        (Fault("drop_file", ""), "is missing"),
        (Fault("public_flip", ""), "is public on Kaggle after the upload"),
        (Fault("error_200", CREATE, argument={"error": "over the quota"}), "over the quota"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_nothing_half_right_is_called_verified_and_the_next_run_mends_it(
    kaggle, send_model, bundle, fault, message
):
    server = kaggle(fault)
    with pytest.raises(KitError, match=message) as caught:
        send_model()
    assert caught.value.fix
    server.world.faults.faults.clear()
    models(server.world).get(MODEL, Model("", "", "", True)).private = True
    send_model()
    assert live_models(server.world)[MODEL][1] is True


@pytest.fixture
def silent(kaggle, send_model, bundle):
    """A Kaggle that has a version and never says that it is ready; returns it and the state's file."""
    # The first look after the call that publishes is refused: the version is made, and nobody has waited yet.
    server = kaggle(Fault("status", "models.GetModelInstance", argument=(400, None, "no")), ready_after=10**9)
    with pytest.raises(KitError, match="no"):
        send_model()
    return server, bundle.parent / "kaggle" / f"{ID.replace('/', '.')}.json"


def test_a_version_that_is_never_ready_ends_the_command_at_the_limit_and_the_next_one_goes_on(
    silent, send_model, bundle, wire, capfd
):
    server, record = silent
    owner, slug = MODEL.split("/")
    model = ModelDestination(owner, slug, {}, private=True, licence="MIT")
    waiting = wire()

    def say(text):
        # A look has been told of: now let the limit be reached.
        assert text.endswith("now: PROCESSING, version 1")
        waiting.patience = replace(waiting.patience, limit=0)

    def command(_):
        return wait_ready(model, waiting, states.load(record), say, record=record)

    assert run_cli(command, []) == BAD_INPUT
    told = capfd.readouterr().err
    assert f"error: {ID} is not ready after" in told
    assert "last seen: PROCESSING, version 1" in told
    assert "fix:   run the same command again later: it goes on waiting" in told
    assert f"if its page says that it failed, delete {record} before" in told
    # The limit is over now: a look that it cuts off ends in the same words.
    assert run_cli(command, []) == BAD_INPUT
    assert "last seen: not shown yet" in capfd.readouterr().err
    sent = server.world.faults.count("blobs.PUT")
    [variation] = models(server.world)[MODEL].variations.values()
    variation.versions[-1].polls = 0
    assert send_model()[0].version == 1
    assert server.world.faults.count("blobs.PUT") == sent
    assert_published(server, bundle)


def test_after_a_version_that_failed_without_a_word_a_new_one_can_be_made(silent, send_model, bundle):
    server, record = silent
    record.unlink()
    server.world.ready_after = 1
    assert send_model()[0].version == 2
    assert_published(server, bundle, versions=2)


def test_a_public_model_of_the_name_is_refused_before_the_first_byte(kaggle, send_model):
    server = kaggle()
    models(server.world)[MODEL] = Model("alice", "kit-kidney-weights", "weights", private=False)
    with pytest.raises(KitError, match="is public on Kaggle, and a private one was asked for"):
        send_model()
    assert server.world.faults.count("blobs.StartBlobUpload") == 0


def test_a_licence_that_models_do_not_have_is_refused_with_those_they_have(kaggle, send_model):
    kaggle()
    with pytest.raises(KitError, match="cannot have the licence 'other'") as caught:
        send_model(model_licence=None)
    assert "apache-2.0" in caught.value.fix


def test_files_of_a_dataset_are_sent_anew_for_a_model(kaggle, send, send_model, bundle):
    """Kaggle keeps what the files were uploaded for: a token of a dataset's file is none of a model's."""
    server = kaggle(Fault("status", "datasets.CreateDataset", argument=(400, None, "not today")))
    with pytest.raises(KitError, match="not today"):
        send()
    send_model()
    assert_published(server, bundle)


def test_a_kernel_is_given_only_a_version_that_holds_what_was_verified(kaggle, send_model, bundle, tmp_path):
    kaggle()
    [done] = send_model()
    source = Source("model", f"{ID}/{done.version}", done.fingerprint, tmp_path / "state.json")
    make_dataset(bundle, seed=1)
    send_model()
    with Wire(scratch=tmp_path / "scratch") as wire:
        # A newer version does not matter: a model is mounted by its version.
        require_current(wire, [source])
        wrong = Source("model", f"{ID}/2", done.fingerprint, tmp_path / "state.json")
        with pytest.raises(KitError, match=f"this version of {ID}/2 on Kaggle is of another bundle"):
            require_current(wire, [wrong])


def test_wheels_stay_a_dataset(kaggle, send_model, bundle):
    server = kaggle()
    folder = bundle / "kit-kidney-weights"
    listed = manifest.load(folder / manifest.NAME)
    assert {entry.role for entry in listed.files} == {"weights"}
    wheels = make_dataset(bundle, slug="kit-wheels", role="data")
    [weights, other] = sorted(send_model(), key=lambda item: item.id)
    assert (weights.id, other.id) == (ID, f"alice/{wheels.name}")
    assert set(server.world.datasets) == {f"alice/{wheels.name}"}
