import numpy as np
import pytest
import torch

from livecnn.drawing.colormaps import table
from livecnn.drawing.theme import THEMES
from livecnn.engine.unit_reducers import UnitActivation
from livecnn.networks.architectures.lenet import Lenet
from livecnn.networks.inspection.architecture import Architecture
from livecnn.networks.inspection.receptive_field import ReceptiveField
from livecnn.panels.unit_parts.pictures import map_picture, receptive_edges, seen_picture

DARK = THEMES["dark"]


@pytest.mark.parametrize("layer", ["conv1", "pool1", "conv2", "pool2"])
@pytest.mark.parametrize("position", [(0, 0), (2, 3), (3, 1)], ids=str)
def test_the_reach_holds_every_pixel_that_matters(layer: str, position: tuple[int, int]) -> None:
    """Against gradients: pixels outside have none, and the pixels of a linear layer's reach have."""
    torch.manual_seed(0)
    net, x = Lenet().eval(), torch.randn(1, 1, 28, 28, requires_grad=True)
    field = next(node.field for node in Architecture.of(net, x.detach()).nodes if node.name == layer)
    kept: list[torch.Tensor] = []
    with net.get_submodule(layer).register_forward_hook(lambda module, given, output: kept.append(output)):
        net(x)
    kept[0][0, :, position[0], position[1]].sum().backward()
    rows, columns = np.nonzero(x.grad[0, 0].numpy())
    assert field is not None
    top, left, bottom, right = (28 * edge for edge in receptive_edges(field, position, (28, 28)))
    assert (top <= rows.min(), left <= columns.min()) == (True, True)
    assert (rows.max() < bottom, columns.max() < right) == (True, True)
    if layer == "conv1":
        assert (top, left, bottom, right) == (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)


def test_the_reach_is_kept_inside_the_picture() -> None:
    assert receptive_edges(ReceptiveField((5, 5), (1, 1), (0.0, 0.0)), (0, 0), (10, 20)) == (0.0, 0.0, 0.25 + 0.05, 0.15)
    assert receptive_edges(ReceptiveField((10, 20)), (0, 0), (10, 20)) == (0.0, 0.0, 1.0, 1.0)


def test_what_is_seen_is_outlined_where_the_edges_are() -> None:
    seen = np.zeros((8, 8, 3), np.uint8)
    picture = seen_picture(seen, (80, 80), (0.25, 0.5, 0.75, 1.0), DARK.accent, 2)
    rows, columns = np.nonzero((picture == DARK.accent).all(axis=2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 59, 40, 79)
    assert not seen_picture(seen, (80, 80), None, DARK.accent, 2).any()
    assert not seen.any()


@pytest.mark.parametrize(("position", "ends"), [((1, 2), (40, 79, 60, 89)), (None, (0, 79, 0, 89))], ids=str)
def test_a_map_shows_a_position_or_is_framed(position: tuple[int, int] | None, ends: tuple[int, ...]) -> None:
    view = UnitActivation.of("conv", 0, np.arange(6, dtype=np.float32).reshape(2, 3))
    picture = map_picture(view, (90, 80), table("gray", DARK), position, DARK.accent, 2)
    rows, columns = np.nonzero((picture[:, :, :3] == DARK.accent).all(axis=2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == ends
    assert picture[10, 10, 0] == 0
    assert picture[70, 80, 0] == 255


def test_a_map_without_finite_values() -> None:
    view = UnitActivation.of("conv", 0, np.full((2, 2), np.nan, np.float32))
    picture = map_picture(view, (40, 40), table("gray", DARK), None, DARK.bad, 1)
    assert picture[20, 20, :3].tolist() == list(DARK.not_finite)
