"""The quick way to judge detections, held against fusing all masks and asking the metric."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import detection_data
from kit.competitions import get
from kit.competitions.instance import InstanceCompetition
from kit.inference.fusion import PassResult, fuse
from kit.inference.instance_settings import InstanceFusion
from kit.local.competitions.scores import precision_recall_curves
from kit.typed_json import to_plain
from train_local.ensemble import image_answers, kept_images
from train_local.ensemble.held_out import scored_recipe_views, scores_of
from train_local.ensemble.kept_images import HeldOut
from train_local.ensemble.scores import Assigned
from train_local.ensemble.trial import Selection

ONE = get("vasculature")


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """A few tiles with detections of five detectors under two views."""
    folder = tmp_path_factory.mktemp("tiles")
    data, runs = detection_data.write(folder, detection_data.Tiles(3, 3, views=2, detections=40, uneven=0.5))
    views = scored_recipe_views(runs)
    ids = sorted(frozenset.intersection(*views.values()))
    return scores_of(data, runs, list(views), ids, processes=1)._images


fusions = st.builds(
    InstanceFusion,
    iou=st.sampled_from([0.3, 0.5, 0.6, 0.7]),
    skip_score=st.sampled_from([0.0, 0.01, 0.05]),
    confidence=st.sampled_from(["avg", "max", "box_and_model_avg", "absent_model_aware_avg"]),
    masks=st.sampled_from(["votes", "soft"]),
    vote_fraction=st.sampled_from([0.2, 0.5, 1.0]),
    mask_threshold=st.sampled_from([0.3, 0.5, 1.0]),
    morphology=st.sampled_from(["none", "closing", "opening"]),
    morphology_size=st.sampled_from([1, 3, 9]),
    overlap=st.sampled_from(["keep", "keep", "exclusive"]),
    min_area=st.sampled_from([1, 1, 300]),
    min_score=st.sampled_from([0.0, 0.0, 0.1]),
    calibration=st.sampled_from(
        [{}, {"vit-adapter-l-sgd.fold0": {"kind": "temperature", "temperature": 2.0}}]
    ),
)


def plain(image_id, image, how, competition=ONE):
    """The curves of one image, all its masks fused as on Kaggle."""
    chosen = zip(how.selection.recipe_views, how.selection.weights, strict=True)
    results = [
        PassResult(file=image.found[view][1], weight=weight, member=image.found[view][0])
        for view, weight in chosen
    ]
    size = (image.truth.height, image.truth.width)
    fused = fuse(results, how.settings, size, kind="instance", image_id=image_id)
    curves = precision_recall_curves(competition, {image_id: image.truth}, {image_id: fused.prediction})
    return curves, fused.doubt


@settings(max_examples=25)
@given(how=st.lists(fusions, min_size=1, max_size=2), seed=st.integers(0, 2**32 - 1))
def test_answers_are_those_of_all_masks_fused_and_scored(tiles, how, seed):
    random = np.random.default_rng(seed)
    image_id = sorted(tiles)[seed % len(tiles)]
    image = tiles[image_id]
    questions = []
    for number in range(4):
        views = list(image.found)
        places = random.permutation(len(views))[: random.integers(1, 7)].tolist()
        chosen = tuple(views[place] for place in places)
        weights = tuple(random.choice([0.5, 1.0, 3.0], len(chosen)).tolist())
        questions.append(Assigned(Selection(chosen, weights), to_plain(how[number % len(how)])))
    request = image_answers.ImageRequest("here", ONE, image_id, image, tuple(questions))
    # The second time, clusters of the first time are known.
    first, second = (image_answers.answer(request) for _ in range(2))
    doubts = image_answers.doubts_of(request)
    for asked, found, again, doubt in zip(questions, first, second, doubts, strict=True):
        curves, expected = plain(image_id, image, asked)
        assert doubt == expected
        for judged in (found, again):
            assert_equal(judged, curves)


def assert_equal(judged, curves):
    for one, curve in zip(judged, curves, strict=True):
        np.testing.assert_array_equal(one.scores, curve.scores)
        np.testing.assert_array_equal(one.correct, curve.correct)


def test_a_metric_of_several_overlaps_judges_at_each(tiles):
    metric = replace(ONE.format.metric, iou=(0.3, 0.6, 0.9))
    several = InstanceCompetition(replace(ONE.format, metric=metric))
    for image_id, image in tiles.items():
        asked = Assigned(Selection(tuple(image.found), (1.0,) * len(image.found)), {})
        request = image_answers.ImageRequest("several", several, image_id, image, (asked,))
        [found] = image_answers.answer(request)
        curves, _ = plain(image_id, image, asked, several)
        assert_equal(found, curves)
        assert sum(found[0].correct) > sum(found[2].correct)


def test_detections_in_ignored_regions_are_left_out_as_by_the_metric(tiles):
    [image_id, *_] = tiles
    image = tiles[image_id]
    truth = replace(image.truth, masks=image.truth.masks[2:], ignored=image.truth.masks[:2])
    part = HeldOut(replace(truth, scores=truth.scores[2:], labels=truth.labels[2:]), image.found)
    asked = Assigned(Selection(tuple(image.found), (1.0,) * len(image.found)), {})
    request = image_answers.ImageRequest("ignored", ONE, image_id, part, (asked,))
    [found] = image_answers.answer(request)
    assert_equal(found, plain(image_id, part, asked)[0])


def test_images_are_kept_for_their_owner_while_there_is_room(tiles):
    [one, other, _] = tiles
    kept = kept_images.kept("a", one, tiles[one])
    assert kept_images.kept("a", one, tiles[one]) is kept
    views = tuple(tiles[one].found)
    asked = Assigned(Selection(views, (1.0,) * len(views)), {})
    before = kept.nbytes
    kept.parts(asked, InstanceFusion())
    grown = kept.nbytes - before
    assert grown > sum(map(len, kept.masks)) > 0
    kept.parts(asked, InstanceFusion())
    assert kept.nbytes == before + grown, "read and merged once"
    kept_images.kept("a", other, tiles[other])
    assert kept_images.kept("a", one, tiles[one]) is kept
    kept_images.kept("a", other, tiles[other], most_bytes=1)
    assert kept_images.kept("a", one, tiles[one]) is not kept, "the other one took its room"
    kept = kept_images.kept("a", one, tiles[one])
    assert kept_images.kept("b", one, tiles[one]) is not kept


def test_of_many_clusters_the_older_ones_are_forgotten(tiles):
    [one, *_] = tiles
    image = kept_images.KeptImage(one, tiles[one])
    for number in range(2000):
        image.clusters[(number,), (0, 0, 1, 1), 1, (), "closing 3"] = 1, ()
    image.forget_clusters()
    left = [members[0] for members, *_ in image.clusters]
    assert left == list(range(1250, 2000))
