import pytest

from train_local import recipes
from train_local.recipes import comparison
from train_local.report.recipe_table import recipe_table


@pytest.mark.parametrize("name", ["unet-regnety16", "unet-regnety16-tiny"])
def test_every_published_value_stands_in_the_table(name):
    table = recipe_table(name, {"batch_size": 2})
    assert table.of == "unet-regnety16"
    assert len(table.equal) + len(table.differing) == len(comparison.compare(recipes.get(table.of)))
    assert all(row.reason for row in table.differing if row.verdict == "declared")
    assert '"batch_size": 2' in table.settings


def test_a_recipe_of_the_users_own_has_its_settings_alone():
    table = recipe_table("mine", {"lr": 0.5})
    assert (table.equal, table.differing) == ([], [])
    assert '"lr": 0.5' in table.settings
