import numpy as np

from kit.local.competitions.labelled import LabelledData
from kit.local.pages.overlays import PREDICTION_RGB, TRUTH_RGB
from train_local.engine.train import train
from train_local.monitor.validation_pictures import LONGEST, ValidationPictures
from train_local.options import Options
from train_local.planned_runs import PlannedRun


def near(picture_HWC, colour):
    """Whether any pixel has about this colour."""
    return bool((np.abs(picture_HWC.astype(int) - colour).max(axis=2) < 60).any())


def test_the_same_images_are_drawn_with_truth_and_prediction(blobs, blob_data, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(
        "train_local.monitor.reporter.Log.show", lambda _self, step, pictures: shown.append((step, pictures))
    )
    run, initial = PlannedRun(blobs.recipe(iterations=4, **every(2)), 0).ready(blob_data, tmp_path)
    train(run, blob_data, Options(device="cpu", bars=False), initial=initial)
    assert [step for step, _ in shown] == [2, 4]
    ids = blob_data.fold(0).valid
    for _, pictures in shown:
        assert list(pictures) == [f"held out/{ids[0]}", f"held out/{ids[-1]}"]
        for picture_HWC in pictures.values():
            assert max(picture_HWC.shape) == LONGEST
            assert near(picture_HWC, TRUTH_RGB)
    assert any(near(picture_HWC, PREDICTION_RGB) for _, made in shown for picture_HWC in made.values())


def every(steps):
    from train_local.recipes.settings import Validation as Rhythm

    return {"validation": Rhythm(every=steps, unit="iteration")}


def test_no_held_out_image_has_no_picture(blob_data):
    truth = LabelledData(blob_data.source, blob_data.data).truth([])
    assert ValidationPictures(blob_data, [], truth).draw({}) == {}
