from pathlib import Path

import pytest

from kit.errors import KitError
from submission.parts import json_part


def test_three_quotes_cannot_end_the_part():
    text = json_part({"note": "it's ''' fine"}, Path("a.json"))
    assert "'''" not in text
    assert json_part({"note": "it's fine"}, Path("a.json")).count("'") == 1


@pytest.mark.parametrize("value", [float("nan"), {"a": float("inf")}])
def test_what_is_no_json_names_its_file(value):
    with pytest.raises(KitError, match="a value cannot be written as JSON") as caught:
        json_part(value, Path("dist/ensemble.json"))
    assert caught.value.where == "dist/ensemble.json"
