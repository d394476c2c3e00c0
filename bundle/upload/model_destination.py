"""Weights as a Kaggle model: a variation of it is mounted by its version, so a kernel keeps what it had.

    /kaggle/input/models/<owner>/<model>/<framework>/<variation>/<version>

Of a model less can be asked than of a dataset: no version has notes or a status that can be read. A version
counts as ready when its files are listed, and ours is known by its number and by the manifest in it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bundle.upload.create import is_taken
from bundle.upload.destination import NOT_THERE, RemoteVersion, There, all_pages, told_private
from bundle.upload.expected import RemoteEntry
from kit.errors import KitError
from kit.local.kaggle.outcome import Refused
from kit.local.kaggle.wire import Wire

FRAMEWORK = "pyTorch"
VARIATION = "default"
_FRAMEWORK_ON_WIRE = "MODEL_FRAMEWORK_PY_TORCH"
_LICENCES = {
    "apache-2.0": "Apache 2.0",
    "CC0-1.0": "CC0: Public Domain",
    "CC-BY-4.0": "Attribution 4.0 International (CC BY 4.0)",
    "CC-BY-NC-4.0": "Attribution-NonCommercial 4.0 International (CC BY-NC 4.0)",
    "CC-BY-NC-SA-4.0": "CC BY-NC-SA 4.0",
    "CC-BY-SA-3.0": "CC BY-SA 3.0",
    "CC-BY-SA-4.0": "CC BY-SA 4.0",
    "GPL-2.0": "GPL 2",
    "GPL-3.0": "GPL 3",
    "LGPL-3.0": "GNU Lesser General Public License 3.0",
    "AGPL-3.0": "GNU Affero General Public License 3.0",
    "FDL-1.3": "GNU Free Documentation License 1.3",
    "ODC-BY-1.0": "ODC Attribution License (ODC-By)",
    "PDDL": "ODC Public Domain Dedication and Licence (PDDL)",
    "MIT": "MIT",
    "BSD-3-Clause": "BSD-3-Clause",
}
"""Licences of datasets, and two that only models have -> what a model's licence is called."""


def licence_of(name: str) -> str:
    """Return what Kaggle calls a licence of a model.

    Args:
        name: as a dataset has it ("apache-2.0"), or "MIT", "BSD-3-Clause".

    Raises:
        KitError: a model cannot have it ("other", "unknown").
    """
    if name not in _LICENCES:
        raise KitError(
            f"a model on Kaggle cannot have the licence {name!r}",
            where="--model-licence",
            fix=f"give one of {', '.join(sorted(_LICENCES))}, or upload the weights as a dataset",
        )
    return _LICENCES[name]


@dataclass(frozen=True)
class ModelDestination:
    """A variation of a model of an account.

    Args:
        owner: account.
        slug: of the model.
        metadata: content of the dataset-metadata.json beside the files.
        private: whether only the owner may see it.
        licence: as Kaggle calls it (`licence_of`).
    """

    owner: str
    slug: str
    metadata: Mapping[str, Any]
    private: bool
    licence: str
    kind: Literal["model"] = "model"
    blob_type: Literal["MODEL"] = "MODEL"

    @property
    def id(self) -> str:
        """As `Destination`: "owner/model/framework/variation"."""
        return f"{self.owner}/{self.slug}/{FRAMEWORK}/{VARIATION}"

    @property
    def url(self) -> str:
        """As `Destination`."""
        return f"https://www.kaggle.com/models/{self.id}"

    @property
    def _model(self) -> dict[str, Any]:
        return {"ownerSlug": self.owner, "modelSlug": self.slug}

    @property
    def _variation(self) -> dict[str, Any]:
        return {**self._model, "framework": _FRAMEWORK_ON_WIRE, "instanceSlug": VARIATION}

    def look(self, wire: Wire) -> There:
        """As `Destination`. The privacy is the model's, also while it has no variation of ours.

        Raises:
            CallError: nobody knows what is there.
        """
        model = _asked(wire, "models.GetModel", self._model, never_empty=True)
        if model is None:
            return There(exists=False)
        private = told_private(model)
        variation = _asked(wire, "models.GetModelInstance", self._variation, never_empty=True)
        if variation is None:
            return There(exists=False, private=private)
        number = int(variation.get("versionNumber") or 0) or None
        # The overview is written with the first version, and has its build id.
        first = (RemoteVersion(1, str(variation.get("overview") or ""), ""),) if number == 1 else ()
        listed = number is not None and self._page(wire, number)
        return There(
            exists=True,
            status="READY" if listed else "PROCESSING",
            private=private,
            current=number,
            versions=first,
        )

    def _page(self, wire: Wire, version: int) -> bool:
        """Whether the files of a version are listed."""
        request = {**self._variation, "versionNumber": version, "pageSize": 1}
        value = _asked(wire, "models.ListModelInstanceVersionFiles", request)
        return bool(value and value.get("files"))

    def publish(self, wire: Wire, tokens: Sequence[str], build_id: str, there: There) -> None:
        """As `Destination`: a version of the variation; model and variation first, if they are new."""
        files = [{"token": token} for token in tokens]
        if there.exists:
            version = {"versionNotes": f"kit {build_id}", "files": files}
            request = {**self._variation, "body": version}
            wire.rpc("models.CreateModelInstanceVersion", request, writes=True)
            return
        if there.private is None and _asked(wire, "models.GetModel", self._model, never_empty=True) is None:
            self._create_model(wire)
            self._await_model(wire)
        body: dict[str, Any] = {
            "instanceSlug": VARIATION,
            "framework": _FRAMEWORK_ON_WIRE,
            "overview": f"kit {build_id}",
            "usage": self.metadata.get("description") or "",
            "licenseName": self.licence,
            "fineTunable": False,
            "files": files,
        }
        wire.rpc("models.CreateModelInstance", {**self._model, "body": body}, writes=True)

    def _create_model(self, wire: Wire) -> None:
        request = {
            "ownerSlug": self.owner,
            "slug": self.slug,
            "title": self.metadata["title"],
            "subtitle": self.metadata.get("subtitle") or "",
            "description": self.metadata.get("description") or "",
            "isPrivate": self.private,
        }
        try:
            wire.rpc("models.CreateModel", request, writes=True)
        except Refused as error:
            # A former call made it, and Kaggle does not show it yet. If it is somebody else's name, the next
            # call is refused.
            if not is_taken(error):
                raise

    def _await_model(self, wire: Wire) -> None:
        """Wait until Kaggle shows a new model, at most `pending` seconds; before, it takes no variation."""
        end = time.monotonic() + wire.patience.pending
        while (
            _asked(wire, "models.GetModel", self._model, never_empty=True) is None and time.monotonic() < end
        ):
            time.sleep(wire.patience.poll)

    def listing(self, wire: Wire, version: int | None) -> list[RemoteEntry]:
        """As `Destination`."""
        request = self._variation | ({"versionNumber": version} if version else {})
        return all_pages(wire, "models.ListModelInstanceVersionFiles", request, files="files", size="size")

    def file_request(self, name: str, version: int | None) -> tuple[str, dict[str, Any]]:
        """As `Destination`; a model's file belongs to a version, so there is no request without one."""
        if version is None:
            raise KitError(
                "Kaggle does not say which version of the model is there",
                where=self.id,
                fix="run the same command again in some minutes",
            )
        request = {**self._variation, "versionNumber": version, "path": name}
        return "models.DownloadModelInstanceVersion", request


def _asked(
    wire: Wire, method: str, request: Mapping[str, Any], *, never_empty: bool = False
) -> dict[str, Any] | None:
    """Return an answer; None where Kaggle says that there is no such thing, or shows it to nobody yet."""
    try:
        return dict(wire.rpc(method, request, never_empty=never_empty).value)
    except Refused as error:
        if error.status in NOT_THERE:
            return None
        raise
