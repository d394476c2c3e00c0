"""Names and arguments of a library's operations: what is wrong is told with what there is."""

import pytest

from kit.errors import KitError
from train_local.augment.arguments import call, defaults, find


def blur(radius, sigma=1.0, p=0.5):
    if radius < 0:
        raise AssertionError
    return radius, sigma, p


def test_an_operation_is_found_by_its_name_and_a_near_name_is_offered():
    assert find({"Blur": blur}, "Blur", "albumentations") is blur
    with pytest.raises(
        KitError, match="albumentations has no operation 'Blurr' that can be used here"
    ) as caught:
        find({"Blur": blur, "Flip": blur}, "Blurr", "albumentations")
    assert caught.value.fix == "did you mean 'Blur'? known are: Blur, Flip"


def test_arguments_that_fit_make_it():
    assert call(blur, "Blur", {"radius": 3}, outside=("p",)) == (3, 1.0, 0.5)
    assert defaults(blur, outside=("p",)) == {"sigma": 1.0}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"radius": 3, "p": 0.1}, "Blur has its probability 'p' among its arguments"),
        ({}, "Blur refuses its arguments: missing a required argument: 'radius'"),
        ({"radius": 3, "size": 1}, "Blur refuses its arguments: got an unexpected keyword argument 'size'"),
        ({"radius": -1}, "Blur refuses its arguments: AssertionError"),
    ],
)
def test_arguments_that_do_not_fit_are_told(arguments, problem):
    with pytest.raises(KitError, match=problem) as caught:
        call(blur, "Blur", arguments, outside=("p",))
    assert caught.value.fix in ("set p of the Op instead", "its arguments are: radius, sigma=1.0")
