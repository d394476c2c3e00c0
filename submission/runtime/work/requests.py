"""Makes the request for a task: which files a worker reads, and where it writes."""

from __future__ import annotations

from pathlib import Path

from kit.artefacts import write_json
from kit.file_names import file_name
from kit.inference.store import pass_file
from kit.plan.set_aside import is_hard
from kit.plan.state import LadderState, results_to_average
from kit.plan.tasks import FuseTask, MeanTask, PassTask, Task, ValidateTask
from submission.runtime.inputs.competition_data import Data
from submission.runtime.work.messages import (
    FuseRequest,
    MeanRequest,
    PassRequest,
    Request,
    StoredResult,
    ValidateRequest,
)

_MOST_HALVINGS = 2


class Requests:
    """Makes requests; all results of a run lie in `scratch`.

    Args:
        state: of the ladder; knows the stored results.
        data: the test images.
        scratch: the folder.
        batch_size: instead of the members' own.

    Attributes:
        weights: member -> path of its weights, as far as they are verified.
    """

    def __init__(self, state: LadderState, data: Data, scratch: Path, batch_size: int | None) -> None:
        # Below scratch:
        #     passes/<member>-<hash>/<view>/<image>.npy    result of a pass; .npz for detections
        #     means/<pass>/<image>.npy                     running mean after that pass was added
        #     rows/<rung>/<image>.row.json                 row of a rung
        #     confident/<rung>/<image>.blocks              confident blocks of its mask, some kB
        #     sizes.json                                   sizes of all images, for the validator
        self.state, self.data, self.scratch, self.batch_size = state, data, scratch, batch_size
        self.weights: dict[int, str] = {}
        self._halved: dict[int, int] = {}
        self._sizes = scratch / "sizes.json"
        write_json(self._sizes, dict(data.submission.sizes))

    @property
    def result_folders(self) -> list[Path]:
        """Folders with results that are needed only until their rows are fused."""
        return [self.scratch / "passes", self.scratch / "means"]

    def request(self, task: Task) -> Request:
        """Return the request for a task."""
        match task:
            case PassTask():
                return self._run_pass(task)
            case MeanTask():
                return self._average(task)
            case FuseTask():
                return self._fuse(task)
            case ValidateTask():
                return ValidateRequest(file=task.file, sizes=str(self._sizes))

    def files(self, task: PassTask) -> list[str]:
        """Return the files that a pass reads: weights, if they are verified by now, and the image."""
        weights = self.weights.get(self.state.ensemble.passes[task.index].member)
        return [*([] if weights is None else [weights]), str(self.data.paths[task.image])]

    def result_file(self, task: PassTask) -> Path:
        """Return the path where a worker stores the result of a pass."""
        ensemble = self.state.ensemble
        item = ensemble.passes[task.index]
        return pass_file(
            self.scratch / "passes",
            ensemble.members[item.member],
            item.view,
            task.image,
            kind=ensemble.kind,
            info=self.data.infos[task.image],
        )

    def _run_pass(self, task: PassTask) -> PassRequest:
        known = self.state.rungs.left.get(task.image)
        return PassRequest(
            index=task.index,
            image=task.image,
            path=str(self.data.paths[task.image]),
            weights=self.weights[self.state.ensemble.passes[task.index].member],
            out=str(self.scratch / "passes"),
            # A second try uses a batch of one, because the first may have failed for lack of memory.
            batch_size=1 if task.attempt else self.batch_size,
            info=self.data.infos[task.image],
            halvings=self._halvings(task),
            confident=None if known is None else self._confident(known[0], task.image),
        )

    def keep_halved(self, task: PassTask, halvings: int) -> None:
        """Let a member see all further images in windows that memory held: a failure costs a process."""
        member = self.state.ensemble.passes[task.index].member
        if halvings > self._halved.get(member, 0):
            self._halved[member] = halvings

    def _halvings(self, task: PassTask) -> int:
        """Return how often windows are halved: with each chance, after memory ran out with a batch of one."""
        member = self.state.ensemble.passes[task.index].member
        return max(self._halved.get(member, 0), self._more_halvings(task))

    def _more_halvings(self, task: PassTask) -> int:
        chances = self.state.chances
        if chances.latest is None or not is_hard(self.state, task):
            return 0
        ran_out = self.state.losses.stages.get(chances.latest) == "memory"
        return min(chances.given[chances.latest], _MOST_HALVINGS) if ran_out else 0

    def _average(self, task: MeanTask) -> MeanRequest:
        inputs = results_to_average(self.state, task)
        return MeanRequest(
            files=tuple(file for file, _ in inputs),
            weights=tuple(weight for _, weight in inputs),
            target=str(self.scratch / "means" / str(task.index) / f"{file_name(task.image)}.npy"),
        )

    def _fuse(self, task: FuseTask) -> FuseRequest:
        # All files carry the image's name; only their folders differ. See `work.messages` for the reason.
        inputs = self.state.results_to_fuse(task)
        names = {Path(file).name for _, file, _ in inputs}
        assert len(names) == 1, names
        return FuseRequest(
            rung=task.rung,
            image=task.image,
            size=self.data.submission.sizes[task.image],
            info=self.data.infos[task.image],
            folder=str(self.scratch),
            name=names.pop(),
            results=tuple(
                StoredResult(
                    index=index,
                    place=str(Path(file).parent.relative_to(self.scratch)),
                    weight=weight,
                )
                for index, file, weight in inputs
            ),
            row=str(self.scratch / "rows" / str(task.rung) / f"{file_name(task.image)}.row.json"),
            confident=self._confident(task.rung, task.image),
        )

    def _confident(self, rung: int, image: str) -> str:
        return str(self.scratch / "confident" / str(rung) / f"{file_name(image)}.blocks")
