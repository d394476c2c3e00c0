"""Choose the reader for a definition's form of truth."""

from __future__ import annotations

from kit.competitions.cells_format import CLASS
from kit.competitions.definition import Definition
from kit.local.competitions.box_truth import BoxTruth
from kit.local.competitions.class_truth import ClassImageTruth, ClassTextTruth, TableTruth
from kit.local.competitions.truth_readers import (
    AnnotatedTruth,
    CocoTruth,
    ImageTruth,
    PolygonTruth,
    TextTruth,
    TruthReader,
)


def reader(definition: Definition) -> TruthReader:
    """Return the reader for a definition's form of truth.

    Raises:
        KitError: the labels of mask images are no numbers.
    """
    truth, kind = definition.truth, definition.kind
    found: TruthReader
    match truth.form:
        case "text":
            plain = not truth.class_in_row and CLASS not in truth.mask
            found = TextTruth(truth, kind) if plain else ClassTextTruth(definition)
        case "images":
            found = ClassImageTruth(definition) if definition.classes else ImageTruth(truth, kind)
        case "polygons":
            found = PolygonTruth(truth, kind)
        case "coco":
            found = CocoTruth(truth, kind, definition.images)
        case "boxes":
            found = BoxTruth(definition)
        case "table":
            found = TableTruth(definition)
    if definition.images.special:
        found.special = definition.images
    if isinstance(found, AnnotatedTruth) and definition.classes:
        found.labels = truth.labels or definition.classes
    return found
