"""Render predict.py and predict.ipynb from an ensemble and a bundle.

predict.py is one file of readable code and needs no other source file. Equal inputs give equal bytes,
whatever the working directory, the clock or the hash seed is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kit import manifest as datasets
from kit.competitions import folder_of, of
from kit.ensemble import Ensemble
from kit.errors import KitError
from kit.inference.fusion import engine_of
from kit.local import own_sources
from kit.local.console import progress
from kit.local.costs import load_with_costs
from kit.local.dataset_folders import folders_for, folders_in
from kit.local.member_check import check_members
from kit.local.wording import counted
from kit.manifest import Manifest
from kit.models import family
from submission import excerpts
from submission.imports import imported
from submission.member_files import as_shipped, find_weights
from submission.modules import OPTIONS, Module, collect, source_root
from submission.notebook import notebook as notebook_of
from submission.parts import json_part
from submission.runtime.inputs.competition_data import ENSEMBLE, IMPORTS, MANIFESTS
from submission.runtime.inputs.package_plan import ENGINE
from submission.runtime.script.options import DEFAULT_BUDGET
from submission.runtime.script.text import script_text
from submission.script_file import Rendered, module_parts, write_script

ENTRIES = ("submission.runtime.main", "submission.runtime.script.importer")
"""Modules of the program, and of the importer that starts it."""
SERVER = ("submission.runtime.server.entry", "kit.competitions.server")
"""Modules that answer a gateway; only scripts of competitions with an evaluation API carry them."""


def render(
    ensemble_file: Path,
    bundle: Path,
    out: Path,
    *,
    read_weights: bool = True,
    budget: float = DEFAULT_BUDGET,
    hidden_images: int | None = None,
    hidden_megapixels: float | None = None,
) -> Rendered:
    """Write predict.py, and predict.ipynb into the same folder.

    Args:
        ensemble_file: ensemble.json.
        bundle: folder with the dataset folders that `bundle build` made for this ensemble.
        out: path of predict.py.
        read_weights: read the members' weights, too, and refuse NaN. Their names and shapes are always
            checked.
        budget: seconds that the script takes on Kaggle, where it gets no options.
        hidden_images: number of images in the hidden run; None: as the competition says.
        hidden_megapixels: of all of them together; None: as the competition says.

    Raises:
        KitError: the ensemble could not be run, a member's weights do not fit its network, the bundle lacks
            them, or the script would be too large for Kaggle.
    """
    ensemble = as_shipped(load_with_costs(ensemble_file), bundle)
    manifests = relevant_manifests(ensemble, bundle)
    files = find_weights(ensemble, bundle)
    with progress(transient=True) as display:
        task = display.add_task("check members", total=len(ensemble.members), note="")
        check_members(
            ensemble,
            files,
            where=ensemble_file,
            values=read_weights,
            on_checked=lambda _: display.advance(task),
        )
    modules = collect(source_root(), *entry_points(ensemble))
    parts = {ENSEMBLE: json_part(ensemble.as_dict(), ensemble_file)}
    parts |= {f"{MANIFESTS}{item.dataset}.json": json_part(item.as_dict(), bundle) for item in manifests}
    told = {
        "DEFAULT_BUDGET": None if budget == DEFAULT_BUDGET else budget,
        "HIDDEN_IMAGES": hidden_images,
        "HIDDEN_MEGAPIXELS": hidden_megapixels,
    }
    found = imported({module.path: module.text for module in modules} | own_texts(ensemble, ensemble_file))
    parts[IMPORTS] = json_part(found, ensemble_file)
    parts |= module_parts([_told(module, told) for module in modules])
    text = script_text(_header(ensemble, manifests, len(modules)), parts)
    return write_script(out, text, _notebook(text, of(ensemble).slug), len(modules))


def _told(module: Module, told: Mapping[str, float | None]) -> Module:
    """Return a module; that of the options with other defaults, where they are not None."""
    text = module.text
    for name, value in told.items() if module.path == OPTIONS else ():
        if value is not None:
            # "HIDDEN_IMAGES: int | None = None" becomes "HIDDEN_IMAGES: int | None = 650".
            text, count = re.subn(rf"(?m)^({name}\b.*) = .*$", rf"\g<1> = {value!r}", text)
            if count != 1:
                raise ValueError(f"{OPTIONS} sets {name} {count} times")
    return replace(module, text=text)


def entry_points(ensemble: Ensemble) -> list[str]:
    """Return the modules that predict.py needs; the modules that they import are embedded with them.

    These are the program, the engine of the kind, the code of its rows, the families of its members'
    networks, the server where its competition has an evaluation API, and the readers of images other than
    colour TIFFs.

    Args:
        ensemble: the one to render.

    Raises:
        KitError: a member's network is unknown.
    """
    # The program does not import the modules of one kind or family. It finds them by name when it runs, so a
    # script of U-Nets carries no detector. U-Nets add to `ENTRIES`: kit.competitions.semantic,
    # kit.inference.semantic_engine and kit.models.families.unet.
    families = {family(str(member.network.get("network"))) for member in ensemble.members}
    form = folder_of(ensemble).format
    engines = {f"kit.inference.{engine_of(member, ensemble.kind)}" for member in ensemble.members}
    of_kind = [f"kit.competitions.{form.module}", *sorted(engines)]
    if not form.plain:
        of_kind.append("kit.competitions.row_forms")
    if "parquet" in form.submission.file + form.submission.sample:
        of_kind.append("kit.competitions.parquet_tables")
    server = [] if form.server is None else SERVER
    images = form.images.rules.modules(form.images) if form.images.special else []
    return [*ENTRIES, *of_kind, *sorted(families), *server, *images]


def own_texts(ensemble: Ensemble, ensemble_file: Path) -> dict[str, str]:
    """Return the source of the ensemble's own models by file, and one that imports them as the adapter does.

    They travel in a wheel and not in the script; what they import is checked like all else.
    """
    texts: dict[str, str] = {}
    for member in own_sources.own_members(ensemble):
        module, name = member.network["module"], member.network["class_name"]
        path = own_sources.module_path(ensemble_file.parent / own_sources.FOLDER, module)
        files = own_sources.files_of(path)
        texts |= {file: data.decode(errors="replace") for file, data in files.items()}
        texts[f"{module}.{name}"] = f"from {module} import {name}\n"
    return texts


def relevant_manifests(ensemble: Ensemble, bundle: Path) -> list[Manifest]:
    """Return the parts of a bundle's manifests that an ensemble needs: wheels, and its members' weights.

    Datasets that say that they are for other competitions only, or hold wheels alone, are left out.

    Args:
        ensemble: its weights are looked up.
        bundle: folder with dataset folders.

    Returns:
        Manifests with the needed entries only, sorted by dataset.

    Raises:
        KitError: the bundle has no manifest for the competition, two of one name, or none that lists a
            member's weights.
    """
    # A bundle may hold more than the ensemble needs. With the manifests
    #   hubmap-kit-wheels           mmcv, timm, numpy, ...
    #   hubmap-kit-kidney-weights   unet.fold0, unet.fold1, unet.fold2
    #   hubmap-kit-organs-weights   segformer.fold0
    # an ensemble of unet.fold0 takes the wheels that unet.fold0 requires from the first, and one file from
    # the second.
    folders = folders_for(bundle, ensemble.competition)
    if not folders:
        others = ", ".join(folder.name for folder in folders_in(bundle))
        raise KitError(
            f"none of the datasets of this folder is for {ensemble.competition}: {others}"
            if others
            else "there is no manifest.json in this folder or its subfolders",
            where=bundle,
            fix="run `bundle build` with this ensemble.json first",
        )
    wanted = {member.sha256: member.name for member in ensemble.members}
    chosen: list[Manifest] = []
    held: set[str] = set()
    places: dict[str, Path] = {}
    for folder in folders:
        path = folder / datasets.NAME
        manifest = datasets.load(path)
        if (other := places.setdefault(manifest.dataset, path)) != path:
            raise KitError(
                f"two datasets of this folder have the name {manifest.dataset}: {other} and {path}",
                where=bundle,
                fix="remove one of the two folders; a copy of a dataset is not needed",
            )
        weights = {entry.part_of or entry.sha256 for entry in manifest.files if entry.role == "weights"}
        if weights & set(wanted) or any(entry.role == "wheel" for entry in manifest.files):
            chosen.append(manifest)
            held |= weights
    missing = sorted(name for sha256, name in wanted.items() if sha256 not in held)
    if missing:
        raise KitError(
            f"the bundle has no weights of {', '.join(missing)}",
            where=bundle,
            fix="run `bundle build` with this ensemble.json",
        )
    needed = excerpts.closure(
        chosen, {*ENGINE, *(name for member in ensemble.members for name in member.requires)}
    )
    carried = [excerpts.excerpt(item, weights=wanted, distributions=needed) for item in chosen]
    return sorted(carried, key=lambda manifest: manifest.dataset)


def _header(ensemble: Ensemble, manifests: Sequence[Manifest], modules: int) -> str:
    slug = of(ensemble).slug
    lines = [
        f"Submission to {slug}. Rendered: to change it, change the ensemble or the kit and render again.",
        "",
        "On Kaggle: attach the competition and the datasets below, switch the internet off, run this file",
        _what_it_does(ensemble),
        "Elsewhere: python predict.py --input DIR --output DIR --budget SECONDS --device cpu|cuda",
        "To see what it would do: python predict.py --explain",
        "",
        "Datasets and the sha256 of their manifest.json:",
        *(f"  {manifest.dataset}  {manifest.sha256()}" for manifest in manifests),
        "",
        "Members and the sha256 of their weights:",
        *(
            f"  {member.name} ({member.network.get('network')})  {member.sha256}"
            for member in ensemble.members
        ),
        "",
        f"Ladder, {counted(len(ensemble.rungs), 'rung')}:",
        *(
            f"  rung {number}: {len(rung.passes)} of {len(ensemble.passes)} passes ({rung.text}), "
            f"cv {'unknown' if rung.cv is None else f'{rung.cv:.4f}'}"
            for number, rung in enumerate(ensemble.rungs, 1)
        ),
        "",
        f"Below: ensemble.json, what it needs of the manifests, and {modules} modules of the repository.",
        "Their code is as it is there, indented by 2 spaces. Docstrings have one sentence, functions none",
        "and no types; comments are left out. '# +4' stands for 4 lines. Tracebacks name the repository's",
        "files and lines. The last lines start the program.",
    ]
    return "\n" + "\n".join(lines) + "\n"


def _what_it_does(ensemble: Ensemble) -> str:
    if folder_of(ensemble).format.server is None:
        return "without arguments. A valid submission.csv is there after seconds; better ones replace it."
    return "without arguments. It answers the gateway, which writes submission.parquet."


def _notebook(script: str, slug: str) -> str:
    """Return a notebook that writes the script and runs it as a process, whatever the kernel has done."""
    run = "!python /tmp/predict.py\nassert _exit_code == 0, 'only the fallback was written: see above'\n"
    return notebook_of(
        [
            ("markdown", f"# {slug}\n\nThe next cell writes `predict.py`, the last one runs it.\n"),
            ("code", "%%writefile /tmp/predict.py\n" + script),
            ("code", run),
        ]
    )
