import pytest
import torch
from torch import nn
from torch.nn import functional as F

from livecnn.dreams.objectives import RedirectedReLU


@pytest.mark.parametrize(
    "rectify",
    [
        F.relu, torch.relu, torch.Tensor.relu, nn.ReLU(), nn.ReLU(inplace=True), lambda x: F.relu(x, True),
        lambda x: F.relu(input=x, inplace=True), torch.relu_, torch.Tensor.relu_,
    ],
)  # fmt: skip
def test_a_relu_that_is_off_lets_back_what_would_switch_it_on(rectify: object) -> None:
    assert callable(rectify)
    x = torch.tensor([[-1.0, -2.0], [-1.0, 3.0], [1.0, 2.0]], requires_grad=True)
    weights = torch.tensor([[2.0, -1.0], [5.0, 1.0], [1.0, 1.0]])
    with RedirectedReLU():
        output = rectify(x * 1)
    assert output.tolist() == [[0, 0], [0, 3], [1, 2]]
    (slope,) = torch.autograd.grad((output * weights).sum(), x)
    assert slope.tolist() == [[2, 0], [0, 1], [1, 1]]  # only the first picture's whole gradient would be lost


def test_outside_relus_are_as_ever() -> None:
    x = torch.tensor([[-1.0]], requires_grad=True)
    with RedirectedReLU():
        pass
    assert torch.autograd.grad(F.relu(x).sum(), x)[0].item() == 0
