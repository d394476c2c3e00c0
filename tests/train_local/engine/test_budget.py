from hypothesis import given
from hypothesis import strategies as st

from train_local.engine.budget import Pace, fitted_steps


@given(
    st.builds(
        Pace,
        step=st.floats(1e-3, 10),
        validation=st.floats(0, 100),
        between=st.integers(1, 500),
        after=st.floats(0, 4),
    ),
    st.floats(1, 1e5),
    st.integers(1, 5000),
    st.one_of(st.none(), st.integers(1, 400)),
)
def test_what_is_fitted_fits_and_one_unit_more_does_not(pace, budget, published, epoch):
    steps = fitted_steps(pace, budget, published, epoch)
    assert 1 <= steps <= published
    assert steps == 1 or pace.duration(steps) <= budget
    if steps < published:
        in_epochs = epoch is not None and steps >= epoch
        assert not in_epochs or steps % epoch == 0
        more = steps + (epoch if in_epochs else 1)
        assert more > published or pace.duration(more) > 0.95 * budget


def test_worked_example():
    # 0.5 s a step, a validation of 20 s every 100 steps and at the end, two more for the held-out images.
    pace = Pace(step=0.5, validation=20.0, between=100, after=2)
    assert pace.duration(250) == 125 + 3 * 20 + 2 * 20
    assert fitted_steps(pace, 225 / 0.95, 10_000, None) == 250
    assert fitted_steps(pace, 225 / 0.95, 10_000, 60) == 240
    assert fitted_steps(pace, 1e9, 10_000, 60) == 10_000
    assert fitted_steps(pace, 1.0, 10_000, None) == 1, "even if nothing fits"
