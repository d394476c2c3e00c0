"""`sbom.json`: a bill of materials of one dataset in CycloneDX 1.6, for whoever has to know what is inside.

The same files give the same bytes: there is no clock in it, and its serial number is made from the hashes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from bundle import licences
from bundle.foreign.source import Origin
from kit.artefacts import sha256_json
from kit.local.dataset_folders import COMPETITION, SBOM
from kit.manifest import Entry

if TYPE_CHECKING:
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component

NAME = SBOM
SOURCE = "hubmap-kit:source"
"""Property of a wheel that was built of a foreign source: what it is, with its commit or hash."""
_SERIALS = UUID("1c4f1d24-6c0f-5d0c-9c44-0a8b5f0b7e31")
"""Namespace of the serial numbers; chosen once by chance."""


def document(
    dataset: str,
    entries: Sequence[Entry],
    *,
    own: Collection[str] = (),
    origins: Mapping[str, Origin] | None = None,
    competitions: Collection[str] = (),
) -> str:
    """Return the text of `sbom.json`: a component for each wheel and each file of weights, with its needs.

    Args:
        dataset: the dataset's name.
        entries: of its manifest; those that are neither wheel nor weights are passed over.
        own: normalised names of wheels that we build: they are on no index.
        origins: normalised name -> source of those that were built of foreign sources.
        competitions: that the dataset is for, if it does not say so elsewhere.
    """
    # The library takes a third of a second to import, which `--help` does not need.
    from cyclonedx.model import Property
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6

    listed = sorted(
        (entry for entry in entries if entry.role in {"wheel", "weights"}), key=lambda entry: entry.file
    )
    serial = uuid5(_SERIALS, sha256_json([dataset, [[entry.file, entry.sha256] for entry in listed]]))
    told = [Property(name=COMPETITION, value=name) for name in competitions]
    root = Component(name=dataset, type=ComponentType.DATA, bom_ref=dataset, properties=told)
    bom = Bom(serial_number=serial, metadata=BomMetaData(component=root))
    bom.metadata.timestamp = None  # type: ignore[assignment]  # the standard has it optional, the class has not
    components = {entry.file: _component(entry, own, origins or {}) for entry in listed}
    for component in components.values():
        bom.components.add(component)
    bom.register_dependency(root, list(components.values()))
    _add_needs(bom, listed, components)
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"


def _component(entry: Entry, own: Collection[str], origins: Mapping[str, Origin]) -> Component:
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=entry.sha256)]
    wheel = entry.wheel
    if wheel is None:
        recipe = (entry.run or {}).get("recipe")
        return Component(
            name=entry.name,
            type=ComponentType.MACHINE_LEARNING_MODEL,
            bom_ref=entry.file,
            hashes=hashes,
            description=f"trained weights of {recipe}" if recipe else "trained weights",
        )
    licence = wheel.licence or licences.NOT_STATED
    # What no SPDX identifier stands for exactly ("BSD License") is kept as the wheel's metadata gives it.
    expression = licences.spdx(licence)
    exact = expression is not None and licences.OWN_PREFIX not in expression
    made = LicenseFactory().make_from_string(expression if expression and exact else licence)
    origin = origins.get(wheel.name)
    kind = "generic" if origin is not None or wheel.name in own else "pypi"
    qualifiers = {"file_name": entry.name}
    if origin is not None and origin.vcs_url is not None:
        qualifiers["vcs_url"] = origin.vcs_url
    return Component(
        name=wheel.name,
        version=wheel.version,
        type=ComponentType.LIBRARY,
        bom_ref=entry.file,
        hashes=hashes,
        licenses=[made],
        purl=PackageURL(type=kind, name=wheel.name, version=wheel.version, qualifiers=qualifiers),
        properties=[] if origin is None else [Property(name=SOURCE, value=origin.text)],
    )


def _add_needs(bom: Bom, entries: Sequence[Entry], components: dict[str, Component]) -> None:
    """Say which wheel needs which others; a wheel for Python 3.13 needs only wheels that serve 3.13."""
    serving: dict[tuple[str, str], list[Component]] = {}
    for entry in entries:
        if entry.wheel is not None:
            for tag in entry.wheel.requires:
                serving.setdefault((tag, entry.wheel.name), []).append(components[entry.file])
    for entry in entries:
        if entry.wheel is not None:
            needed = [
                component
                for tag, names in entry.wheel.requires.items()
                for name in names
                for component in serving.get((tag, name), ())
            ]
            bom.register_dependency(components[entry.file], needed)
