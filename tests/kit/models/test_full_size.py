"""Every network and every published configuration at full size, on the meta device."""

import pytest

from benchmarks import counts
from benchmarks.markdown import DOCS, block
from kit.models import names

# mmdet announces a better average for the semantic branch; the published one is kept.
pytestmark = pytest.mark.filterwarnings("ignore:.*``avg_non_ignore``:UserWarning")

MILLIONS = {
    "cbnetv2-swin-b": 231.72,
    "detectors-r50": 131.65,
    "detectors-x101": 192.59,
    "segformer-b0": 3.72,
    "segformer-b1": 13.68,
    "segformer-b2": 24.72,
    "segformer-b2-daformer": 27.90,
    "segformer-b2-mixupsample": 24.94,
    "segformer-b3": 44.60,
    "segformer-b4": 61.37,
    "segformer-b5": 81.97,
    "unet-regnetx32": 19.07,
    "unet-regnetx32-scse": 19.38,
    "unet-regnety16": 14.49,
    "unet-regnety16-scse": 14.71,
    "unetplusplus-regnetx32": 21.75,
    "unetplusplus-regnetx32-scse": 22.21,
    "unetplusplus-regnety16": 15.66,
    "unetplusplus-regnety16-scse": 15.96,
    "vit-adapter-l": 397.63,
    "vit-adapter-l-3x": 397.62,
}


@pytest.fixture(scope="module")
def registered():
    return {name: counts.registered(name) for name in names()}


@pytest.fixture(scope="module")
def detectors():
    return {entry: counts.detector(entry) for entry in counts.PUBLISHED}


def test_every_network_has_its_number_of_parameters(registered):
    assert {name: round(whole, 2) for name, (whole, _) in registered.items()} == MILLIONS


def test_every_encoder_has_the_published_number_of_parameters(registered):
    assert counts.ENCODERS.keys() <= set(names())
    assert {name: registered[name][1] for name in counts.ENCODERS} == pytest.approx(counts.ENCODERS, abs=0.1)


def test_every_published_detector_has_its_number_of_parameters(detectors):
    for entry, found in detectors.items():
        last_digit = 10.0 ** -len(entry.millions.partition(".")[2])
        assert found == pytest.approx(float(entry.millions), abs=max(0.1, last_digit / 2)), entry.call


def test_the_documented_tables_are_what_the_code_gives(registered, detectors):
    assert block(DOCS / "models.md", "registry") == counts.registry_table(registered)
    assert block(DOCS / "models.md", "packages") == counts.packages_table(detectors)


def test_the_documented_matrix_has_every_network_and_no_failure():
    head, _, *rows = block(DOCS / "models.md", "matrix").splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in (head, *rows)]
    assert [row[0] for row in cells[1:]] == [f"`{name}`" for name in names()]
    assert {cell for row in cells[1:] for cell in row[1:]} == {"yes"}
    explained = (DOCS / "models.md").read_text()
    assert all(check in explained.split("<!-- matrix -->")[0] for check in cells[0][1:])
