import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.markers import Marker
from packaging.requirements import Requirement

from bundle import lock
from kit.errors import KitError
from kit.local import lockfile
from kit.local.lockfile import PYTHONS, Pin
from kit.local.targets import marker_environment

ROOT = Path(__file__).parents[3]
LOCK = ROOT / "requirements.lock"

HASHES = st.lists(st.text("0123456789abcdef", min_size=64, max_size=64), min_size=1, max_size=3, unique=True)
PINS = st.dictionaries(
    st.sampled_from(["alpha", "beta", "gamma-ray"]),
    st.tuples(st.sampled_from(["1.0", "2.0", "2.0.post1"]), HASHES, st.sets(st.sampled_from(["x", "y"]))),
)
LOCKS = st.fixed_dictionaries(dict.fromkeys(PYTHONS, PINS))


def pins_of(chosen):
    return [
        Pin(name=name, version=version, hashes=tuple(sorted(hashes)), via=tuple(sorted(via)))
        for name, (version, hashes, via) in sorted(chosen.items())
    ]


@given(LOCKS)
def test_each_python_gets_back_its_own_pins_from_the_merged_lock(drawn):
    locks = {python: pins_of(chosen) for python, chosen in drawn.items()}
    merged = lockfile.merge(locks)
    for python, pins in locks.items():
        selected = lockfile.select(merged, marker_environment(python))
        assert {name: pin.version for name, pin in selected.items()} == {
            pin.name: pin.version for pin in pins
        }
        for pin in pins:
            assert set(pin.hashes) <= set(selected[pin.name].hashes)
            assert set(pin.via) <= set(selected[pin.name].via)


@given(LOCKS)
def test_a_merged_lock_says_nothing_twice_and_marks_only_differences(drawn):
    merged = lockfile.merge({python: pins_of(chosen) for python, chosen in drawn.items()})
    keys = [(pin.name, pin.version) for pin in merged]
    assert len(set(keys)) == len(keys)
    for pin in merged:
        everywhere = all(drawn[python].get(pin.name, ("",))[0] == pin.version for python in PYTHONS)
        assert (pin.marker == "") == everywhere


@given(LOCKS)
def test_a_lock_reads_back_as_it_was_written(drawn):
    merged = lockfile.merge({python: pins_of(chosen) for python, chosen in drawn.items()})
    assert lockfile.parse(lockfile.render(merged, command="a test")) == merged


@pytest.mark.parametrize(
    ("holders", "marker"),
    [
        ("3.13", 'python_version == "3.13"'),
        ("3.12 3.13", 'python_version >= "3.12"'),
        ("3.11 3.12", 'python_version < "3.13"'),
        ("3.11 3.13", 'python_version == "3.11" or python_version == "3.13"'),
        ("3.11 3.12 3.13", ""),
    ],
)
def test_markers_are_the_ones_a_reader_would_write(holders, marker):
    pin = Pin(name="a", version="1", hashes=("0" * 64,))
    [merged] = lockfile.merge({python: [pin] if python in holders else [] for python in PYTHONS})
    assert merged.marker == marker


def test_a_marker_that_came_with_a_pin_is_kept_beside_ours():
    pin = Pin(name="a", version="1", marker='sys_platform == "linux"', hashes=("0" * 64,))
    [merged] = lockfile.merge({"3.11": [], "3.12": [], "3.13": [pin]})
    environment = marker_environment("3.13")
    assert Marker(merged.marker).evaluate(environment)
    assert not Marker(merged.marker).evaluate({**environment, "sys_platform": "win32"})
    assert not Marker(merged.marker).evaluate(marker_environment("3.12"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"a>=1 --hash=sha256:{'0' * 64}", "a is not pinned to one exact version"),
        (f"a==1.* --hash=sha256:{'0' * 64}", "a is not pinned to one exact version"),
        ("a==1", "a==1 has no sha256"),
        ("--index-url http://localhost", "not a pin: '--index-url'"),
    ],
)
def test_what_is_no_hashed_pin_is_refused_with_the_line_and_the_way_to_mend_it(line, message):
    with pytest.raises(KitError) as error:
        lockfile.parse(line, where="requirements.lock")
    assert message in str(error.value)
    assert "requirements.lock" in str(error.value)
    assert "python -m bundle lock" in str(error.value)


def test_two_pins_of_one_name_for_one_python_are_refused():
    pins = [Pin(name="a", version=version, hashes=("0" * 64,)) for version in ("1", "2")]
    with pytest.raises(KitError, match=r"a is pinned twice for Python 3\.12: 1 and 2"):
        lockfile.select(pins, marker_environment("3.12"))


def test_a_missing_lock_says_how_to_make_it(tmp_path):
    with pytest.raises(KitError, match="the lock cannot be read") as error:
        lockfile.load(tmp_path / "requirements.lock")
    assert "python -m bundle lock" in str(error.value)
    (tmp_path / "requirements.lock").write_bytes(b"\xff\xfe")
    with pytest.raises(KitError, match="the lock cannot be read: 'utf-8' codec"):
        lockfile.load(tmp_path / "requirements.lock")


def test_requirements_that_a_lock_does_not_fulfil_are_named():
    pins = [Pin(name="a", version="1.5", hashes=("0" * 64,))]
    text = 'a>=1  # fine\na>=2\nb\nc ; python_version < "3.12"\n'
    assert lockfile.unmet(text, pins, marker_environment("3.13")) == ["a>=2", "b"]
    assert lockfile.unmet(text, pins, marker_environment("3.11"))[-1].startswith("c")


# --- the repository's own lock ---


def test_our_lock_fulfils_our_requirements_on_every_python():
    lock.check(ROOT / "requirements.in", LOCK)


def test_our_lock_has_hashed_pins_only_and_names_no_place():
    statements = [line for line in LOCK.read_text().splitlines() if not line.lstrip().startswith("#")]
    for line in statements:
        assert line.startswith("    --hash=sha256:") or Requirement(line.rstrip("\\ ")).specifier
    assert all(pin.hashes for pin in lockfile.load(LOCK))
    assert not any("://" in line or line.startswith("-") for line in LOCK.read_text().splitlines())


def test_our_lock_pins_each_name_once_for_every_python():
    pins = lockfile.load(LOCK)
    for python, pin in itertools.product(PYTHONS, ("torch", "mmdet", "numpy", "scipy", "pip")):
        assert pin in lockfile.select(pins, marker_environment(python))


# --- what leads to what ---


def test_names_lead_to_what_needs_them_by_the_notes_and_an_end_is_named_but_not_followed():
    via = {
        "mmdet": ("ours",),
        "scipy": ("mmdet",),
        "torch": ("mmdet",),
        "sympy": ("torch",),
        "six": ("other",),
    }
    pins = [Pin(name=name, version="1", via=why) for name, why in via.items()]
    assert lockfile.led_to(["ours"], pins, end="torch".__eq__) == ["mmdet", "ours", "scipy", "torch"]
    assert "sympy" in lockfile.led_to(["ours"], pins, end=lambda _: False)


def test_notes_in_a_circle_end():
    pins = [Pin(name="a", version="1", via=("b",)), Pin(name="b", version="1", via=("a",))]
    assert lockfile.led_to(["a"], pins, end=lambda _: False) == ["a", "b"]
