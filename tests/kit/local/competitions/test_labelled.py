"""Truth of a folder: where it is looked for, and that nothing is read or decoded twice."""

from collections import Counter
from pathlib import Path

import pytest

from kit import competitions
from kit.errors import KitError
from kit.local.competitions.check import check
from kit.local.competitions.labelled import LabelledData
from kit.local.competitions.truth_readers import AnnotatedTruth, PolygonTruth, TextTruth


def test_training_ids_are_sorted(kidney):
    assert kidney.labelled().train_ids() == ["aa", "bb"]


def test_truth_of_held_out_images_comes_from_the_solution(each):
    truth = each.truth(["cc", "aa"])
    assert list(truth) == ["cc", "aa"]
    with pytest.raises(KitError, match="no truth for 2 images, the first is x") as caught:
        each.truth(["x", "aa", "y"])
    assert " and ".join(each.labelled().files) in caught.value.fix
    assert f"write it to {each.labelled().files[-1]}, or give a --data" in caught.value.fix


def test_a_definition_without_a_file_for_held_out_truth_is_told_of_it(tmp_path):
    text = (Path(__file__).parents[4] / "docs" / "competitions" / "shapes" / "species.toml").read_text()
    definition = tmp_path / "species.toml"
    definition.write_text(text.replace("solution =", "# solution ="))
    with pytest.raises(KitError) as caught:
        LabelledData(competitions.get(definition), tmp_path).truth(["x"])
    assert "name its file as `solution` in [truth], or give a --data" in caught.value.fix


def test_training_truth_goes_before_the_solution(kidney):
    expected = kidney.truth(["aa"])["aa"].runs.tolist()
    kidney.table("solution.csv", ("id", "encoding"), ("aa", "1 1"))
    assert kidney.truth(["aa"])["aa"].runs.tolist() == expected != []


@pytest.fixture
def calls(monkeypatch):
    """How often each file is read and each image decoded, counted around the readers' own methods."""
    counts = Counter()

    def count(cls, method, key):
        real = getattr(cls, method)

        def counted(reader, *arguments):
            counts[method, key(arguments)] += 1
            return real(reader, *arguments)

        monkeypatch.setattr(cls, method, counted)

    for cls in (TextTruth, PolygonTruth):
        count(cls, "entries", lambda arguments: arguments[1])
    for cls in (TextTruth, AnnotatedTruth):
        count(cls, "regions", lambda arguments: arguments[0].id)
    return counts


def test_a_command_reads_each_file_once_and_decodes_each_image_once(each, calls):
    labelled = each.labelled()
    assert check(labelled).ok
    ids = labelled.train_ids()
    assert labelled.truth(ids) == labelled.truth(ids)
    assert labelled.plausibility().images == 2
    training, held_out = labelled.files
    assert calls == {("entries", training): 1, ("regions", "aa"): 1, ("regions", "bb"): 1}
    labelled.truth(["cc", "aa"])
    assert calls["entries", held_out] == calls["regions", "cc"] == 1
    assert calls["entries", training] == calls["regions", "aa"] == 1


def test_only_the_images_asked_for_are_decoded(each, calls):
    each.labelled().truth(["aa"])
    assert {key for method, key in calls if method == "regions"} == {"aa"}
