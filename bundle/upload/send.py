"""Send the files of a dataset, several at once, each from where a former run stopped."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from queue import SimpleQueue

from bundle.upload.display import Display
from bundle.upload.staging import Staged, Staging
from bundle.upload.wires import Wires
from kit.errors import KitError
from kit.local.kaggle.sending import BlobType
from kit.local.kaggle.wire import Wire


def send_files(
    staging: Staging,
    staged: Sequence[Staged],
    blob_type: BlobType,
    wires: Wires,
    *,
    jobs: int,
    display: Display,
) -> list[str]:
    """Return the blob tokens of files, in their order; those that have one are not sent again.

    Args:
        staging: keeps the tokens.
        staged: the files.
        blob_type: what they become a part of.
        wires: each job takes one; after an error none of them can be used any more.
        jobs: files that are sent at once.
        display: shows the progress.

    Raises:
        CallError: a file did not get through; the others stay sent.
    """
    # The largest first, so that no large one is left alone at the end.
    left = sorted((item for item in staged if staging.token(item.key) is None), key=lambda item: -item.size)
    taken = wires.take(min(jobs, len(left)))
    free: SimpleQueue[Wire] = SimpleQueue()
    for wire in taken:
        free.put(wire)

    def send(item: Staged) -> None:
        wire, name = free.get(), item.path.name
        try:
            token = wire.upload(
                item.path,
                blob_type,
                records=staging.client,
                on_bytes=lambda sent: display.moved(name, item.size, sent),
            )
            staging.keep(item.key, token)
            display.moved(name, item.size, item.size)
        finally:
            free.put(wire)

    pool = ThreadPoolExecutor(max(1, len(taken)))
    try:
        futures = [pool.submit(send, item) for item in left]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
    except BaseException:
        # After an error or Ctrl-C the other threads stop at once, and none begins another file.
        pool.shutdown(wait=False, cancel_futures=True)
        for wire in taken:
            wire.abort()
        raise
    finally:
        pool.shutdown(wait=True)
    tokens = [staging.token(item.key) for item in staged]
    if lost := [item.path.name for item, token in zip(staged, tokens, strict=True) if not token]:
        raise KitError(
            f"files were sent and their tokens are lost: {', '.join(lost)}",
            where=staging.client,
            fix="run the same command again; nothing was published",
        )
    return [token for token in tokens if token]
