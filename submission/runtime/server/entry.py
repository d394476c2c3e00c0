"""What predict.py's command line needs of this room: the server, and the workers that it starts."""

from __future__ import annotations

from submission.runtime.server.keeping_worker import KeepingWorker
from submission.runtime.server.serve import serve

__all__ = ["KeepingWorker", "serve"]
