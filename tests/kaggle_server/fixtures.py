"""A loopback Kaggle and a wire to it."""

import pytest

from kit.local.kaggle.patience import Patience
from kit.local.kaggle.wire import Wire
from tests.kaggle_server.faults import Faults
from tests.kaggle_server.server import REMOVED, Server
from tests.kaggle_server.world import World

# Short pauses; limits that must not be reached are minutes.
QUICK = {"first": 0.01, "most": 0.05, "poll": 0.05, "settle": 2, "outage": 120, "limit": 300, "pending": 120}


@pytest.fixture
def kaggle(tmp_path, monkeypatch):
    """Start a server with these faults; the variables of this process lead to it."""
    started = []

    def start(*faults, way="key", **world):
        server = Server(World(faults=Faults(*faults), **world)).__enter__()
        started.append(server)
        for name in REMOVED:
            monkeypatch.delenv(name, raising=False)
        (tmp_path / "home").mkdir(exist_ok=True)
        for name, value in server.environment(tmp_path / "home", way=way).items():
            monkeypatch.setenv(name, value)
        return server

    yield start
    for server in started:
        server.__exit__()


@pytest.fixture
def wire(tmp_path):
    """Open a wire with short pauses."""
    opened = []

    def make(on_line=lambda _: None, **limits):
        opened.append(
            Wire(scratch=tmp_path / "scratch", patience=Patience(**QUICK | limits), on_line=on_line)
        )
        return opened[-1]

    yield make
    for item in opened:
        item.close()
