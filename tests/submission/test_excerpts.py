from dataclasses import replace

from kit import manifest
from submission import excerpts
from tests.kit.entries import WHEEL, entries


def test_an_excerpt_keeps_wheels_and_wanted_weights_and_the_identity():
    whole = manifest.Manifest(dataset="d", files=entries(), targets=["cp313"])
    found = excerpts.excerpt(whole, weights={"00"}, distributions={"timm"})
    assert found.sha256() == whole.sha256() != manifest.Manifest(dataset="d", files=found.files).sha256()
    assert [entry.wheel and entry.wheel.licence for entry in found.files] == [None, None]
    assert [(entry.file, entry.run) for entry in found.files] == [("b.whl", None), ("a.safetensors", None)]
    foreign = excerpts.excerpt(whole, weights={"22"}, distributions={"torch"})
    assert foreign.files == []
    assert manifest.from_dict(found.as_dict()).sha256() == whole.sha256()
    assert "excerpt_of" not in whole.as_dict()


def test_what_a_wheel_needs_on_any_python_belongs_to_its_closure():
    needs = {"a": {"cp311": ["b"], "cp313": ["c"]}, "b": {"cp311": ["a"]}, "d": {}}
    files = [
        replace(entries()[0], file=f"{name}.whl", wheel=replace(WHEEL, name=name, requires=requires))
        for name, requires in needs.items()
    ]
    whole = manifest.Manifest(dataset="d", files=files)
    assert excerpts.closure([whole], ["a"]) == {"a", "b", "c"}
    assert excerpts.closure([whole], ["d", "e"]) == {"d", "e"}
