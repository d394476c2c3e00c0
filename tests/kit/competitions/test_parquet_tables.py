"""Parquet: what is written means the same to pandas; what pandas writes is read as a CSV is."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from kit import competitions
from kit.competitions import parquet_tables
from kit.competitions.listing import has_columns
from kit.competitions.tables import header_of, read_table
from kit.errors import KitError

ROOT = Path(__file__).parents[3]
AGE = competitions.get(ROOT / "docs" / "competitions" / "shapes" / "age.toml")


def test_a_submission_means_the_same_to_pandas(tmp_path):
    (tmp_path / "s.parquet").write_bytes(parquet_tables.encoded("id,years\n007,1.5\nb,2\n", AGE.format))
    table = pd.read_parquet(tmp_path / "s.parquet")
    assert table.to_dict("list") == {"id": ["007", "b"], "years": [1.5, 2.0]}
    assert str(table["years"].dtype) == "float64"


def test_cells_are_texts_as_in_a_csv(tmp_path):
    path = tmp_path / "t.parquet"
    pd.DataFrame({"id": [7, 8], "years": [1.5, None], "name": ["x", None]}).to_parquet(path, index=False)
    rows = read_table(path, ["id", "years"], more=True)
    assert [row.cells for row in rows] == [
        {"id": "7", "years": "1.5", "name": "x"},
        {"id": "8", "years": "", "name": ""},
    ]
    assert (rows[1].line, header_of(path)) == (3, ["id", "years", "name"])
    assert has_columns(path, ["years", "ID", "name"])


def test_a_file_that_is_none_is_told(tmp_path):
    path = tmp_path / "t.parquet"
    with pytest.raises(KitError, match="file is missing"):
        read_table(path, ["id"])
    path.write_bytes(b"id,years\n1,2\n")
    with pytest.raises(KitError, match="not a readable Parquet file"):
        read_table(path, ["id"])
    assert header_of(path) == []
    assert not has_columns(path, ["id"])


ALONE = """
import sys
from pathlib import Path

class Refusal:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[2].split(","):
            raise ImportError(f"{name} is refused")

sys.meta_path.insert(0, Refusal())
from kit.competitions import folder_of, parquet_tables
from kit.competitions.toml_file import read
value = read(Path("docs/competitions/shapes/age.toml"))
class Made:
    competition, definition = "age", value
folder = folder_of(Made)
listing = folder.listing(Path(sys.argv[1]))
print(listing.ids, listing.rows)
print(len(parquet_tables.encoded("id,years\\nc,1\\n", folder.format)) > 100)
"""


@pytest.mark.parametrize("refused", ["torch,pandas", "torch,pandas,pyarrow,polars"])
def test_the_fallback_needs_pyarrow_and_says_so(tmp_path, refused):
    (tmp_path / "test").mkdir()
    pd.DataFrame({"id": ["c", "d"], "years": [50.0, 51.0]}).to_parquet(tmp_path / "sample_submission.parquet")
    command = [sys.executable, "-c", ALONE, str(tmp_path), refused]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if "pyarrow" in refused:
        assert "Parquet needs pyarrow or polars, but neither can be imported" in done.stderr
    else:
        assert done.stdout.splitlines()[-1] == "True", done.stderr
        assert done.stdout.startswith("['c', 'd'] [{'id': 'c', 'years': '50.0'}")
