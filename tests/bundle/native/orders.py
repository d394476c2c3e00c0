"""Orders that compile in seconds: they include Python's headers and none of torch's."""

import platform
import sys

import torch

from bundle.native.order import Order
from bundle.native.variant import Variant
from kit.artefacts import sha256_json

SOURCE = """
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "small", NULL, -1, NULL};
PyMODINIT_FUNC PyInit_MODULE(void) { return PyModule_Create(&module); }
"""
HERE = Variant(
    machine=platform.machine(),
    tag=f"cp{sys.version_info[0]}{sys.version_info[1]}",
    torch=".".join(torch.__version__.split(".")[:2]),
    cuda=None,
    archs=(),
)


def small(variant=HERE, source=SOURCE):
    text = source.replace("MODULE", variant.module)
    return Order(variant, sha256_json([str(variant), text]), {"unit.cpp": text.encode()})
