import pytest
import torch
from torch.testing import assert_close

from livecnn.dreams.transforms import RandomTransforms, apply_transform
from tests.dreams.test_parametrization import generator


def test_whole_pixels_of_shift_move_the_picture() -> None:
    x = torch.rand(2, 3, 6, 9, generator=generator())
    found = apply_transform(x, (2, -1), 0, 1)
    assert_close(found[..., :5, 2:], x[..., 1:, :7])
    assert_close(found[..., :5, 0], x[..., 1:, 0])  # the edge goes on


def test_a_quarter_turn_is_counter_clockwise() -> None:
    x = torch.rand(1, 1, 7, 7, generator=generator())
    assert_close(apply_transform(x, (0, 0), 90, 1), x.rot90(1, (2, 3)), atol=1e-5, rtol=0)
    wide = torch.zeros(1, 1, 20, 40)
    wide[..., 9:11, 20:26] = 1  # a bar from the middle to the right
    turned = apply_transform(wide, (0, 0), 90, 1)
    assert_close(turned[0, 0, 4:10, 19:21].mean(), torch.tensor(1.0), atol=0.05, rtol=0)  # as long upwards


def test_scaling_enlarges() -> None:
    x = torch.zeros(1, 1, 12, 12)
    x[..., 4:8, 4:8] = 1
    large = apply_transform(x, (0, 0), 0, 2)
    assert_close(large[..., 3:9, 3:9], torch.ones(1, 1, 6, 6))
    assert float(large.sum()) == pytest.approx(4 * 16, rel=0.05)


def test_moves_are_seeded_within_their_range_and_differentiable() -> None:
    x = torch.rand(2, 1, 16, 16, generator=generator()).requires_grad_()
    moves = RandomTransforms(jitter=0.25, rotation=20, scaling=0.2)
    one, other = moves(x, (16, 16), generator()), moves(x, (16, 16), generator())
    assert torch.equal(one, other)
    assert not torch.equal(one, x)
    assert_close(one[1:], moves(x[1:], (16, 16), generator()))  # whatever else is in the batch
    (slope,) = torch.autograd.grad(one.sum(), x)
    assert slope[0].count_nonzero() > 200
    assert RandomTransforms(0, 0, 0)(x, (16, 16), generator()) is x
    source = generator()
    for _ in range(20):
        ramp = torch.arange(64.0).expand(1, 1, 64, 64)
        shift = float((ramp - RandomTransforms(0.25, 0, 0)(ramp, (10, 8), source))[0, 0, 32, 32])
        assert abs(shift) <= 0.25 * 8 + 1e-3
