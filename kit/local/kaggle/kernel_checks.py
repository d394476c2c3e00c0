"""What is wrong with a kernel: before it is pushed, in the answer to the push, and in what is read back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kit.errors import KitError
from kit.local.kaggle.kernel_metadata import GPU_PREFIX, TPU_PREFIX, Kernel
from kit.local.kaggle.outcome import Refused
from kit.local.kaggle.wire import Wire

_INVALID = {
    "invalidDatasetSources": "dataset",
    "invalidModelSources": "model",
    "invalidCompetitionSources": "competition",
    "invalidKernelSources": "kernel",
    "invalidTags": "tag",
}
_FIXES = (
    # (words in Kaggle's text, what to do); the first that fits is told.
    (
        "session count",
        "wait until one of your running sessions ends, or stop one on Kaggle, then run this again",
    ),
    ("quota", "wait for the weekly reset, or ask for another accelerator with --accelerator"),
    ("internet", "leave --internet off: the competition does not allow it"),
    ("rules", "accept the competition's rules on its page, then run this again"),
    ("phone", "verify your phone number in the account's settings: Kaggle asks for it before GPU sessions"),
    ("already", "choose another --title: this name is taken"),
)


def before(wire: Wire, kernel: Kernel, there: Mapping[str, Any] | None, say: Callable[[str], None]) -> None:
    """Refuse what is certain to go wrong, while nothing has been sent.

    Args:
        wire: to Kaggle.
        kernel: what is wanted.
        there: GetKernel's answer for this name; None for a new kernel.
        say: takes notes for the user.

    Raises:
        KitError: the name is taken, a setting that can't be changed differs, a dataset isn't ready, or the
            week's hours on this kind of accelerator are used up.
    """
    if there is None:
        _check_name_is_free(wire, kernel)
    else:
        _check_fixed_settings(kernel, dict(there.get("metadata") or {}))
    for dataset in kernel.datasets:
        _check_ready(wire, dataset)
    if kernel.accelerator is not None:
        _check_quota(wire, kernel.accelerator, say)


def refusal(kernel_id: str, reason: str) -> KitError:
    """Return the error for a push that Kaggle refused with a reason."""
    low = reason.lower()
    fix = next((fix for words, fix in _FIXES if words in low), "do what Kaggle says, then run this again")
    return KitError(f"Kaggle refused the kernel {kernel_id}: {reason}", where=kernel_id, fix=fix)


def of_answer(kernel_id: str, answer: Mapping[str, Any]) -> KitError | None:
    """Return what is wrong with SaveKernel's answer, None if nothing is.

    Kaggle answers 200 and starts the run even if it left out a source, and answers 200 with an `error` if it
    started none.
    """
    if answer.get("error"):
        return refusal(kernel_id, str(answer["error"]))
    left_out = [f"{kind} {name}" for field, kind in _INVALID.items() for name in answer.get(field) or ()]
    if left_out:
        return KitError(
            f"Kaggle pushed the kernel {kernel_id} without {', '.join(left_out)}",
            where=answer.get("url") or kernel_id,
            fix="stop its run on that page, upload what is missing until it is ready, and push again",
        )
    # "/code/owner/name" and "owner/name" both mean the kernel; without either, reading back will tell.
    ref = "/".join(str(answer.get("ref") or answer.get("url") or kernel_id).rstrip("/").split("/")[-2:])
    if ref.lower() != kernel_id.lower():
        return KitError(
            f"Kaggle made the kernel {ref}, and {kernel_id} was asked for",
            where=answer.get("url") or ref,
            fix="delete it there and choose another --title",
        )
    return None


def differences(kernel: Kernel, got: Mapping[str, Any], *, ours: bool) -> list[str]:
    """Return how a kernel on Kaggle differs from what was asked for, in words.

    A field that Kaggle leaves out has its default there: false, nothing, an empty list. Machine and image are
    compared where they are told; the run's own output tells them for certain.

    Args:
        kernel: as asked for.
        got: `metadata` of GetKernel.
        ours: whether its source is the one that was pushed.
    """
    found = [] if ours else ["its source is another one"]
    for field, asked in (
        ("datasetDataSources", kernel.datasets),
        ("modelDataSources", kernel.models),
        ("competitionDataSources", kernel.competitions),
        ("kernelDataSources", kernel.kernels),
    ):
        found += _source_differences(asked, got.get(field) or ())
    for field, what, wanted in (
        ("isPrivate", "private", kernel.private),
        ("enableInternet", "allowed to use the internet", kernel.internet),
    ):
        if bool(got.get(field)) != wanted:
            found.append(f"it is {'not ' if wanted else ''}{what}")
    for field, asked_for in (("machineShape", kernel.accelerator), ("dockerImage", kernel.image)):
        answer = got.get(field)
        # One image has several names, of which the digest is the same: .../python@sha256:...
        same = str(answer).lower().rpartition("@")[2] == (asked_for or "").lower().rpartition("@")[2]
        if asked_for is not None and answer and not same:
            found.append(f"it got {answer} instead of {asked_for}")
    return found


def _source_differences(asked: Sequence[str], got: Sequence[Any]) -> list[str]:
    # A competition may come back as "competitions/name".
    ours = {name.lower(): name for name in asked}
    theirs = {str(name).lower().removeprefix("competitions/"): str(name) for name in got}
    return [
        *(f"{name} is not attached" for key, name in ours.items() if key not in theirs),
        *(f"{name} is attached, too" for key, name in theirs.items() if key not in ours),
    ]


def _check_name_is_free(wire: Wire, kernel: Kernel) -> None:
    owner, _, name = kernel.id.partition("/")
    try:
        wire.rpc("datasets.GetDatasetStatus", {"ownerSlug": owner, "datasetSlug": name})
    except Refused as error:
        if error.status in {403, 404}:
            return
        raise
    raise KitError(
        f"{kernel.id} is a dataset of yours, and a kernel cannot have the same name",
        where="--title",
        fix="choose another --title",
    )


def _check_fixed_settings(kernel: Kernel, got: Mapping[str, Any]) -> None:
    kind = str(got.get("kernelType") or kernel.kind).lower()
    if kind != kernel.kind:
        raise KitError(
            f"{kernel.id} is a {kind}; Kaggle does not turn it into a {kernel.kind}",
            where="--title",
            fix="choose another --title",
        )
    if kernel.private and not got.get("isPrivate"):
        raise KitError(
            f"{kernel.id} is public, and a push does not make it private",
            where=kernel.id,
            fix="make it private on its page, or choose another --title",
        )


def _check_ready(wire: Wire, dataset: str) -> None:
    owner, _, name = dataset.partition("/")
    try:
        value = wire.rpc("datasets.GetDatasetStatus", {"ownerSlug": owner, "datasetSlug": name}).value
        status = str(value.get("status") or "no status").upper()
    except Refused as error:
        if error.status not in {403, 404}:
            raise
        status = "not there"
    if status != "READY":
        raise KitError(
            f"the dataset {dataset} is not ready ({status}): Kaggle would push the kernel without it",
            where=dataset,
            fix="run `upload` until it says verified",
        )


def _check_quota(wire: Wire, accelerator: str, say: Callable[[str], None]) -> None:
    try:
        value = wire.rpc("kernels.GetAcceleratorQuotaStatistics", {}).value
    except Refused as error:
        say(f"the week's accelerator hours are not known: {error.reason}")
        return
    field = {GPU_PREFIX: "gpuQuota", TPU_PREFIX: "tpuQuota"}[
        GPU_PREFIX if accelerator.startswith(GPU_PREFIX) else TPU_PREFIX
    ]
    quota = value.get(field) or {}
    used, allowed = _hours(quota.get("timeUsed")), _hours(quota.get("totalTimeAllowed"))
    if used is None or allowed is None:
        return
    if used >= allowed and not quota.get("isPayToScaleEnabled"):
        reset = value.get("quotaRefreshTime") or "Saturday 00:00 UTC"
        raise KitError(
            f"{used:.1f} of this week's {allowed:.1f} hours on accelerators of this kind are used",
            where="--accelerator",
            fix=f"wait for the reset ({reset}), or use --accelerator cpu",
        )
    say(f"accelerator hours: {used:.1f} of {allowed:.1f} used this week")


def _hours(duration: Any) -> float | None:
    """Hours of a duration in Kaggle's form: "5400.500s" gives 1.5001."""
    try:
        return float(str(duration).removesuffix("s")) / 3600
    except ValueError:
        return None
