"""The benchmark of augmentation runs, and knows every recipe."""

from benchmarks import augmentation
from train_local import recipes


def test_every_recipe_is_in_a_pipeline_and_has_a_row():
    pipelines = augmentation.pipelines()
    named = {name for pipeline in pipelines for name in pipeline.names}
    assert named == {*recipes.names(), *recipes.teacher_names(), *recipes.stage_names()}
    unet = next(pipeline for pipeline in pipelines if "unet-regnety16" in pipeline.names)
    row = augmentation._row(unet, 64, 1)
    assert len(row) == len(augmentation.HEAD)
    assert float(row[-1]) > 0
