"""The bill of materials, read back by the library that defines the format's rules."""

import json

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given
from hypothesis import strategies as st

from bundle import sbom
from kit.manifest import Entry, Wheel


def wheel(name, tag, needs=(), licence="MIT", version="1.0"):
    return Entry(
        file=f"wheels-{tag}.zip/{name}-{version}-{tag}-{tag}-manylinux_2_28_x86_64.whl",
        size=3,
        sha256=(name[0] if name[0] in "abcdef" else "0") * 64,
        role="wheel",
        wheel=Wheel(
            name=name,
            version=version,
            tags=[f"{tag}-{tag}-manylinux_2_28_x86_64"],
            accepts="",
            requires={tag: list(needs)},
            licence=licence,
        ),
    )


ENTRIES = [
    wheel("app", "cp313", ["base"], "BSD License"),
    wheel("app", "cp311", ["base", "numpy"], "Apache-2.0 OR MIT"),
    wheel("base", "cp313"),
    wheel("base", "cp311", licence="Some odd text"),
    Entry(file="u.safetensors", size=3, sha256="1" * 64, role="weights", run={"recipe": "unet"}),
    Entry(file="ensemble.json", size=3, sha256="2" * 64, role="config"),
]


def components(text):
    return {item["bom-ref"]: item for item in json.loads(text)["components"]}


def test_every_wheel_and_weights_file_is_a_component_with_hash_licence_and_address():
    found = components(sbom.document("kit-wheels", ENTRIES, own=["base"]))
    assert found.keys() == {entry.file for entry in ENTRIES if entry.role != "config"}
    app = found[ENTRIES[0].file]
    assert app["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert app["purl"] == "pkg:pypi/app@1.0?file_name=app-1.0-cp313-cp313-manylinux_2_28_x86_64.whl"
    assert app["licenses"] == [{"license": {"name": "BSD License"}}], "which of the BSD texts is not known"
    assert found[ENTRIES[1].file]["licenses"] == [{"expression": "Apache-2.0 OR MIT"}]
    assert found[ENTRIES[2].file]["licenses"] == [{"license": {"id": "MIT"}}]
    assert found[ENTRIES[2].file]["purl"].startswith("pkg:generic/base@1.0"), "it is on no index"
    assert found[ENTRIES[3].file]["licenses"] == [{"license": {"name": "Some odd text"}}]
    assert found["u.safetensors"]["type"] == "machine-learning-model"
    assert found["u.safetensors"]["description"] == "trained weights of unet"


def test_a_wheel_needs_the_wheels_of_its_own_python():
    needs = {
        item["ref"]: item.get("dependsOn", [])
        for item in json.loads(sbom.document("kit-wheels", ENTRIES))["dependencies"]
    }
    assert needs[ENTRIES[0].file] == [ENTRIES[2].file]
    assert needs[ENTRIES[1].file] == [ENTRIES[3].file]
    assert len(needs["kit-wheels"]) == 5


@given(st.permutations(ENTRIES))
def test_the_order_of_the_files_does_not_change_a_byte_and_the_clock_is_not_in_it(entries):
    text = sbom.document("kit-wheels", entries)
    assert text == sbom.document("kit-wheels", ENTRIES)
    assert "timestamp" not in text


def test_other_contents_get_another_serial_number():
    first, second, third = (
        json.loads(sbom.document(name, entries))["serialNumber"]
        for name, entries in (("kit", ENTRIES), ("kit", ENTRIES[1:]), ("other", ENTRIES))
    )
    assert len({first, second, third}) == 3


@pytest.mark.parametrize("entries", [ENTRIES, []])
def test_it_fulfils_the_schema_of_cyclonedx(entries):
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(sbom.document("kit-wheels", entries)) is None
