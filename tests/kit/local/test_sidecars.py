import pytest

from kit.errors import KitError
from kit.local import sidecars


def test_a_line_cut_off_by_a_kill_is_left_out(tmp_path):
    path = tmp_path / "log.jsonl"
    assert sidecars.read_json_lines(path) == []
    path.write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert sidecars.read_json_lines(path) == [{"step": 1}, {"step": 2}]
    path.write_bytes('{"name": "a\u2028b"}\n{"name": "Gr\u00f6\u00dfe"}\n'.encode()[:-5])
    assert sidecars.read_json_lines(path) == [{"name": "a\u2028b"}]


def test_sidecar_completes_an_artefact_and_notices_damage(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"weights")
    written = sidecars.write_sidecar(
        path, kind="weights", config={"lr": 1}, inputs={"prepared": "00"}, code_version="1", fold=3
    )
    assert sidecars.read_sidecar(path, kind="weights") == written
    assert written["fold"] == 3
    with pytest.raises(KitError, match="expected oof, found 'weights'"):
        sidecars.read_sidecar(path, kind="oof")
    whole = sidecars.sidecar_path(path).read_text()
    for text in ("[]", '{"kind": "weights"}'):
        sidecars.sidecar_path(path).write_text(text)
        with pytest.raises(KitError, match="this JSON does not describe an artefact"):
            sidecars.read_sidecar(path, kind="weights")
    sidecars.sidecar_path(path).write_text(whole)
    path.write_bytes(b"w3ights")
    with pytest.raises(KitError, match=r"differs from what its JSON describes[\s\S]*delete both"):
        sidecars.read_sidecar(path, kind="weights")
    path.unlink()
    with pytest.raises(KitError, match="weights file is missing"):
        sidecars.read_sidecar(path, kind="weights")
