import pytest

from kit import requested
from kit.artefacts import write_json
from kit.errors import KitError
from kit.requested import Asked, OfImage, Requested

VALUE = Requested(
    asked=[
        Asked(
            name="timm", wanted=">=1", where="requirements.txt:1", modules=["timm"], tags=["cp312", "cp313"]
        ),
        Asked(name="tomli", wanted="", where="requirements.txt:2", modules=["tomli"], tags=["cp311"]),
    ],
    of_image=[OfImage(name="numpy", accepts="<3", asker="timm", tags=["cp313"])],
)


def test_what_is_written_is_read(tmp_path):
    write_json(tmp_path / requested.NAME, VALUE.as_dict())
    assert requested.load(tmp_path / requested.NAME) == VALUE


def test_only_what_is_asked_for_on_a_python_counts_there():
    assert [item.name for item in VALUE.on("cp313")] == ["timm"]
    assert [item.name for item in VALUE.on("cp311")] == ["tomli"]
    assert VALUE.on("cp314") == []


@pytest.mark.parametrize("module", ["os; import shutil", "../x", "", "a..b"])
def test_a_module_is_a_name_and_no_code(module):
    value = VALUE.as_dict()
    value["asked"][0]["modules"] = [module]
    with pytest.raises(KitError, match="it has to be a module"):
        requested.from_dict(value)
