"""From the file of a model to its class, and what goes wrong in the user's code told with the user's line."""

from __future__ import annotations

import importlib
import inspect
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kit.errors import KitError
from kit.local import own_sources


def load_class(folder: Path, module: str, name: str | None, shown: Path) -> type:
    """Import a module and return its model class.

    Args:
        folder: where a copy of the module lies, alone.
        module: its name.
        name: of the class; None: the only one with an attribute `kind`.
        shown: the user's file, for messages.

    Raises:
        KitError: the module cannot be imported, or has no such class, or several.
    """
    own_sources.importable(folder, [module])
    with in_user_code(f"import of {module}", shown, folder):
        loaded = importlib.import_module(module)
    if name is not None:
        found = getattr(loaded, name, None)
        if not inspect.isclass(found):
            raise KitError(f"it has no class {name}", where=shown, fix="correct --class")
        return found
    models = [
        item
        for item in vars(loaded).values()
        if inspect.isclass(item) and item.__module__.partition(".")[0] == module and hasattr(item, "kind")
    ]
    if len(models) != 1:
        listed = ", ".join(sorted(item.__name__ for item in models))
        raise KitError(
            f"it has {len(models)} classes that say their `kind`: {listed}"
            if models
            else "it has no class that says its `kind`",
            where=shown,
            fix="name one of them: --class NAME"
            if models
            else 'write kind = "semantic" (or "instance", "values") into the class; see docs/own-model.md',
        )
    return models[0]


_OF_DEVICES = ("NVIDIA driver", "not compiled with CUDA", "to be on the same device", "No CUDA GPUs")
_DEVICE = (
    "name no device in the class: make tensors on that of the input (x.device), or register them as buffers; "
    "a class that is no torch.nn.Module moves its networks itself"
)


@contextmanager
def in_user_code(what: str, shown: Path, folder: Path, fix: str = "correct it there") -> Iterator[None]:
    """Turn what the user's code raises into an error that names its line.

    Args:
        what: was called: "forward", "load".
        shown: the user's file or package.
        folder: of the copy that is run.
        fix: what else may help.

    Raises:
        KitError: the block raised something.
    """
    try:
        yield
    except (MemoryError, KeyboardInterrupt):
        raise
    except KitError as error:
        # What the adapter says of a result does not know the user's file.
        raise KitError(error.problem, where=error.where or shown, fix=error.fix or fix) from error
    except BaseException as error:  # a script that ends the process at import is a finding, too
        said = _first_lines(error)
        raise KitError(
            f"{what} failed: {type(error).__name__}: {said}",
            where=_place(error, shown, folder),
            fix=_DEVICE if any(word in said for word in _OF_DEVICES) else fix,
        ) from error


def _first_lines(error: BaseException) -> str:
    text = str(error).strip() or "no message"
    return "\n".join(text.splitlines()[:6])[:600]


def _place(error: BaseException, shown: Path, folder: Path) -> str:
    """Return the last line of the user's own code on the way to an error."""
    root = str(folder.resolve())
    frames = [item for item in traceback.extract_tb(error.__traceback__) if item.filename.startswith(root)]
    if not frames:
        return str(shown)
    file = Path(frames[-1].filename).relative_to(root)
    return f"{shown.parent / file}:{frames[-1].lineno}"


def settings_of(given: Mapping[str, object], made: type) -> dict[str, object]:
    """Check keyword arguments of a class against its signature.

    Raises:
        KitError: the class does not take one of them, or needs one that is not given.
    """
    try:
        inspect.signature(made).bind(**given)
    except TypeError as error:
        raise KitError(
            f"{made.__name__} cannot be made with these settings: {error}",
            where="--set",
            fix="give each argument of its __init__ as --set NAME=VALUE, or a default in the class",
        ) from error
    except ValueError:
        pass  # a class without a signature, such as one in C
    return dict(given)
