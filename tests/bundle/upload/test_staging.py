"""Files on their way: each lies alone in its folder."""

from bundle.upload.expected import expected
from bundle.upload.staging import Staging


def test_what_a_kill_left_behind_is_not_sent_with_the_file(bundle, tmp_path):
    folder = bundle / "kit-kidney-weights"
    wanted = expected(folder)
    first = Staging(tmp_path / "work", "f" * 64).stage(folder, wanted)
    for item in first[:2]:
        (item.path.parent / f".{item.path.name}.1234.tmp").write_bytes(b"unfinished")
    first[0].path.unlink()
    again = Staging(tmp_path / "work", "f" * 64).stage(folder, wanted)
    assert again == first
    for item in again:
        assert [path.name for path in item.path.parent.iterdir()] == [item.path.name]
        assert item.path.read_bytes() == (folder / item.path.name).read_bytes()
