"""A loopback Kaggle and a wire to it."""

import pytest

from kit.local.kaggle.patience import Patience
from kit.local.kaggle.wire import Wire
from tests.kaggle_server import certificates as authority
from tests.kaggle_server.faults import Faults
from tests.kaggle_server.server import REMOVED, Server
from tests.kaggle_server.world import World

# Short pauses; limits that must not be reached are minutes.
QUICK = {"first": 0.01, "most": 0.05, "poll": 0.05, "settle": 2, "outage": 120, "limit": 300, "pending": 120}


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """A folder with an authority and its certificate for the hosts of Kaggle."""
    return authority.make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def kaggle(tmp_path, monkeypatch):
    """Start a server with these faults; the variables of this process lead to it."""
    started = []

    def start(*faults, way="key", certificates=None, **world):
        server = Server(World(faults=Faults(*faults), **world), certificates=certificates).__enter__()
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


class Loopback:
    """One server and one wire for all tests of a module: the official client takes long to start."""

    def __init__(self, server, wire):
        self.server, self.wire = server, wire

    def start(self, *faults, **fields):
        """Give the server a new world with these faults; returns the server."""
        self.server.world = self.server.http.world = World(faults=Faults(*faults), **fields)
        return self.server

    def patient(self, **limits):
        """Return the wire with short pauses and these limits."""
        self.wire.patience = Patience(**QUICK | limits)
        return self.wire


@pytest.fixture(scope="module")
def loopback(tmp_path_factory):
    """A `Loopback`; the variables of this process lead to it."""
    home = tmp_path_factory.mktemp("home")
    with Server(World()) as server, pytest.MonkeyPatch.context() as patch:
        for name in REMOVED:
            patch.delenv(name, raising=False)
        for name, value in server.environment(home).items():
            patch.setenv(name, value)
        with Wire(scratch=home / "scratch") as wire:
            yield Loopback(server, wire)


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
