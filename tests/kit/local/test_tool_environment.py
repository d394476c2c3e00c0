import os
import subprocess

from kit.local.tool_environment import tool_environment


def test_what_changes_the_choices_of_pip_and_uv_goes_and_places_stay(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_", "PYTHON"))]:
        monkeypatch.delenv(name)
    files = tmp_path / "pip.conf"
    files.write_text(
        "[global]\nindex-url = https://mirror/of-file\ncert = /ca's.pem\nconstraint = /c.txt\n"
        "require-hashes = true\n[download]\nretries = 7\n[install]\ntarget = /elsewhere\n"
    )
    harmful = [
        "PIP_CONSTRAINT",
        "PIP_REQUIRE_HASHES",
        "PIP_NO_BINARY",
        "PIP_TARGET",
        "PIP_USER",
        "PIP_PRE",
        "PIP_DRY_RUN",
        "PIP_REQUIREMENT",
        "UV_CONSTRAINT",
        "UV_EXCLUDE_NEWER",
        "UV_REQUIRE_HASHES",
        "UV_SYSTEM_PYTHON",
        "UV_PYTHON",
        "UV_OVERRIDE",
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONOPTIMIZE",
        "VIRTUAL_ENV",
    ]
    for name in harmful:
        monkeypatch.setenv(name, "/nonsense" if name != "PYTHONHOME" else "")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(files))
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    monkeypatch.setenv("PIP_RETRIES", "3")
    found = tool_environment()
    assert not set(harmful) & found.keys()
    assert found["PIP_INDEX_URL"] == found["UV_DEFAULT_INDEX"] == "https://mirror/of-file"
    assert found["PIP_CERT"] == "/ca's.pem"
    assert found["PIP_RETRIES"] == "3"
    assert found["HTTPS_PROXY"] == "http://proxy"
    assert found["PIP_CONFIG_FILE"] == os.devnull
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror/of-environment")
    monkeypatch.setenv("UV_INDEX_URL", "https://mirror/of-uv")
    found = tool_environment()
    assert found["PIP_INDEX_URL"] == "https://mirror/of-environment"
    assert found["UV_INDEX_URL"] == "https://mirror/of-uv"
    assert "UV_DEFAULT_INDEX" not in found


def test_pip_is_asked_for_its_files_again_only_where_others_are_named(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_", "PYTHON"))]:
        monkeypatch.delenv(name)
    started = []
    run = subprocess.run
    monkeypatch.setattr(
        subprocess, "run", lambda *args, **kwargs: started.append(args) or run(*args, **kwargs)
    )
    for mirror in ("one", "two"):
        files = tmp_path / f"{mirror}.conf"
        files.write_text(f"[global]\nindex-url = https://mirror/{mirror}\n")
        monkeypatch.setenv("PIP_CONFIG_FILE", str(files))
        monkeypatch.setenv("PYTEST_CURRENT_TEST", mirror)  # says nothing of pip's files
        for _ in range(3):
            assert tool_environment()["PIP_INDEX_URL"] == f"https://mirror/{mirror}"
    assert len(started) == 2


def test_folders_beside_the_user_are_whole_paths_since_the_tools_run_elsewhere(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    (tmp_path / "wheels").mkdir()
    (tmp_path / "more").mkdir()
    files = tmp_path / "pip.conf"
    files.write_text("[global]\nextra-index-url = more\n  https://mirror/simple\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", "pip.conf")
    monkeypatch.setenv("PIP_FIND_LINKS", "wheels ~/more not-there /nowhere")
    monkeypatch.setenv("UV_FIND_LINKS", "wheels,https://mirror/wheels")
    found = tool_environment()
    assert found["PIP_FIND_LINKS"] == f"{tmp_path}/wheels {tmp_path}/more not-there /nowhere"
    assert found["PIP_EXTRA_INDEX_URL"].split() == [f"{tmp_path}/more", "https://mirror/simple"]
    assert found["UV_FIND_LINKS"] == f"{tmp_path}/wheels,https://mirror/wheels"
