"""What counts as the source of a job."""

import ast
from importlib import metadata
from pathlib import Path

import pytest

from train_local.jobs import source_hash
from train_local.jobs.source_hash import Sources

ROOT = Path(__file__).parents[3]
FILES = {
    "kit/__init__.py": "",
    "kit/masks/__init__.py": "",
    "kit/masks/rle.py": "def area(): return 1\n",
    "kit/names.py": "X = 1\n",
    "train_local/__init__.py": "",
    "train_local/engine/__init__.py": "",
    "train_local/engine/train.py": "from kit.masks import rle\ndef go(): import train_local.engine.loop\n",
    "train_local/engine/loop.py": 'def go(load): load("train_local.family")\n',
    "train_local/family.py": "# a comment\nSIZE = 1\n",
    "train_local/cli.py": "from train_local.engine import train\n",
}
ENTRY = ["train_local.engine.train"]


@pytest.fixture
def tree(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def sources(tree, **versions):
    return Sources({"kit": tree / "kit", "train_local": tree / "train_local"}, {"torch": "2", **versions})


def test_the_closure_follows_imports_everywhere_and_names_in_texts(tree):
    assert sorted(sources(tree).closure(ENTRY)) == [
        "kit",
        "kit.masks",
        "kit.masks.rle",
        "train_local",
        "train_local.engine",
        "train_local.engine.loop",
        "train_local.engine.train",
        "train_local.family",
    ]


@pytest.mark.parametrize(
    ("name", "text", "counts"),
    [
        ("kit/masks/rle.py", "def area(): return 2\n", True),
        ("kit/masks/__init__.py", "X = 1\n", True),
        ("train_local/family.py", "SIZE = 2\n", True),
        ("train_local/family.py", "# another comment\n\nSIZE   =   1\n", False),
        ("train_local/cli.py", "X = 1\n", False),
        ("kit/names.py", "X = 2\n", False),
    ],
)
def test_the_hash_changes_with_what_is_imported_and_nothing_else(tree, name, text, counts):
    before = sources(tree).hash_of(ENTRY)
    (tree / name).write_text(text)
    assert (sources(tree).hash_of(ENTRY) != before) is counts


def test_a_module_that_decides_no_result_does_not_count(tree):
    reader, training = tree / "kit/competitions/toml_file.py", tree / "train_local/engine/train.py"
    reader.parent.mkdir()
    for path in (reader.with_name("__init__.py"), reader.with_name("used_by_it_alone.py")):
        path.touch()
    reader.write_text("from kit.competitions import used_by_it_alone\n")
    training.write_text(f"import kit.competitions.toml_file\n{training.read_text()}")
    before = sources(tree).hash_of(ENTRY)
    reader.write_text("X = 1\n")
    assert sources(tree).hash_of(ENTRY) == before
    assert "kit.competitions.used_by_it_alone" not in sources(tree).closure(ENTRY)


def test_what_decides_nothing_is_there_and_imports_nothing_that_counts():
    for name in source_hash.DECIDE_NOTHING:
        path = ROOT / f"{name.replace('.', '/')}.py"
        imported = set(source_hash._imports(ast.parse(path.read_bytes()), name.rpartition(".")[0]))
        own = {item for item in imported if (ROOT / f"{item.replace('.', '/')}.py").is_file()}
        if name != "kit.competitions.toml_file":  # it checks what it has read; the values themselves count
            assert own <= {*source_hash.DECIDE_NOTHING}


def test_versions_of_the_libraries_count_and_the_place_and_order_do_not(tree, tmp_path_factory):
    here = sources(tree).hash_of(["train_local.engine.train", "kit.names"])
    assert sources(tree, torch="3").hash_of(["train_local.engine.train", "kit.names"]) != here
    elsewhere = tree.rename(tmp_path_factory.mktemp("other") / "place")
    assert sources(elsewhere).hash_of(["kit.names", "train_local.engine.train"]) == here


def test_the_installed_source_of_a_training_is_what_it_runs():
    found = source_hash.installed().closure(
        ["train_local.engine.train", "kit.models.families.unet", "kit.inference.semantic_engine"]
    )
    assert {
        "train_local.engine.loop",
        "train_local.engine.losses",
        "kit.inference.semantic",
        "kit.models.network",
        # Imported by name when the first example is made.
        "train_local.augment.from_albumentations",
        "train_local.augment.from_mmdet",
        "train_local.augment.published",
    } <= set(found)
    for name in (
        "train_local.cli",
        "train_local.recipes.unet",
        "train_local.jobs.scheduler",
        *source_hash.DECIDE_NOTHING,
        "kit.inference.instance",
    ):
        assert name not in found, "a change there would train everything again for nothing"


BY_COMPUTED_NAMES = {
    "kit/competitions/__init__.py": "the plain form of a recipe and the preparation name the module",
    "kit/competitions/parquet_tables.py": "the names of two libraries that read the same tables",
    "kit/inference/fusion.py": "the plain form of a recipe names the engine",
    "kit/inference/runner.py": "the plain form of a recipe names the engine",
    "kit/optional.py": "each call of it counts",
    "kit/models/__init__.py": "the names stand there as texts",
    "kit/models/own.py": "no job trains a model of one's own; its config has the hash of its file",
    "kit/models/registry.py": "the plain form of a recipe names the family",
    "train_local/add_model/loading.py": "no job trains a model of one's own",
    "train_local/augment/libraries.py": "the names stand there as texts",
    "train_local/recipes/registry.py": "what a recipe says is in the resolved config",
    "train_local/recipes/show_augmentation.py": "only shows",
}
"""Files that import modules by names they make, and why a job's identity has these modules all the same."""


def test_no_module_escapes_the_hash_because_its_name_is_computed():
    found = set()
    for package in ("kit", "train_local"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_bytes())):
                called = node.func if isinstance(node, ast.Call) else None
                name = getattr(called, "attr", getattr(called, "id", ""))
                by_text = name == "import_module" and not isinstance(node.args[0], ast.Constant)
                if by_text or (name == "optional_module" and source_hash.optional_name(node) is None):
                    found.add(path.relative_to(ROOT).as_posix())
    assert found == set(BY_COMPUTED_NAMES)


def test_an_optional_module_counts(tmp_path):
    package = tmp_path / "kit"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "first.py").write_text('optional_module(__package__, "second")\n')
    (package / "second.py").write_text('NAMES = {"a": "third"}\noptional_module(__package__, NAMES[key])\n')
    (package / "third.py").write_text("x = 1\n")
    (package / "fourth.py").write_text("x = 1\n")
    found = source_hash.Sources({"kit": package}, {}).closure(["kit.first"])
    assert set(found) == {"kit", "kit.first", "kit.second", "kit.third"}


def test_files_of_our_own_wheels_count_though_their_version_stays():
    version = source_hash.installed().versions["mmcv-full"]
    assert len(version.split()) == 2
    assert version.split()[0] == metadata.version("mmcv-full")
