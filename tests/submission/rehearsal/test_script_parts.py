import json

import pytest

from kit.errors import KitError
from kit.local.offline.faults.weights import Replaced
from submission.rehearsal.script_parts import ensemble_of, read_parts, with_weights


def test_the_parts_are_read_as_the_script_itself_holds_them(kit_of_two):
    header, parts = read_parts(kit_of_two.script)
    space = {"__name__": "not main"}
    exec(compile(kit_of_two.script.read_text(), "predict.py", "exec"), space)
    assert header == space["__doc__"]
    assert parts == {name: text[1:] for name, text in space["PARTS"].items()}
    assert [member.name for member in ensemble_of(kit_of_two.script).members] == ["member0", "member1"]


def test_other_weights_change_their_hash_and_size_and_no_line_of_code(kit_of_two, tmp_path):
    before = ensemble_of(kit_of_two.script).members
    changed = tmp_path / "predict.py"
    changed.write_text(
        with_weights(kit_of_two.script, Replaced("member1", before[1].sha256, "f" * 64, 12345))
    )
    after = ensemble_of(changed).members
    assert after[0] == before[0]
    assert (after[1].sha256, after[1].size) == ("f" * 64, 12345)
    _, old = read_parts(kit_of_two.script)
    _, new = read_parts(changed)
    different = {name for name in old if json_or_text(old[name]) != json_or_text(new[name])}
    assert different == {"ensemble.json", "manifests/hubmap-kit-kidney-weights.json"}
    (entry,) = (
        item
        for item in json.loads(new["manifests/hubmap-kit-kidney-weights.json"])["files"]
        if item["sha256"] == "f" * 64
    )
    assert entry["size"] == 12345


def json_or_text(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


@pytest.mark.parametrize("data", [b"PARTS = {}\n", b"\x89PNG\r\n\x1a\n", b"\0" * 99, b"[" * 99_999, b"if\n"])
def test_what_was_not_rendered_is_refused(tmp_path, data):
    (tmp_path / "mine.py").write_bytes(data)
    with pytest.raises(KitError, match=r"this is not a rendered predict\.py"):
        read_parts(tmp_path / "mine.py")
