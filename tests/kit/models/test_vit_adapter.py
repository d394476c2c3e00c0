import pytest

from kit.errors import KitError
from kit.local.training import prepare
from kit.models import build, tiny


def small(name="vit-adapter-l", **size):
    config = {**tiny(name), "embed_dim": 16, "depth": 4, "num_heads": 2, "deform_num_heads": 2, **size}
    return prepare(build(config), config)


def norms(module, part):
    kinds = {type(layer).__name__ for layer in module.network.get_submodule(part).modules()}
    return {kind for kind in kinds if "Norm" in kind}


def test_the_last_block_of_every_interaction_sees_the_larger_window():
    module = small(depth=6, interactions=2, window_size=3, global_window_size=5)
    assert [block.attn.window for block in module.network.backbone.blocks] == [3, 3, 5] * 2
    assert module.network.backbone.spans == [(0, 2), (3, 5)]


def test_the_two_published_layouts_differ_in_the_norms_and_losses_of_neck_and_box_heads():
    normed, plain = small(), small("vit-adapter-l-3x")
    assert norms(normed, "neck.1") == {"GroupNorm"}
    assert norms(plain, "neck.1") == set()
    assert norms(normed, "roi_head.bbox_head") == {"BatchNorm2d"}
    assert norms(plain, "roi_head.bbox_head") == set()
    for module, loss, decoded in ((normed, "GIoULoss", True), (plain, "SmoothL1Loss", False)):
        for head in module.network.roi_head.bbox_head:
            assert type(head.loss_bbox).__name__ == loss
            assert head.reg_decoded_bbox == decoded
            assert len(head.shared_convs) == 4


def test_attention_over_the_whole_map_comes_before_the_pyramid():
    kinds = [type(part).__name__ for part in small().network.neck]
    assert kinds == ["ExtraAttention", "FPN"]


def test_shared_statistics_change_no_name():
    single, shared = small(), small(sync_bn=True)
    assert list(single.network.state_dict()) == list(shared.network.state_dict())
    assert norms(shared, "roi_head.bbox_head") == {"SyncBatchNorm"}
    assert norms(shared, "backbone.spm") == {"SyncBatchNorm"}


@pytest.mark.parametrize(
    ("size", "problem"),
    [
        ({"depth": 6}, "6 blocks cannot be divided evenly into 4 interactions"),
        ({"neck_norm": "layer"}, "neck_norm is 'layer'"),
        ({"num_heads": 3}, "network 'vit-adapter-l' cannot be built: .*heads"),
    ],
)
def test_sizes_that_cannot_be_are_told(size, problem):
    with pytest.raises(KitError, match=problem):
        small(**size)
