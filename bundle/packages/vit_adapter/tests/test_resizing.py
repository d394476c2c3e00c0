"""Tables, position embeddings and kernels against functions whose values are known everywhere."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from vit_adapter.resizing import (
    drop_extra_bias_rows,
    geometric_grid,
    geometric_ratio,
    leading_tokens,
    resize_patch_kernel,
    resize_position_embedding,
    resize_relative_bias,
    table_side,
)


def table_of(function, coordinates):
    """Rows of a table in the order of BEiT's index: dy * side + dx."""
    values = [function(dy, dx) for dy in coordinates for dx in coordinates]
    return torch.tensor(values, dtype=torch.float64)[:, None]


def smooth(dy, dx):
    return np.exp(-((dy / 9) ** 2) - (dx / 14) ** 2) + 0.3 * np.sin(dy / 8) + 0.01 * dx


def spread(source_half, target_half):
    """Where the source's offsets lie, by the closed form of a geometric sum and another root finder."""
    q = brentq(lambda q: (q**source_half - 1) / (q - 1) - target_half, 1 + 1e-9, target_half)
    positive = [(q**step - 1) / (q - 1) for step in range(1, source_half + 1)]
    return [-x for x in reversed(positive)] + [0.0] + positive


def test_the_published_enlargement_from_14_to_56_has_its_known_ratio_and_end():
    assert geometric_ratio(13, 55) == pytest.approx(1.21807, abs=5e-6)
    grid = geometric_grid(13, 55)
    assert len(grid) == 27
    assert grid[-1] == pytest.approx(54.9999, abs=2e-4)  # the published bisection stops a little earlier
    assert grid[0] == -grid[-1]
    assert grid[13:16] == pytest.approx([0, 1, 2.21807], abs=1e-5)


@given(source=st.integers(2, 40), more=st.integers(0, 400))
def test_the_progression_ends_at_the_target_and_only_grows(source, more):
    target = source + more
    ratio = geometric_ratio(source, target)
    assert ratio >= 1
    assert sum(ratio**step for step in range(source)) == pytest.approx(target, rel=1e-12)
    grid = geometric_grid(source, target)
    steps = np.diff(grid)
    assert (steps > 0).all()
    assert np.array_equal(grid, -grid[::-1])
    assert (np.diff(steps[source:]) >= -1e-9).all()


@pytest.mark.parametrize(("source", "target"), [(1, 3), (5, 4)])
def test_what_no_progression_reaches_is_refused(source, target):
    with pytest.raises(ValueError, match=f"no growing geometric progression of {source} steps"):
        geometric_ratio(source, target)


@pytest.mark.parametrize(("window", "wanted"), [(14, 56), (7, 14), (14, 15)])
def test_a_cubic_surface_on_the_geometric_grid_is_enlarged_without_error(window, wanted):
    half = wanted - 1

    def cubic(dy, dx):
        y, x = dy / half, dx / half
        return (2 + y - 3 * y**2 + 0.5 * y**3) * (1 - 2 * x + x**2 + 4 * x**3)

    given_11 = table_of(cubic, spread(window - 1, half))
    resized = resize_relative_bias(given_11, (2 * wanted - 1) ** 2)
    assert resized.dtype == torch.float64
    torch.testing.assert_close(resized, table_of(cubic, range(-half, half + 1)), rtol=0, atol=1e-9)


def test_a_smooth_surface_keeps_its_values_head_by_head_and_axis_by_axis():
    def turned(dy, dx):
        return smooth(dx, dy) - 1

    coordinates = spread(13, 31)
    table_RH = torch.cat([table_of(smooth, coordinates), table_of(turned, coordinates)], dim=1).float()
    resized_RH = resize_relative_bias(table_RH, 63**2)
    wanted = range(-31, 32)
    expected_RH = torch.cat([table_of(smooth, wanted), table_of(turned, wanted)], dim=1).float()
    assert resized_RH.dtype == torch.float32
    torch.testing.assert_close(resized_RH, expected_RH, rtol=0, atol=5e-3)
    near = [row * 63 + column for row in range(27, 36) for column in range(27, 36)]
    torch.testing.assert_close(resized_RH[near], expected_RH[near], rtol=0, atol=2e-4)


def test_the_same_window_keeps_the_very_table_and_a_smaller_one_every_offsets_value():
    table_RH = torch.randn(27**2, 3)
    assert resize_relative_bias(table_RH, 27**2) is table_RH
    small_RH = resize_relative_bias(table_RH, 13**2)
    for dy in range(-6, 7):
        for dx in range(-6, 7):
            assert torch.equal(small_RH[(dy + 6) * 13 + dx + 6], table_RH[(dy + 13) * 27 + dx + 13])


@given(st.integers(1, 80))
def test_three_extra_rows_are_told_from_none_by_their_number(window):
    rows = (2 * window - 1) ** 2
    assert table_side(rows) == 2 * window - 1
    assert table_side(rows + 3) is None
    table_RH = torch.arange(rows + 3)[:, None]
    assert torch.equal(drop_extra_bias_rows(table_RH), table_RH[:rows])
    assert drop_extra_bias_rows(table_RH[:rows]) is not table_RH
    assert len(drop_extra_bias_rows(table_RH[:rows])) == rows


@pytest.mark.parametrize("rows", [0, 1 + 2, 16, 16 + 3, 728, 733])
def test_tables_of_no_square_window_are_refused(rows):
    with pytest.raises(ValueError, match=rf"table of {rows} rows fits no window"):
        drop_extra_bias_rows(torch.zeros(rows, 2))


def test_resizing_to_no_square_window_is_refused():
    with pytest.raises(ValueError, match="of 729 rows to 728: not square"):
        resize_relative_bias(torch.zeros(729, 2), 728)
    with pytest.raises(ValueError, match="enlarged from windows of 3 or more"):
        resize_relative_bias(torch.zeros(9, 2), 81)


@pytest.mark.parametrize(("tokens", "grid"), [(0, 14), (1, 14), (2, 14), (1, 37), (5, 16)])
def test_leading_tokens_are_what_is_left_of_a_square(tokens, grid):
    assert leading_tokens(tokens + grid**2) == tokens


def test_a_position_embedding_that_is_no_grid_is_refused():
    with pytest.raises(ValueError, match="of 190 rows is not a square grid"):
        leading_tokens(190)
    with pytest.raises(ValueError, match=r"has 1 leading tokens, the checkpoint's has 0"):
        resize_position_embedding(torch.zeros(196, 2), 197)


def cubic_convolution(source, target):
    """Matrix of cubic convolution with a = -0.75 between pixel centres (Keys 1981), edges repeated."""
    matrix = np.zeros((target, source))
    for row in range(target):
        centre = (row + 0.5) * source / target - 0.5
        for column in range(int(np.floor(centre)) - 1, int(np.floor(centre)) + 3):
            d = abs(centre - column)
            near = 1.25 * d**3 - 2.25 * d**2 + 1
            far = -0.75 * d**3 + 3.75 * d**2 - 6 * d + 3
            matrix[row, min(max(column, 0), source - 1)] += near if d <= 1 else far
    return torch.from_numpy(matrix)


@pytest.mark.parametrize(("source", "target"), [(8, 16), (14, 37), (14, 9)])
def test_position_embeddings_keep_their_tokens_and_convolve_their_grid(source, target):
    grid_YXC = torch.randn(source, source, 3)
    tokens_NC = torch.tensor([[7.0, -7.0, 0.0], [1.0, 2.0, 3.0]])
    pos_NC = torch.cat([tokens_NC, grid_YXC.flatten(0, 1)])
    resized_NC = resize_position_embedding(pos_NC, 1 + target**2)
    assert torch.equal(resized_NC[0], tokens_NC[0])
    matrix = cubic_convolution(source, target)
    expected_YXC = torch.einsum("ty,sx,yxc->tsc", matrix, matrix, grid_YXC.double())
    torch.testing.assert_close(resized_NC[1:].reshape(target, target, 3), expected_YXC.float())
    assert torch.equal(resize_position_embedding(pos_NC, len(pos_NC)), pos_NC)


def test_patch_kernels_from_14_to_16_keep_constants_and_ramps():
    ramp_OIHW = torch.arange(14.0).expand(2, 3, 14, 14) + torch.tensor([[[[0.0]]], [[[100.0]]]])
    resized_OIHW = resize_patch_kernel(ramp_OIHW, 16)
    assert resized_OIHW.shape == (2, 3, 16, 16)
    expected_W = ((torch.arange(16) + 0.5) * 14 / 16 - 0.5).clamp(0, 13)
    torch.testing.assert_close(resized_OIHW[0], expected_W.expand(3, 16, 16))
    torch.testing.assert_close(resized_OIHW[1], 100 + expected_W.expand(3, 16, 16))


def test_half_precision_comes_back_in_half_precision():
    assert resize_relative_bias(torch.randn(25, 2).half(), 81).dtype == torch.float16
    assert resize_position_embedding(torch.randn(17, 2).half(), 26).dtype == torch.float16
    assert resize_patch_kernel(torch.randn(2, 3, 14, 14).bfloat16(), 16).dtype == torch.bfloat16
