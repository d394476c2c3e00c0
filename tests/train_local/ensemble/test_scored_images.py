"""What an ensemble says of the images that its scores are of."""

from dataclasses import replace

from train_local.ensemble.build import build_ensemble


def test_scores_of_some_images_only_are_said_to_be_of_these(blob_data, finished):
    whole = build_ensemble(blob_data, finished, keep_all=True)
    assert not any(note.startswith("The scores are of") for note in whole.notes)
    fewer = [run for run in finished if run.recipe == "blobs" or run.member.name == "seeded.fold0"]
    first = [run for run in fewer if run.member.name.endswith("fold0")]
    other = [run for run in fewer if run.member.name == "blobs.fold1"]
    held = {name for run in (*first, *other) for files in run.files.values() for name in files}
    mixed = [replace(run, recipe="third") for run in other] + first
    built = build_ensemble(blob_data, mixed, keep_all=True)
    scored = {name for files in first[0].files.values() for name in files}
    note = next(note for note in built.notes if note.startswith("The scores are of"))
    assert note.startswith(f"The scores are of {len(scored)} of the {len(held)} held-out images")
