import pytest

from kit.errors import KitError
from train_local import recipes
from train_local.engine.memory_check import example_side, need_of, require_memory
from train_local.recipes.passes import with_batch_size


@pytest.mark.parametrize(
    ("name", "side"), [("unet-regnety16", 512), ("detectors-r50", 2048), ("segformer-b4-960", 960)]
)
def test_the_side_of_an_example_is_that_of_the_network_s_input(name, side):
    assert example_side(recipes.get(name)) == side


def test_need_have_and_what_fits_are_told():
    recipe = recipes.get("unet-regnety16")
    with pytest.raises(
        KitError, match=r"needs about 1.* GB for batches of 16, and GPU 0 has 8\.0 GB"
    ) as error:
        require_memory(recipe, 8_000_000_000, "GPU 0", on_gpu=True)
    assert "what fits: --batch-size 8 (" in str(error.value)
    assert "the total batch stays" in str(error.value)
    require_memory(recipe, 16_000_000_000, "GPU 0", on_gpu=True)
    with pytest.raises(KitError, match="no smaller batch fits"):
        require_memory(recipe, 500_000_000, "GPU 0", on_gpu=True)


def test_a_tiny_form_fits_a_small_machine_without_being_measured():
    tiny = recipes.get("segformer-b4-960").tiny()
    require_memory(tiny, 16_000_000_000, "this machine", on_gpu=False)


def test_published_logs_say_what_a_published_batch_needs():
    recipe = recipes.get("detectors-x101")
    # The log of this very training has 43757 MB; the estimate is 60 GB.
    assert need_of(recipe, 60_000_000_000) == round(1.05 * 43757e6)
    assert need_of(recipe, 30_000_000_000) == 30_000_000_000, "the smaller one is taken"
    assert need_of(with_batch_size(recipe, 1), 60_000_000_000) == 60_000_000_000, (
        "the log is of another batch"
    )
