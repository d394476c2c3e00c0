"""Check an ensemble's free words before it is rendered, so that a mistake shows here and not on Kaggle."""

from __future__ import annotations

from pathlib import Path

from kit.ensemble import Ensemble
from kit.errors import KitError
from kit.models import check, spec
from kit.typed_json import from_plain

_FIX = "run `ensemble` again"


def require_usable(ensemble: Ensemble, where: Path) -> None:
    """Check networks, settings and views as the workers will.

    Args:
        ensemble: to be rendered.
        where: its file, for messages.

    Raises:
        KitError: a word is unknown or a value cannot be; the message names the member or rung.
    """
    from kit.inference import views  # needs torch
    from kit.inference.instance_settings import InstanceFusion, InstanceSettings
    from kit.inference.semantic_settings import SemanticFusion, SemanticSettings

    semantic = ensemble.kind == "semantic"
    for member in ensemble.members:
        place = f"{where}, member {member.name}"
        try:
            check(member.network)
        except KitError as error:
            raise KitError(
                f"{error.problem} ({error.where or 'network'})", where=place, fix=error.fix
            ) from error
        predicts = spec(str(member.network.get("network"))).kind
        if predicts != ensemble.kind:
            problem = f"its network predicts {predicts} masks, and the ensemble is {ensemble.kind}"
            raise KitError(problem, where=place, fix=_FIX)
        from_plain(
            SemanticSettings if semantic else InstanceSettings, member.inference, where=place, fix=_FIX
        )
    for item in ensemble.passes:
        try:
            views.get_set(item.view)
        except KitError as error:
            raise KitError(error.problem, where=where, fix=error.fix) from error
    for number, rung in enumerate(ensemble.rungs, 1):
        place = f"{where}, rung {number}"
        from_plain(SemanticFusion if semantic else InstanceFusion, rung.settings, where=place, fix=_FIX)
