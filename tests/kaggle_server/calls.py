"""The table of calls: each says which fields it needs and knows; everything else is refused."""

from tests.kaggle_server.world import Problem

CALLS = {}


def call(name, *needed, optional=()):
    """Register the function of a call, `(world, request) -> dict | Reply`."""

    def register(function):
        CALLS[name] = (function, frozenset(needed), frozenset(needed) | frozenset(optional))
        return function

    return register


def check(fields, needed, known, where):
    """Refuse unknown and missing fields."""
    if unknown := set(fields) - known:
        raise Problem(400, f"{where}: unknown field {', '.join(sorted(unknown))}")
    if missing := [name for name in sorted(needed) if fields.get(name) in (None, "")]:
        raise Problem(400, f"{where}: missing field {', '.join(missing)}")


def dispatch(world, name, request):
    """Do a call by its name, "datasets.GetDatasetStatus"."""
    if name not in CALLS:
        raise Problem(404, f"no such call: {name}")
    function, needed, known = CALLS[name]
    check(request, needed, known, name)
    with world.lock:
        return function(world, request)
