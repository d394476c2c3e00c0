"""What a call of the gateway brings, and what its answer is made of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from typing import Any

from kit.competitions import row_forms
from kit.competitions.definition import Definition
from kit.competitions.folder_paths import ID
from kit.competitions.path_pattern import form_of, plain_id
from kit.competitions.server import Server
from kit.errors import KitError

_NOWHERE = Path("/no file came with this id")


@dataclass(frozen=True)
class Batch:
    """The images of one call.

    Attributes:
        asked: the ids as they came, one for each row of the answer; one may come twice.
        files: id -> the image's file, or its content.
    """

    asked: tuple[Any, ...]
    files: Mapping[str, Path | bytes]

    @property
    def key(self) -> str:
        """A text that two calls share only if they bring the same."""
        digest = hashlib.sha256(repr([type(item).__name__ + str(item) for item in self.asked]).encode())
        for image, file in self.files.items():
            digest.update(repr((image, str(file) if isinstance(file, Path) else len(file))).encode())
            digest.update(file if isinstance(file, bytes) else b"")
        return digest.hexdigest()

    def stored(self, folder: Path) -> dict[str, Path]:
        """Return id -> file; contents are written into a folder."""
        paths = {}
        for number, (image, file) in enumerate(self.files.items()):
            paths[image] = file if isinstance(file, Path) else folder / f"{number}.tif"
            if isinstance(file, bytes):
                paths[image].write_bytes(file)
        return paths


def read_call(definition: Definition, server: Server, values: Sequence[Any]) -> Batch:
    """Return the images that a call asks for.

    Args:
        definition: of the competition.
        server: its table.
        values: the call's arguments, in their order.

    Raises:
        KitError: the call does not bring what the definition says.
    """
    if len(values) != len(server.arguments):
        raise _unlike(f"it has {len(values)} arguments, but server.arguments names {len(server.arguments)}")
    ids: list[Any] | None = None
    files: list[Any] = []
    for words, value in zip(server.arguments, values, strict=True):
        if "ids" in words:
            ids = _cells(value, definition.submission.id, "submission.id")
        if "files" in words or "bytes" in words:
            files = _cells(value, server.column, "server.column")
    contents = [_content(file) for file in files]
    if ids is None:
        ids = [_id_of(definition, file) if isinstance(file, Path) else "" for file in contents]
    if not ids or len(contents) > len(ids):
        raise _unlike(f"it brings {len(ids)} ids and {len(contents)} files")
    found: dict[str, Path | bytes] = {}
    for image, content in zip_longest(map(str, ids), contents, fillvalue=_NOWHERE):
        found.setdefault(str(image), content if isinstance(content, bytes) else Path(content))
    return Batch(tuple(ids), found)


def answer_columns(
    definition: Definition, server: Server, batch: Batch, rows: Mapping[str, Sequence[Mapping[str, str]]]
) -> dict[str, list[Any]]:
    """Return the columns of an answer, each with one cell for each row of the ids that were asked for.

    Args:
        definition: of the competition.
        server: its table.
        batch: of the call.
        rows: id -> its rows, as in a file.
    """
    form = definition.submission
    columns: dict[str, list[Any]] = {}
    numbers = row_forms.numbers(definition)
    for column in server.columns or definition.columns:
        cells = [row[column] for image in batch.asked for row in rows[str(image)]]
        kind = int if column in (form.height, form.width) else float if column in numbers else str
        columns[column] = [kind(cell) for cell in cells]
    if form.id in columns and len(columns[form.id]) == len(batch.asked) and form.row_id == ID:
        columns[form.id] = list(batch.asked)  # an id that came as a number goes back as one
    return columns


def _cells(value: Any, column: str, key: str) -> list[Any]:
    """Return the values of an argument: of one thing, of a list of things, or of a table's column."""
    if hasattr(value, "columns") or isinstance(value, Mapping):  # a DataFrame of pandas or polars, or a dict
        try:
            value = value[column]
        except (KeyError, ValueError, TypeError, LookupError) as error:
            raise _unlike(f"its table has no column {column!r}", f"correct {key}") from error
        except Exception as error:  # polars has an error of its own
            raise _unlike(f"its table has no column {column!r}", f"correct {key}") from error
    if isinstance(value, str | bytes | Path) or not isinstance(value, Iterable) or hasattr(value, "getvalue"):
        return [value]
    return list(value)


def _content(file: Any) -> Path | bytes:
    if hasattr(file, "getvalue"):  # io.BytesIO, in which a gateway sends bytes
        file = file.getvalue()
    return bytes(file) if isinstance(file, bytes | bytearray | memoryview) else Path(str(file))


def _id_of(definition: Definition, path: Path) -> str:
    """Return the id in an image's path: "a" of "/kaggle/shared/test/a.tif" for the images "test/{id}.tif"."""
    images = definition.images
    if images.special:
        pattern = images.rules.pattern_of(images, images.test)
        return pattern.id_of(str(path)) or plain_id(path.name)
    parts = PurePosixPath(images.test).parts
    tail = parts[next(place for place, part in enumerate(parts) if ID in part) :]
    found = form_of("/".join(tail)).fullmatch("/".join(path.parts[-len(tail) :]))
    return found[1] if found else plain_id(path.name)


def _unlike(problem: str, fix: str = "") -> KitError:
    return KitError(
        f"a call of the gateway is not as the competition's definition says: {problem}",
        where="[server]",
        fix=fix or "compare server.arguments with what the gateway sends (docs/server-mode.md)",
    )
