"""Read the tensors of a downloaded checkpoint of any known format; run no code from it."""

from __future__ import annotations

import pickletools
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from kit.errors import KitError
from kit.local.pretrained.containers import open_npz, open_safetensors, unpacked
from kit.local.pretrained.state_dicts import Candidate
from kit.local.pretrained.stored import Allowance, BrokenCheckpointError, LimitError, RefusedNameError
from kit.local.pretrained.torch_files import is_torch_zip, open_torch_legacy, open_torch_zip
from kit.local.wording import counted

_TORCH_LEGACY = b"\x80\x02\x8a\x0a" + 0x1950A86A20F9469CFC6C.to_bytes(10, "little")
"""The first bytes of a file of `torch.save` before torch 1.6: a pickle of this number, protocol 2."""
_MEMBERS = (".pth", ".pth.tar", ".pt", ".bin", ".ckpt")
_ZIP = b"PK\x03\x04"
_GZIP = b"\x1f\x8b"
_LFS = b"version https://git-lfs.github.com/spec/"
_OF_FILES: tuple[type[Exception], ...] = (
    BrokenCheckpointError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,  # of zipfile: a member has a password, or is packed in an unknown way
)
_NESTED = 2
"""Zip archives inside zip archives that are unpacked."""
_AGAIN = "the file is truncated or damaged: fetch or copy it again"


def load(candidate: Candidate) -> dict[str, Tensor]:
    """Read all tensors of a candidate, inside the block of `opened`."""
    return {name: value.load() for name, value in candidate.tensors.items()}


def no_tensors(path: Path) -> KitError:
    """Return the error for a file without named tensors."""
    return KitError(
        "the file has no named tensors", where=path, fix="give the checkpoint itself, not its log or config"
    )


@contextmanager
def opened(path: Path, *, limit: int | None = None) -> Iterator[Any]:
    """Open a checkpoint and yield its values; its tensors are `StoredTensor`, to be read inside the block.

    The content decides the format, not the file's name: torch (".pth", ".pth.tar", also from before 1.6), a
    zip archive with one such file (".pth.zip"), ".npz" or safetensors. A reader of our own reads pickles. It
    knows tensors, plain values and what training scripts store beside them, and refuses everything else.

    Args:
        path: of the file.
        limit: most bytes that may be unpacked; by default 1 GiB more than four times the file.

    Raises:
        KitError: the file is missing, damaged, of no known format, asks for code or unpacks to more than the
            limit. Errors of the block that come from the file are turned into these.
    """
    if not path.is_file():
        raise KitError(
            "the checkpoint is missing", where=path, fix="download it with `python -m kit.models fetch NAME`"
        )
    most = (1 << 30) + 4 * path.stat().st_size if limit is None else limit
    with ExitStack() as stack:
        # While a file is opened, its values may be of any type. Later only its bytes can be wrong, and a
        # LookupError or TypeError of the block is no fault of the file.
        with _explained(path, ValueError, LookupError, TypeError, AttributeError, OverflowError):
            value = stack.enter_context(_opened(path, Allowance(most), _NESTED))
        with _explained(path):
            yield value


@contextmanager
def _explained(path: Path, *more: type[Exception]) -> Iterator[None]:
    """Turn the errors of a file into KitErrors that name it."""
    try:
        yield
    except RefusedNameError as error:
        raise _refusal(path, error.name) from error
    except LimitError as error:
        raise KitError(
            f"the checkpoint was not unpacked: {error}",
            where=path,
            fix="it does not belong to this network, or it is made to fill memory or disk: get another copy",
        ) from error
    except MemoryError as error:
        raise KitError(
            "the checkpoint needs more memory than there is",
            where=path,
            fix="close other programs; if the file is much larger than its network, get another copy",
        ) from error
    except (*_OF_FILES, *more) as error:
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> KitError:
    detail = (str(error).splitlines() or [type(error).__name__])[0]
    if detail.startswith("Bad CRC-32 for file"):
        name = detail.partition("'")[2].rstrip("'")
        return KitError(f"the checksum of {name} in the file is wrong", where=path, fix=_AGAIN)
    return KitError(f"this is not a readable checkpoint: {detail}", where=path, fix=_AGAIN)


@contextmanager
def _opened(path: Path, allowance: Allowance, nested: int) -> Iterator[Any]:
    # 50 4b 03 04           zip: torch since 1.6, .npz, .pth.zip
    # 8 bytes, then "{"     safetensors: the length of a JSON header, then the header
    # 80 02 8a 0a ...       torch before 1.6
    # 80                    any other pickle; never opened
    head = require_known(path)
    if head[:4] == _ZIP:
        with _opened_zip(path, allowance, nested) as value:
            yield value
    elif head[8:9] == b"{":
        yield _safetensors(path, allowance)
    elif head.startswith(_TORCH_LEGACY):
        yield open_torch_legacy(path, allowance)
    else:
        named = ", ".join(sorted(set(_globals(path)))) or "nothing"
        raise KitError(
            f"the file is a plain pickle and not from torch.save; it was not opened (it asks for {named})",
            where=path,
            fix="a pickle can run any code: get the weights as safetensors or as a file of torch.save",
        )


def require_known(path: Path) -> bytes:
    """Return the first bytes of a file.

    Raises:
        KitError: no known format begins with them.
    """
    with path.open("rb") as stream:
        head = stream.read(64)
    if head[:4] == _ZIP or head[8:9] == b"{" or head[:1] == b"\x80":
        return head
    raise KitError(
        f"the file is {describe(head)}; it begins with {head[:8]!r}",
        where=path,
        fix="fetch it again; the known formats are .pth, .pth.zip, .pth.tar, .npz and .safetensors",
    )


def is_pointer(head: bytes) -> bool:
    """Return whether a file that begins with these bytes is a pointer of Git LFS."""
    return head.startswith(_LFS)


def describe(head: bytes) -> str:
    """Return in words what a file is that begins with these bytes and is no checkpoint."""
    if head.lstrip().startswith((b"<", b"\xef\xbb\xbf<")):
        return "a web page"
    if is_pointer(head):
        return "a pointer of Git LFS and not a checkpoint of a known format (run `git lfs pull`)"
    if head.startswith(_GZIP):
        return "packed with gzip (unpack it with gunzip or tar)"
    return "not a checkpoint of a known format" if head else "empty (0 bytes)"


@contextmanager
def _opened_zip(path: Path, allowance: Allowance, nested: int) -> Iterator[Any]:
    """Open a zip archive: torch's own format, numpy's, or a packed checkpoint."""
    with zipfile.ZipFile(path) as archive:
        files = [name for name in archive.namelist() if not name.endswith("/")]
        if is_torch_zip(files):
            yield open_torch_zip(path, allowance)
            return
        if files and all(name.endswith(".npy") for name in files):
            yield open_npz(path, allowance)
            return
        inside = [name for name in files if name.endswith(_MEMBERS) and not name.startswith("__MACOSX/")]
        if len(inside) != 1 or not nested:
            raise KitError(
                f"the file is a zip archive with {counted(len(inside), 'checkpoint')}, not with one",
                where=path,
                fix="unpack it and give one of its checkpoints",
            )
        with (
            unpacked(archive, inside[0], path.parent, allowance) as member,
            _opened(member, Allowance(allowance.limit), nested - 1) as value,
        ):
            yield value


def _safetensors(path: Path, allowance: Allowance) -> Any:
    from safetensors import SafetensorError

    try:
        return open_safetensors(path, allowance)
    except SafetensorError as error:
        raise KitError(f"this is not a readable safetensors file: {error}", where=path, fix=_AGAIN) from error


def _refusal(path: Path, name: str) -> KitError:
    fix = "get the weights as safetensors, or as a state dict of tensors and plain values only"
    return KitError(f"the checkpoint asks for {name} when it is opened; no code was run", where=path, fix=fix)


def _globals(path: Path) -> Iterator[str]:
    """Yield the names that a pickle would import; only its instructions are read."""
    # GLOBAL "posix system" -> "posix.system". In protocol 4 the two names are pushed as texts before
    # STACK_GLOBAL: "posix", "system", STACK_GLOBAL -> "posix.system".
    texts: list[str] = []
    try:
        with path.open("rb") as stream:
            for code, argument, _ in pickletools.genops(stream):
                if code.name == "GLOBAL":
                    yield str(argument).replace(" ", ".")
                elif code.name == "STACK_GLOBAL" and len(texts) > 1:
                    yield ".".join(texts[-2:])
                elif isinstance(argument, str):
                    texts = [*texts[-1:], argument]
    except (ValueError, OverflowError):  # there are raw bytes behind the pickle, or it ends early
        return
