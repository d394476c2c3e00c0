"""Push a kernel so that what runs on Kaggle is what was asked for, and nothing runs twice.

Kaggle's own client calls a push a success that lost a dataset, got another machine or never started, and has
no answer to a lost connection. Here one call is sent, everything is read back, and an unclear end is followed
by a look.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.errors import KitError
from kit.local.kaggle import kernel_checks, kernel_state
from kit.local.kaggle.kernel_metadata import Kernel, request, request_identity, source_text, text_identity
from kit.local.kaggle.kernel_state import KernelState
from kit.local.kaggle.outcome import Refused, Unclear, Unreachable
from kit.local.kaggle.wire import Wire
from kit.local.locks import only_one

NOT_THERE = frozenset({403, 404})
"""Statuses of a kernel that doesn't exist. Kaggle answers 403 for names of the account that are free, too."""


@dataclass(frozen=True)
class Pushed:
    """A version of a kernel that Kaggle took, read back and found to be as asked.

    Attributes:
        id: "owner/name".
        version: its number.
        url: its page.
        machine_got: Kaggle's name of its machine; None where Kaggle did not tell.
        image_got: container reference; None where Kaggle did not tell.
        state: path of its state file.
    """

    id: str
    version: int
    url: str
    machine_got: str | None
    image_got: str | None
    state: Path


def push(
    wire: Wire,
    kernel: Kernel,
    state: Path,
    *,
    fingerprints: Mapping[str, str] | None = None,
    reuse_finished: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> Pushed:
    """Push a kernel and start its run, or find the version that an earlier call pushed.

    Args:
        wire: to Kaggle.
        kernel: what is wanted.
        state: path of its state file; one process at a time holds it.
        fingerprints: source -> fingerprint of its content, for the state file.
        reuse_finished: take a version whose run is at its end; else push a new one, which runs now.
        say: takes notes for the user.

    Raises:
        KitError: Kaggle refused the kernel or made another one than was asked for, or it is not known whether
            Kaggle took it. Nothing is sent a second time in one call.
    """
    text = source_text(kernel)
    fields = request(kernel, text)
    asked = KernelState(
        id=kernel.id,
        stage="pushing",
        request_sha256=request_identity(fields),
        source_sha256=text_identity(text),
        previous_version=0,
        sources={
            name: (fingerprints or {}).get(name)
            for name in (*kernel.datasets, *kernel.models, *kernel.competitions, *kernel.kernels)
        },
        image=kernel.image,
        accelerator={"asked": kernel.accelerator, "got": None},
        private=kernel.private,
    )
    with only_one(kernel_state.lock_of(state), doing="works on this kernel"):
        before = kernel_state.read(state)
        if before is not None and before.stage == "complete" and not reuse_finished:
            before = None
        if (known := _pushed_before(wire, asked, before)) is not None:
            say(f"{kernel.id} version {known.version} was pushed before; it is not pushed again")
        else:
            there = read_back(wire, kernel.id, None)
            kernel_checks.before(wire, kernel, there, say)
            current = int(_metadata(there).get("currentVersionNumber") or 0) if there else 0
            asked = kernel_state.save(state, asked.at("pushing", previous_version=current))
            known = _send(wire, asked, fields, state)
        return _as_asked(wire, kernel, known, state, say)


def read_back(wire: Wire, kernel_id: str, version: int | None) -> dict[str, Any] | None:
    """Return the answer of GetKernel for a version (None: the newest); None if Kaggle has no such kernel."""
    owner, _, name = kernel_id.partition("/")
    asked: dict[str, Any] = {"userName": owner, "kernelSlug": name}
    if version is not None:
        asked["versionLabel"] = f"v{version}"
    try:
        return wire.rpc("kernels.GetKernel", asked, never_empty=True).value
    except Refused as error:
        if error.status in NOT_THERE:
            return None
        raise


def _metadata(there: Mapping[str, Any] | None) -> dict[str, Any]:
    return dict((there or {}).get("metadata") or {})


def _pushed_before(wire: Wire, asked: KernelState, before: KernelState | None) -> KernelState | None:
    """The state of the version that holds exactly what is asked for, if Kaggle still has it."""
    if before is None or before.request_sha256 != asked.request_sha256 or before.stage == "failed":
        return None
    if before.version is None:
        # Killed, or the answer was lost: the call may have come through.
        return _found(wire, before)
    there = read_back(wire, before.id, before.version)
    return before if there is not None and _holds(there, before) else None


def _holds(there: Mapping[str, Any], asked: KernelState) -> bool:
    source = (there.get("blob") or {}).get("source")
    return isinstance(source, str) and text_identity(source) == asked.source_sha256


def _found(wire: Wire, asked: KernelState) -> KernelState | None:
    """Look for the version that a call without an answer made."""
    # The newest version was 6 before the call. Now it is 7, and its source is ours: the call came through.
    newest = read_back(wire, asked.id, None)
    version = int(_metadata(newest).get("currentVersionNumber") or asked.previous_version + 1)
    if newest is None or version <= asked.previous_version:
        return None
    there = read_back(wire, asked.id, version)
    return asked.at("pushed", version=version) if there is not None and _holds(there, asked) else None


def _send(wire: Wire, asked: KernelState, fields: dict[str, Any], state: Path) -> KernelState:
    """Send the one call and return the state of the version it made."""
    try:
        answer = wire.rpc("kernels.SaveKernel", fields, writes=True).value
    except Unclear as unclear:
        return _after_unclear(wire, asked, state, unclear)
    except Unreachable as unsent:
        raise _failed(state, asked, unsent) from None
    except Refused as refused:
        raise _failed(state, asked, kernel_checks.refusal(asked.id, refused.reason)) from refused
    known = asked.at(
        "pushed",
        version=int(answer["versionNumber"]) if answer.get("versionNumber") else None,
        kernel_id=int(answer["kernelId"]) if answer.get("kernelId") else None,
        url=answer.get("url") or None,
    )
    if (problem := kernel_checks.of_answer(asked.id, answer)) is not None:
        raise _failed(state, known, problem)
    if known.version is None:
        unnamed = Unclear("kernels.SaveKernel", "Kaggle took the kernel and named no version")
        return _after_unclear(wire, known, state, unnamed)
    return kernel_state.save(state, known)


def _after_unclear(wire: Wire, asked: KernelState, state: Path, unclear: KitError) -> KernelState:
    until = time.monotonic() + wire.patience.settle
    while True:
        if (found := _found(wire, asked)) is not None:
            return kernel_state.save(state, found)
        if time.monotonic() >= until:
            raise KitError(
                f"it is not known whether Kaggle took the kernel {asked.id}: {unclear.problem}",
                where=state,
                fix="look at your kernels' page, or run the same command again: it looks before it pushes",
            ) from unclear
        time.sleep(min(wire.patience.poll, wire.patience.settle))


def _as_asked(
    wire: Wire,
    kernel: Kernel,
    known: KernelState,
    state: Path,
    say: Callable[[str], None],
) -> Pushed:
    """Compare what Kaggle has with what was asked for."""
    assert known.version is not None
    until = time.monotonic() + wire.patience.settle
    while True:
        there = read_back(wire, kernel.id, known.version)
        got = _metadata(there)
        wrong = (
            ["Kaggle does not show it"]
            if there is None
            else kernel_checks.differences(kernel, got, ours=_holds(there, known))
        )
        if not wrong:
            break
        # The answer may be of the version before for some seconds.
        if time.monotonic() >= until:
            problem = KitError(
                f"{kernel.id} version {known.version} is not what was asked for: {'; '.join(wrong)}",
                where=known.url or kernel.id,
                fix="stop its run on that page, correct what is named here and push again",
            )
            raise _failed(state, known, problem)
        time.sleep(min(wire.patience.poll, wire.patience.settle))
    machine, image = got.get("machineShape") or None, got.get("dockerImage") or None
    for name, asked, answer in (
        ("machine", kernel.accelerator, machine),
        ("image", kernel.image, image),
    ):
        if asked is not None and answer is None:
            say(f"Kaggle does not tell the {name} of {kernel.id} yet; the run's own output will")
    url = known.url or str(got.get("ref") or kernel.id)
    if known.stage in {"pushing", "pushed"}:
        accelerator = {"asked": kernel.accelerator, "got": machine}
        known = kernel_state.save(state, known.at("pushed", accelerator=accelerator, url=url))
    return Pushed(kernel.id, known.version or 0, url, machine, image, state)


def _failed(state: Path, known: KernelState, problem: KitError) -> KitError:
    kernel_state.save(state, known.at("failed", reason=problem.problem))
    return problem
