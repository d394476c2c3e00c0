"""Check an ensemble's free words and numbers, so that a mistake shows here and not on Kaggle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kit.ensemble import Ensemble
from kit.errors import KitError
from kit.models import check, spec_of
from kit.typed_json import from_plain

_FIX = "run `ensemble` again"
_MOST_SECONDS = 9 * 3600.0
"""The longest run that Kaggle allows."""
_MOST_SLOWDOWN = 100.0
_MOST_RATIO = 1e6
"""Of two weights in a rung; the tuning gives a few at most."""


def require_usable(ensemble: Ensemble, where: Path) -> None:
    """Check networks, settings and views as the workers will.

    Args:
        ensemble: to be bundled or rendered.
        where: its file, for messages.

    Raises:
        KitError: a word is unknown or a value cannot be; the message names the member or rung.
    """
    from kit.inference import views  # needs torch
    from kit.inference.class_fusion import ClassFusion
    from kit.inference.instance_settings import InstanceFusion, InstanceSettings
    from kit.inference.labels_engine import LabelsFusion
    from kit.inference.semantic_settings import SemanticFusion, SemanticSettings
    from kit.inference.values_settings import ValuesFusion, ValuesSettings

    of_kind: dict[str, tuple[type[Any], type[Any]]] = {
        "semantic": (SemanticSettings, SemanticFusion),
        "instance": (InstanceSettings, InstanceFusion),
        "values": (ValuesSettings, ValuesFusion),
    }
    member_settings, rung_settings = of_kind[ensemble.kind]
    engines = {member.network.get("engine") for member in ensemble.members}
    if "classes_engine" in engines:
        rung_settings = ClassFusion
    if "labels_engine" in engines:
        rung_settings = LabelsFusion
    for member in ensemble.members:
        place = f"{where}, member {member.name}"
        try:
            check(member.network)
        except KitError as error:
            raise KitError(
                f"{error.problem} ({error.where or 'network'})", where=place, fix=error.fix
            ) from error
        predicts = spec_of(member.network).kind
        if predicts != ensemble.kind:
            what = {"semantic": "masks", "instance": "instances", "values": "values"}[predicts]
            problem = f"its network predicts {what}, and the ensemble's kind is {ensemble.kind!r}"
            raise KitError(problem, where=place, fix=_FIX)
        from_plain(member_settings, member.inference, where=place, fix=_FIX)
    for item in ensemble.passes:
        try:
            views.get_set(item.view)
        except KitError as error:
            raise KitError(error.problem, where=where, fix=error.fix) from error
    _require_fusions(ensemble, rung_settings, where)
    _require_passes(ensemble, where)
    _require_numbers(ensemble, where)


def _require_fusions(ensemble: Ensemble, rung_settings: type[Any], where: Path) -> None:
    """Refuse settings of a rung that cannot be, or that name no member or no class of the ensemble."""
    members = {member.name for member in ensemble.members}
    classes = {name for member in ensemble.members for name in member.network.get("classes", ())}
    for number, rung in enumerate(ensemble.rungs, 1):
        place = f"{where}, rung {number}"
        fusion = from_plain(rung_settings, rung.settings, where=place, fix=_FIX)
        if unknown := set(getattr(fusion, "calibration", {})) - members:
            problem = f"it calibrates {', '.join(sorted(unknown))}, which is no member"
            raise KitError(problem, where=place, fix=_FIX)
        if unknown := set(getattr(fusion, "min_scores", {})) - classes:
            problem = f"it has a least score for {', '.join(sorted(unknown))}, which is no class"
            raise KitError(problem, where=place, fix=_FIX)


def _require_passes(ensemble: Ensemble, where: Path) -> None:
    """Refuse a pass that is listed twice, and a member that no pass uses."""
    seen: set[tuple[int, str]] = set()
    for item in ensemble.passes:
        if (item.member, item.view) in seen:
            name = ensemble.members[item.member].name
            problem = f"the pass of {name} under {item.view} is listed twice: it would count double"
            raise KitError(problem, where=where, fix=_FIX)
        seen.add((item.member, item.view))
    used = {item.member for item in ensemble.passes}
    if idle := [member.name for index, member in enumerate(ensemble.members) if index not in used]:
        raise KitError(f"no pass uses {', '.join(idle)}", where=where, fix=_FIX)


def _require_numbers(ensemble: Ensemble, where: Path) -> None:
    """Refuse costs and weights that no measurement and no tuning gives; NaN is refused when they are read."""
    for item in ensemble.passes:
        if item.seconds_per_megapixel > _MOST_SECONDS:
            problem = f"a pass of {ensemble.members[item.member].name} costs {item.seconds_per_megapixel:g} "
            raise KitError(
                f"{problem}seconds per megapixel, more than the {_MOST_SECONDS:g} of a whole run",
                where=where,
                fix=_FIX,
            )
    for number, rung in enumerate(ensemble.rungs, 1):
        if max(rung.weights) > _MOST_RATIO * min(rung.weights):
            raise KitError(
                f"its weights go from {min(rung.weights):g} to {max(rung.weights):g}: beside the largest, "
                "the smallest has no effect",
                where=f"{where}, rung {number}",
                fix=_FIX,
            )
    for name, value, most in (
        ("reserve_seconds", ensemble.reserve_seconds, _MOST_SECONDS),
        ("slowdown", ensemble.slowdown, _MOST_SLOWDOWN),
    ):
        if value > most:
            raise KitError(f"{name} is {value:g}, more than {most:g}", where=where, fix=_FIX)
