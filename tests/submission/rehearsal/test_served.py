import json
import os
import sys
from dataclasses import asdict

import pandas as pd
import pytest

from kit.competitions.folder import CompetitionFolder
from kit.competitions.parsing import parse
from kit.competitions.presets import PRESETS
from kit.errors import KitError
from kit.local.offline import sandbox
from kit.local.targets import known
from submission.rehearsal.served import served_target, take_submission, with_loopback

TABLE = {"module": "kaggle_evaluation.x", "deadline": 60}
TALK = """
import json, os, socket
with socket.create_server(("localhost", 0)) as server:
    with socket.create_connection(server.getsockname()):
        heard = server.accept()[0] is not None
try:
    socket.create_connection(("192.0.2.1", 80), 2)
    outside = True
except OSError:
    outside = False
print(json.dumps([heard, outside]))
"""


def test_inside_the_sandbox_a_process_can_talk_to_itself_and_to_nobody_else(tmp_path):
    ran, enforced = sandbox.run(
        with_loopback([sys.executable, "-c", TALK]),
        read_only=[],
        cwd=tmp_path,
        environment={"PATH": os.environ["PATH"]},
        seconds=60,
    )
    assert ran.code == 0, ran.text
    heard, outside = json.loads(ran.text)
    assert heard
    assert not outside or not enforced.network


def test_what_a_gateway_writes_becomes_the_file_that_is_judged(tmp_path):
    competition = CompetitionFolder(
        parse({**PRESETS["vasculature"], "name": "served", "hidden_images": 9, "server": TABLE})
    )
    columns = {"prediction_string": ["0 0.5 x", ""], "height": [3, 4], "width": [5, 6], "id": ["a", "b"]}
    pd.DataFrame(columns).to_parquet(tmp_path / "submission.parquet")
    take_submission(tmp_path / "submission.parquet", tmp_path / "submission.csv", competition)
    expected = "id,height,width,prediction_string\na,3,5,0 0.5 x\nb,4,6,\n"
    assert (tmp_path / "submission.csv").read_text() == expected


@pytest.mark.parametrize("content", [b"no table", None])
def test_a_file_that_is_not_what_the_definition_says_is_refused_in_words(tmp_path, content):
    competition = CompetitionFolder(
        parse({**PRESETS["kidney"], "name": "served", "hidden_images": 9, "server": TABLE})
    )
    file = tmp_path / "submission.parquet"
    pd.DataFrame({"id": ["a"], "mask": ["1 2"]}).to_parquet(file)
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(KitError, match="the gateway's file cannot be used"):
        take_submission(file, tmp_path / "submission.csv", competition)


def test_the_simulated_image_has_what_the_package_imports():
    target = served_target(known()[0])
    assert {"grpcio", "pandas", "pyarrow"} <= target.packages().keys()
    assert asdict(target)["image_has"].items() >= known()[0].image_has.items()
