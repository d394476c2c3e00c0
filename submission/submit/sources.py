"""What a rendered predict.py needs on Kaggle, and whether all of it was uploaded and verified."""

from __future__ import annotations

import ast
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit import ensemble as ensembles
from kit import manifest as manifests
from kit.artefacts import read_json, read_text, sha256_bytes, sha256_file, sha256_json
from kit.competitions import of
from kit.ensemble import Ensemble
from kit.errors import KitError
from kit.local.kaggle.wire import Wire
from submission.modules import OPTIONS
from submission.rehearsal.script_parts import budget_in
from submission.runtime.inputs.competition_data import ENSEMBLE, MANIFESTS

_RENDER = "render it again"


@dataclass(frozen=True)
class Script:
    """What a rendered predict.py says of itself.

    Attributes:
        path: the script or notebook.
        sha256: of the file.
        ensemble: in it.
        ensemble_sha256: of the ensemble's JSON.
        slug: of its competition on Kaggle.
        bundle: dataset -> sha256 of its manifest.json, as the bundle had it when the script was rendered.
        budget: seconds that it allows itself on Kaggle; None if the kit that rendered it wrote no number.
    """

    path: Path
    sha256: str
    ensemble: Ensemble
    ensemble_sha256: str
    slug: str
    bundle: dict[str, str]
    budget: float | None


@dataclass(frozen=True)
class Source:
    """A dataset or a model to attach.

    Attributes:
        kind: "dataset" or "model".
        id: as a kernel attaches it: "owner/name", or "owner/model/framework/variation/version".
        fingerprint: sha256 of its manifest.json.
        state: path of its state file.
    """

    kind: str
    id: str
    fingerprint: str
    state: Path


def read_script(path: Path) -> Script:
    """Read what a rendered script or notebook carries; nothing of it is executed.

    Raises:
        KitError: it cannot be read, or was not rendered by this kit.
    """
    try:
        text = read_text(path)
        parts = _parts(_code(text) if path.suffix == ".ipynb" else text)
        value = json.loads(parts[ENSEMBLE])
        texts = [part for name, part in sorted(parts.items()) if name.startswith(MANIFESTS)]
        held = [manifests.from_dict(json.loads(part), where=path) for part in texts]
    except (OSError, ValueError, SyntaxError, KeyError, TypeError, AttributeError) as error:
        raise KitError(f"this is no predict.py of the kit: {error}", where=path, fix=_RENDER) from error
    ensemble = ensembles.from_dict(value, where=path)
    return Script(
        path,
        sha256_bytes(text.encode()),
        ensemble,
        sha256_json(value),
        of(ensemble).slug,
        {manifest.dataset: manifest.sha256() for manifest in held},
        budget_in(parts.get(OPTIONS, "")),
    )


def _code(notebook: str) -> str:
    """The script in the notebook: the cell that writes predict.py, without its first line."""
    for cell in json.loads(notebook)["cells"]:
        source = "".join(cell["source"])
        first, _, rest = source.partition("\n")
        if cell["cell_type"] == "code" and first.startswith("%%writefile") and first.endswith("predict.py"):
            return rest
    raise ValueError("no cell writes predict.py")


def _parts(code: str) -> dict[str, str]:
    """The texts of all assignments PARTS["ensemble.json"] = '''...'''."""
    found: dict[str, str] = {}
    for node in ast.parse(code).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            name, value = ast.literal_eval(node.targets[0].slice), ast.literal_eval(node.value)
            if name in {ENSEMBLE, OPTIONS} or str(name).startswith(MANIFESTS):
                found[str(name)] = str(value)
    return found


def find_sources(script: Script, folder: Path) -> list[Source]:
    """Return what to attach, from the state files that `upload` wrote.

    Args:
        script: the rendered one.
        folder: with the state files of datasets and models.

    Raises:
        KitError: a dataset of the script was not uploaded, is not verified, or holds another bundle.
    """
    states = [
        (path, value)
        for path in sorted(folder.glob("*.json"))
        if isinstance(value := read_json(path), Mapping) and value.get("kind") in {"dataset", "model"}
    ]
    return [_source(name, fingerprint, states, folder) for name, fingerprint in script.bundle.items()]


def _source(
    name: str, fingerprint: str, states: Sequence[tuple[Path, Mapping[str, Any]]], folder: Path
) -> Source:
    upload = "run `upload` with the bundle that predict.py was rendered for, and wait until it says verified"
    same = [(path, value) for path, value in states if value.get("fingerprint") == fingerprint]
    verified = [(path, value) for path, value in same if value.get("stage") == "verified"]
    if verified:
        path, value = max(verified, key=lambda item: str((item[1].get("times") or {}).get("verified") or ""))
        return Source(str(value["kind"]), _attached(path, value), fingerprint, path)
    if same:
        path, value = same[0]
        raise KitError(
            f"the upload of {name} is not verified: it is {value.get('stage')}"
            f"{': ' + str(value['reason']) if value.get('reason') else ''}",
            where=path,
            fix=upload,
        )
    others = [path for path, value in states if str(value.get("id")).split("/")[1:2] == [name]]
    if others:
        raise KitError(
            f"{name} on Kaggle is of another bundle than predict.py was rendered for",
            where=others[0],
            fix=upload,
        )
    raise KitError(f"{name} was not uploaded", where=folder, fix=upload)


def _attached(path: Path, value: Mapping[str, Any]) -> str:
    """The name by which a kernel attaches it; a model's has its version, a dataset's newest is mounted."""
    if value["kind"] == "dataset":
        return str(value["id"])
    if not value.get("version"):
        raise KitError("the state file of this model has no version", where=path, fix="run `upload` again")
    return f"{value['id']}/{value['version']}"


def require_current(wire: Wire, sources: Sequence[Source]) -> None:
    """Refuse sources of which a kernel would not mount what was verified.

    Of a dataset a kernel mounts the newest version, of a model the one that it names.

    Args:
        wire: to Kaggle.
        sources: to attach.

    Raises:
        KitError: a dataset was changed since, a model's version is another one, or a manifest.json cannot be
            fetched.
    """
    for source in sources:
        method, asked = _manifest_of(source)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / manifests.NAME
            wire.download(method, asked, file)
            same = sha256_file(file) == source.fingerprint
        if not same:
            what = "this version of" if source.kind == "model" else "the newest version of"
            raise KitError(
                f"{what} {source.id} on Kaggle is of another bundle than was verified",
                where=source.state,
                fix="run `upload` again, then submit",
            )


def _manifest_of(source: Source) -> tuple[str, dict[str, Any]]:
    """The call that leads to a source's manifest.json, and its request."""
    if source.kind == "dataset":
        owner, _, name = source.id.partition("/")
        asked = {"ownerSlug": owner, "datasetSlug": name, "fileName": manifests.NAME, "raw": True}
        return "datasets.DownloadDataset", asked
    owner, model, framework, variation, version = source.id.split("/")
    names = {"ownerSlug": owner, "modelSlug": model, "framework": framework, "instanceSlug": variation}
    asked = {**names, "versionNumber": int(version), "path": manifests.NAME}
    return "models.DownloadModelInstanceVersion", asked
