import pytest

from kit import competitions
from kit.competitions.layout import SIGNATURES, recognise
from kit.errors import KitError

KIDNEY, BODY, VESSELS = SIGNATURES


def shown(report):
    assert not report.ok
    with pytest.raises(KitError) as caught:
        report.require_ok()
    return str(caught.value)


def test_every_competition_of_the_kit_has_a_signature():
    by_name = {
        signature.name: (slug, signature.columns) for slug, signature in SIGNATURES.items() if signature.name
    }
    assert by_name == {
        name: (competitions.get(name).slug, competitions.get(name).columns) for name in competitions.names()
    }


def test_an_unknown_competition_lists_the_known_ones():
    with pytest.raises(KitError, match="no competition is called 'lung'") as caught:
        competitions.get("lung")
    assert caught.value.fix == "use one of: kidney, vasculature"


def test_a_folder_is_recognised(either):
    assert recognise(either.root) == either.competition.slug
    (either.root / "sample_submission.csv").unlink()
    assert recognise(either.root) == either.competition.slug


def test_a_missing_folder_is_named(either, tmp_path):
    text = shown(either.competition.check(tmp_path / "nowhere"))
    assert "data folder is missing" in text
    assert f"where: {tmp_path / 'nowhere'}" in text
    assert f"unpack {either.competition.slug} there, or change --data" in text


def test_data_of_another_competition_is_named(kidney, vasculature):
    text = shown(kidney.competition.check(vasculature.root))
    assert f"this looks like the data of {VESSELS}, not of {KIDNEY}" in text
    assert "use --competition vasculature, or point --data elsewhere" in text
    assert f"the data of {KIDNEY}, not of {VESSELS}" in shown(vasculature.competition.check(kidney.root))


def test_data_of_a_competition_the_kit_does_not_know_yet_is_named(either, tmp_path):
    (tmp_path / "train_images").mkdir()
    text = shown(either.competition.check(tmp_path))
    assert f"this looks like the data of {BODY}" in text
    assert "fix:   point --data elsewhere" in text


def test_data_one_folder_deeper_is_found(either):
    text = shown(either.competition.check(either.root.parent))
    assert "lies one folder deeper" in text
    assert f"use --data {either.root}" in text


def test_an_unrelated_folder_is_refused_with_what_should_be_there(either, tmp_path):
    (tmp_path / "unrelated").mkdir()
    text = shown(either.competition.check(tmp_path / "unrelated"))
    assert f"this is not the data of {either.competition.slug}" in text
    assert "point --data to the folder that holds sample_submission.csv" in text
