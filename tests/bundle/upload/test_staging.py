"""Files on their way: each lies alone in its folder."""

from bundle.upload.expected import expected
from bundle.upload.staging import Staging
from tests.bundle.upload.conftest import make_dataset


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


def test_two_files_of_one_content_have_their_own_places_and_tokens(tmp_path):
    folder = make_dataset(tmp_path, equal=("first.safetensors", "second.safetensors"))
    staging = Staging(tmp_path / "work", "f" * 64)
    staged = staging.stage(folder, expected(folder))
    assert len({item.path.parent for item in staged}) == len({item.key for item in staged}) == len(staged)
    first, second = (item for item in staged if item.path.name in {"first.safetensors", "second.safetensors"})
    assert first.path.read_bytes() == second.path.read_bytes()
    staging.keep(first.key, "token of the first")
    assert staging.token(second.key) is None
