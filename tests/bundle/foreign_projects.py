"""Small real projects with a build backend of their own, so that a build needs no index."""

import os
import subprocess

BACKEND = """
import os, subprocess, sys, sysconfig, time, zipfile

ABOUT = {about!r}


def build_wheel(directory, config_settings=None, metadata_directory=None):
    print("the backend works in", os.getcwd())
    if ABOUT["broken"]:
        raise SystemExit("error: the backend gives up")
    name, version, tag, files = ABOUT["name"], ABOUT["version"], "py3-none-any", {{}}
    modes = {{}}
    for base, _, names in os.walk("src"):
        for file in names:
            path = os.path.join(base, file)
            files[os.path.relpath(path, "src")] = open(path, "rb").read()
            modes[os.path.relpath(path, "src")] = os.stat(path).st_mode | 0o060  # a group may write
    if os.path.exists("native.c"):
        python = f"cp{{sys.version_info.major}}{{sys.version_info.minor}}"
        tag = f"{{python}}-{{python}}-linux_{{os.uname().machine}}"
        library = "_native" + sysconfig.get_config_var("EXT_SUFFIX")
        include = "-I" + sysconfig.get_path("include")
        flags = os.environ["CFLAGS"].split()
        subprocess.run(["cc", "-g", "-shared", "-fPIC", *flags, include,
                        os.path.abspath("native.c"), "-o", library], check=True)
        files[library] = open(library, "rb").read()
    lines = ["Metadata-Version: 2.4", f"Name: {{name}}", f"Version: {{version}}"]
    lines += ["License-Expression: " + ABOUT["licence"]] if ABOUT["licence"] else []
    lines += ["Requires-Python: " + ABOUT["python"]] if ABOUT["python"] else []
    lines += ["Requires-Dist: " + item for item in ABOUT["requires"]]
    info = f"{{name.replace('-', '_')}}-{{version}}.dist-info"
    files[f"{{info}}/METADATA"] = ("\\n".join(lines) + "\\n\\n").encode()
    files[f"{{info}}/WHEEL"] = f"Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: {{tag}}\\n".encode()
    files[f"{{info}}/RECORD"] = b"of no use"
    wheel = f"{{name.replace('-', '_')}}-{{version}}-{{tag}}.whl"
    with zipfile.ZipFile(os.path.join(directory, wheel), "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            item = zipfile.ZipInfo(path, time.localtime()[:6])
            item.external_attr = modes.get(path, 0) << 16
            archive.writestr(item, data)
    return wheel
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
NATIVE = """
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_native", __FILE__, -1, NULL};
PyMODINIT_FUNC PyInit__native(void) { return PyModule_Create(&module); }
"""


def write_project(
    folder,
    name="my-models",
    version="0.3",
    requires=(),
    *,
    licence="MIT",
    python="",
    native="",
    broken=False,
    content="NAME = 1\n",
):
    """Write a project; it is pure Python unless `native` is the text of a C module."""
    about = {"name": name, "version": version, "requires": list(requires), "licence": licence}
    about |= {"python": python, "broken": broken}
    module = folder / "src" / name.replace("-", "_")
    module.mkdir(parents=True)
    (module / "__init__.py").write_text(content)
    (folder / "backend.py").write_text(BACKEND.format(about=about))
    (folder / "pyproject.toml").write_text(PYPROJECT)
    if native:
        (folder / "native.c").write_text(native)
    return folder


def git(folder, *arguments):
    """Run git in a folder, as nobody in particular; returns what it prints."""
    who = {
        f"GIT_{role}_{what}": "tests@example.org"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env={**os.environ, **who}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
