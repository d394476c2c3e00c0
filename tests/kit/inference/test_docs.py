import json
import re
from pathlib import Path

import pytest

from kit.inference import views
from kit.inference.semantic_settings import SemanticSettings
from kit.typed_json import from_plain, to_plain

PAGE = (Path(__file__).parents[3] / "docs" / "inference.md").read_text()
BLOCKS = [json.loads(block) for block in re.findall(r"(?:^    .*\n?)+", PAGE, re.MULTILINE)]
NAMES = re.findall(r"^\| `([^`]+)` \| (?:one of|the same|a set)", PAGE, re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_of_the_page_is_understood(block):
    if isinstance(block, dict):
        assert block.items() <= to_plain(from_plain(SemanticSettings, block)).items()
    else:
        assert all(views.get_set(name) for name in block)


def test_the_page_names_every_setting_and_every_symmetry():
    assert len(BLOCKS) >= 6
    for name in [*to_plain(SemanticSettings(size=1)), *views.names()]:
        assert name in PAGE or name == "autocast"
    assert [len(views.get_set(name)) for name in NAMES] == [1, 1, 3]
