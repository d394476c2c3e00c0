import pytest

from kit import competitions
from kit.competitions.report import Report
from kit.errors import KitError

KIDNEY, BODY, VESSELS = (competitions.get(name).slug for name in ("kidney", "body", "vasculature"))


def refusal(competition, folder):
    report = Report(str(folder))
    assert not competition.check_folder(report, folder)
    assert not report.ok
    with pytest.raises(KitError) as caught:
        report.require_ok()
    return str(caught.value)


def test_an_unknown_competition_lists_the_known_ones():
    with pytest.raises(KitError, match="no competition is called 'lung'") as caught:
        competitions.get("lung")
    assert caught.value.fix == (
        "use one of: body, kidney, vasculature, or the path of a .toml file (docs/competitions.md)"
    )


def test_a_folder_is_recognised_with_and_without_its_sample(each):
    assert said(each.competition, each.root) == (True, "")
    (each.root / "sample_submission.csv").unlink()
    assert said(each.competition, each.root) == (True, "")


def test_a_missing_folder_is_named(each, tmp_path):
    text = refusal(each.competition, tmp_path / "nowhere")
    assert "data folder is missing" in text
    assert f"where: {tmp_path / 'nowhere'}" in text
    assert f"unpack {each.competition.slug} there, or change --data" in text


def test_data_of_another_competition_is_named(kidney, vasculature):
    text = refusal(kidney.competition, vasculature.root)
    assert f"this looks like the data of {VESSELS}, not of {KIDNEY}" in text
    assert "use --competition vasculature, or point --data elsewhere" in text
    assert f"the data of {KIDNEY}, not of {VESSELS}" in refusal(vasculature.competition, kidney.root)


def test_data_is_told_by_the_names_of_folders_alone(kidney, tmp_path):
    (tmp_path / "train_images").mkdir()
    text = refusal(kidney.competition, tmp_path)
    assert f"this looks like the data of {BODY}" in text
    assert "use --competition body, or point --data elsewhere" in text


def test_the_columns_of_the_sample_weigh_more_than_names_and_tables(kidney, body):
    (kidney.root / "train_images").mkdir()
    (kidney.root / "train.csv").write_text("id,rle,encoding\n")
    assert said(kidney.competition, kidney.root) == (True, "")
    (body.root / "sample_submission.csv").write_text("id,predicted\n")  # and the other way round
    assert f"the data of {KIDNEY}, not of {BODY}" in said(body.competition, body.root)[1]
    (body.root / "sample_submission.csv").write_text("id,predicted,more\n")
    assert said(body.competition, body.root) == (True, "")


def test_data_one_folder_deeper_is_found(each):
    text = refusal(each.competition, each.root.parent)
    assert "is one folder deeper" in text
    assert f"use --data {each.root}" in text


def test_an_unrelated_folder_is_refused_with_what_should_be_there(each, tmp_path):
    (tmp_path / "unrelated").mkdir()
    text = refusal(each.competition, tmp_path / "unrelated")
    assert f"this is not the data of {each.competition.slug}" in text
    assert "point --data to the folder with sample_submission.csv" in text


OWN = """
name = "glands"
slug = "find-the-glands"
kind = "semantic"
images = {train = "train/{id}.tiff", test = "test/{id}.tiff"}
truth = {form = "text", file = "masks.csv", id = "id", mask = "rle"}
submission = {mask = "rle"}
metric = {name = "mean Dice"}
"""


@pytest.fixture
def glands(tmp_path):
    (tmp_path / "glands.toml").write_text(OWN)
    data = tmp_path / "glands" / "data"
    (data / "test").mkdir(parents=True)
    (data / "masks.csv").write_text("id,rle,more\na,1 2,x\n")
    (data / "sample_submission.csv").write_text("id,rle\na,\n")
    return competitions.get(tmp_path / "glands.toml"), data


def said(competition, folder):
    report = Report(str(folder))
    return competition.check_folder(report, folder), "".join(map(str, report.findings))


def test_a_described_competition_is_recognised_by_its_table_and_columns(glands):
    competition, data = glands
    assert said(competition, data) == (True, "")
    (data / "sample_submission.csv").unlink()
    assert said(competition, data) == (True, "")
    assert "is one folder deeper" in said(competition, data.parent)[1]
    text = said(competition, data / "test")[1]
    assert "point --data to the folder with sample_submission.csv, masks.csv, test" in text


def test_a_described_competition_with_the_columns_of_a_known_one_is_told_from_it(glands, body):
    competition, data = glands
    assert f"the data of {BODY}, not of find-the-glands" in said(competition, body.root)[1]
    assert said(body.competition, body.root)[0]
    assert said(competition, data)[0]


def test_a_variant_with_another_form_of_truth_takes_the_folder_too(body, tmp_path):
    """The folder then looks more like the known competition than like the variant."""
    (tmp_path / "own.toml").write_text(
        'like = "body"\nname = "own"\n[truth]\nform = "polygons"\nfile = "train_annotations/{id}.json"\n'
    )
    assert said(competitions.get(tmp_path / "own.toml"), body.root) == (True, "")


def test_a_variant_of_a_known_competition_takes_its_folder(each, tmp_path):
    (tmp_path / "own.toml").write_text(f'like = "{each.competition.name}"\nname = "own"\n')
    own = competitions.get(tmp_path / "own.toml")
    assert said(own, each.root) == (True, "")
    assert own.slug == each.competition.slug
