import pytest

from kit.errors import KitError
from kit.models.htc import CascadeSize, config


def heads(**size):
    return config(CascadeSize(**size), backbone={"type": "b"}, neck={"type": "n"})["roi_head"]


def test_the_published_sizes_are_the_default():
    assert [head["fc_out_channels"] for head in heads()["bbox_head"]] == [1024] * 3
    assert [head["with_conv_res"] for head in heads()["mask_head"]] == [False, True, True]


@pytest.mark.parametrize(
    ("head", "kind", "normed"),
    [
        ("2fc", "Shared2FCBBoxHead", False),
        ("4conv1fc", "Shared4Conv1FCBBoxHead", True),
        ("4conv1fc-plain", "Shared4Conv1FCBBoxHead", False),
    ],
)
def test_each_box_head_is_a_published_layout_in_all_three_stages(head, kind, normed):
    for built in heads(head=head)["bbox_head"]:
        assert built["type"] == kind
        assert ("norm_cfg" in built) == normed
        assert built["reg_class_agnostic"]
        assert built["num_classes"] == 1


def test_several_necks_follow_each_other():
    value = config(CascadeSize(), backbone={"type": "b"}, neck=[{"type": "first"}, {"type": "second"}])
    assert [neck["type"] for neck in value["neck"]] == ["first", "second"]
    assert "semantic_head" not in value["roi_head"]


def test_what_cannot_be_is_refused_with_the_way_out():
    with pytest.raises(KitError, match="head is '3fc'") as caught:
        CascadeSize(head="3fc")
    assert caught.value.fix == "use one of: '2fc', '4conv1fc', '4conv1fc-plain'"
    with pytest.raises(KitError, match="mask heads of 64 channels cannot add features of 256"):
        CascadeSize(mask_channels=64)
