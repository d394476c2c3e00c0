"""Tell how many regions of each type are scored, repeated, ignored or left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from kit.competitions.report import Report
from kit.local.competitions.annotations import distinct
from kit.local.competitions.truth_readers import AnnotatedTruth, TruthEntry


def tell(report: Report, reader: AnnotatedTruth, entries: Sequence[TruthEntry]) -> None:
    """Report the number of instances, and which annotations are repeated, ignored or left out.

    Args:
        report: gets a note for each type that is not scored, and an alarm if a scored one never occurs while
            others are left out: its name may be misspelt.
        reader: of the annotations.
        entries: of the images that are looked at.
    """
    # 3 drawn vessels of which 2 are equal, and a glomerulus: 2 instances, 1 repeated polygon, 1 left out.
    drawn = [item for entry in entries for item in reader.annotations(entry)]
    kept = [item for entry in entries for item in distinct(reader.annotations(entry))]
    roles = Counter((reader.role(item), item.type, item.crowd) for item in kept)
    scored = sum(count for (role, _, _), count in roles.items() if role == "scored")
    if reader.kind == "instance":
        report.facts["training instances"] = float(scored)
    if repetitions := sum(reader.role(item) == "scored" for item in drawn) - scored:
        taken = "kept as instances of their own" if reader.keep_repeats else "taken once"
        report.note(f"{repetitions} repeated polygons are {taken}", report.subject)
    for (role, kind, crowd), count in sorted(roles.items()):
        if role != "scored":
            what = "only keep detections from being judged" if role == "ignored" else "are left out"
            name = "crowds" if crowd else "annotations"
            of_type = f"of type {kind}" if kind else "without a type"
            report.note(f"{count} {name} {of_type} {what}", report.subject)
    others = sorted({kind or "(none)" for role, kind, _ in roles if role == "left out"})
    missing = [name for name in reader.truth.scored if not any(kind == name for _, kind, _ in roles)]
    if missing and others:
        report.alarm(
            f"no annotation is of the type {missing[0]!r}, which the definition names as scored",
            report.subject,
            f"types that are left out: {', '.join(others)}; is one of them meant?",
        )
