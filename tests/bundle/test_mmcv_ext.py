import ast
import importlib
import tarfile

import pytest
import torch


@pytest.fixture
def ext(ops):
    return importlib.import_module("mmcv._ext")


@pytest.fixture(scope="module")
def asked_for(mmcv_sdist):
    """Every operator name the released Python files load from the compiled module."""
    names = set()
    with tarfile.open(mmcv_sdist) as tar:
        for member in tar:
            if "/mmcv/" in member.name and member.name.endswith(".py"):
                for node in ast.walk(ast.parse(tar.extractfile(member).read())):
                    if isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "load_ext":
                        names |= set(ast.literal_eval(node.args[1]))
    return names


def test_every_operator_mmcv_loads_is_there_or_known_to_be_native(ext, asked_for):
    assert len(asked_for) == 107
    provided = set(ext.__all__)
    assert provided <= asked_for
    assert provided | ext._NATIVE_ONLY == asked_for
    assert not provided & ext._NATIVE_ONLY


def test_native_operators_raise_only_when_called_and_name_themselves(ext):
    for name in sorted(ext._NATIVE_ONLY):
        operator = getattr(ext, name)
        with pytest.raises(NotImplementedError) as refused:
            operator(torch.zeros(1), anything=1)
        assert f"mmcv operator {name} is not part of this portable mmcv-full 1.7.2" in str(refused.value)
        assert "install a native build of mmcv-full 1.7.2" in str(refused.value)


def test_a_public_function_of_a_native_operator_says_so(ops):
    with pytest.raises(NotImplementedError, match="operator nms_rotated is not part of this portable"):
        ops.nms_rotated(torch.zeros(1, 5), torch.zeros(1), 0.5)


def test_other_names_are_no_attributes(ext):
    assert not hasattr(ext, "nms_rotate")
    with pytest.raises(AttributeError, match="no attribute 'nms_rotate'"):
        _ = ext.nms_rotate


def test_the_build_tells_what_it_is(ops):
    assert ops.get_compiler_version() == "none (portable build)"
    assert ops.get_compiling_cuda_version() == "none (portable build)"
