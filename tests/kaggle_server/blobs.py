"""Uploads: a call gives an address and a token, then the bytes come by PUT, in as many parts as it takes."""

import re

from tests.kaggle_server.calls import call
from tests.kaggle_server.world import Blob, Problem, Reply


@call(
    "blobs.StartBlobUpload",
    "type",
    "name",
    "contentLength",
    optional=("contentType", "lastModifiedEpochSeconds"),
)
def start(world, request):
    if request["type"] not in ("DATASET", "MODEL"):
        raise Problem(400, f"unknown type {request['type']}")
    token = f"blobtoken{next(world.numbers):06d}"
    world.blobs[token] = Blob(request["name"], request["contentLength"], request["type"])
    return {"token": token, "createUrl": f"{{base}}/upload/{token}?upload_id=SIGNED{token}"}


def put(world, path, headers, stream, fault):
    """The bytes of one PUT. `stream` reads what the client sends; it may end early (`drop_midfile`)."""
    token = re.match(r".*/upload/(\w+)", path)[1]
    blob = world.blobs.get(token)
    kind = fault.kind if fault else None
    if blob is None or kind == "blob_expired":
        world.blobs.pop(token, None)
        return Reply(404, b"upload expired")
    span = headers.get("Content-Range", "")
    length = int(headers.get("Content-Length") or 0)
    if probe := re.fullmatch(r"bytes \*/(\d+)", span):
        return _probe(blob, int(probe[1]), kind)
    begin = int(re.match(r"bytes (\d+)-", span)[1]) if span else 0
    if kind != "range_accepted" and begin != len(blob.data):
        if begin:
            return Reply(400, b"wrong offset")
        blob.data.clear()  # urllib3 and the client start again from the first byte
    keep = int(fault.argument or 1000) if kind in {"drop_midfile", "half", "stand_still"} else length
    blob.data += stream.read(min(keep, length))
    if kind == "half":
        stream.read(max(0, length - keep))
        return Reply(503)
    blob.puts += 1
    if kind in {"drop_midfile", "stand_still"}:
        if kind == "stand_still":
            world.stand_still()
        return None
    if kind == "truncate":
        del blob.data[len(blob.data) // 2 :]
    if kind == "flip_byte" and blob.data:
        blob.data[len(blob.data) // 2] ^= 1
    blob.complete = len(blob.data) >= blob.size or kind == "truncate"
    return Reply(200 if blob.complete else 308, b"", {"Range": f"bytes=0-{len(blob.data) - 1}"})


def _probe(blob, size, kind):
    if blob.complete:
        return Reply(200)
    if kind == "range_beyond":
        return Reply(308, b"", {"Range": f"bytes=0-{size + 6_983_040}"})
    if kind == "range_wrong" and len(blob.data) > 1:
        # The client is told more than there is and leaves a hole; the store fills it with zeros.
        told = min(size - 1, len(blob.data) + 7)
        blob.data += bytes(told - len(blob.data))
    return Reply(308, b"", {"Range": f"bytes=0-{len(blob.data) - 1}"} if blob.data else {})
