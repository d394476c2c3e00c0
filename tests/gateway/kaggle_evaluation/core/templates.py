"""What a competition derives its gateway and its inference server from."""

import json
import os
import shutil
from pathlib import Path

import pandas as pd
from kaggle_evaluation.core import relay


class GatewayError(Exception):
    """What the submission is refused for."""


class Gateway:
    """Asks for predictions batch by batch and writes the submission."""

    deadline = 3600.0
    row_id = "id"

    def __init__(self, client, data, shared):
        self.client, self.data, self.shared = client, Path(data), Path(shared)
        self.client.deadline = self.deadline

    def batches(self):
        """Yield the arguments of each call, and its row ids."""
        raise NotImplementedError

    def share(self, paths):
        """Show files to the server, under another path; they vanish with `unshare`."""
        shown = []
        for path in paths:
            place = self.shared / Path(path).relative_to("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
            place.symlink_to(path)
            shown.append(str(place))
        return shown

    def unshare(self):
        """Hide the files of the last batch."""
        shutil.rmtree(self.shared, ignore_errors=True)

    def run(self):
        """Ask for everything; write submission.parquet and, in the hidden run, result.json."""
        answers, ids = [], []
        try:
            for values, row_ids in self.batches():
                answer = self.client.send("predict", *values)
                self.unshare()
                self.check(answer, row_ids)
                answers.append(answer)
                ids += row_ids
            frame = pd.concat(answers, ignore_index=True)
            frame[self.row_id] = ids
            frame.to_parquet("submission.parquet", index=False)
            outcome = {"Succeeded": True}
        except GatewayError as error:
            outcome = {"Succeeded": False, "ErrorDetails": str(error)}
            if not os.environ.get("KAGGLE_IS_COMPETITION_RERUN"):
                raise
        if os.environ.get("KAGGLE_IS_COMPETITION_RERUN"):
            Path("result.json").write_text(json.dumps(outcome))

    def check(self, answer, row_ids):
        """Refuse what Kaggle refuses: no table, another number of rows, empty cells."""
        if not isinstance(answer, pd.DataFrame):
            raise GatewayError(f"the answer is {type(answer)}")
        if len(answer) != len(row_ids):
            raise GatewayError(f"expected {len(row_ids)} rows but received {len(answer)}")
        if answer.isna().any().any():
            raise GatewayError("the answer has null values")


class InferenceServer:
    """The server; a competition's own says which gateway tests it."""

    def __init__(self, *functions):
        self.server, self.port = relay.define_server(*functions)

    def _get_gateway_for_test(self, client, data):
        raise NotImplementedError

    def run(self, competition_data_folder=None):
        """Wait for the gateway in the hidden run; elsewhere be asked by one in this process."""
        self.server.start()
        if os.environ.get("KAGGLE_IS_COMPETITION_RERUN"):
            self.server.wait_for_termination()
            return
        client = relay.Client(self.port)
        try:
            self._get_gateway_for_test(client, competition_data_folder).run()
        finally:
            client.close()
            self.server.stop(0)
