from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from livecnn.analysis.embedding.embedding import Embedding, LivePosition, PlacementReducer
from livecnn.app.plan import Plan
from livecnn.app.screen.figure import FigureView
from livecnn.layout.layout import load_layout
from livecnn.panels.base.spec import FieldError
from tests.helpers.embeddings import embedding
from tests.helpers.panel_screen import body, draw, every_size, it, panel, texts
from tests.helpers.scenes import DIGITS, SHAPES, activations, assert_texts_apart, context, scene

LARGE = (1000, 640)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def map_() -> Embedding:
    made = embedding(24)
    Path("embedding.npz").write_bytes(made.data())
    return made


def screen_of(size: tuple[int, int] = LARGE, grid: str = "it", classes: tuple[str, ...] = DIGITS, **fields: Any) -> FigureView:
    about = context(classes, {**SHAPES, "out": (1, len(classes))})
    screen = panel("embedding", size, grid=grid, about=about, **{"layer": "fc", **fields})
    screen.draw()
    return screen


def shown(screen: FigureView, fc: torch.Tensor | None = None, **options: Any) -> list[str]:
    """The texts that can be seen."""
    layers = activations(screen.context.shapes)
    return texts(draw(screen, layers if fc is None else {**layers, "fc": fc}, **options), still=True)


def accents(screen: FigureView) -> np.ndarray[Any, np.dtype[Any]]:
    """Where the live picture is marked, rows and columns."""
    return np.argwhere((body(screen) == screen.context.theme.accent).all(axis=2))


def test_the_activation_is_placed_between_its_nearest(map_: Embedding) -> None:
    activation = torch.randn(1, 30, generator=torch.Generator().manual_seed(1))
    placed = PlacementReducer("fc", map_)(activation)
    nearest, distances = map_.nearest(map_.pca(activation[0].numpy()))
    assert placed.nearest.tolist() == nearest.tolist()
    assert placed.distances == pytest.approx(distances, rel=1e-4)
    assert placed.point == pytest.approx(map_.place(nearest, distances), abs=1e-4)
    assert PlacementReducer("fc", map_)(torch.full((1, 30), torch.nan)) is None
    assert PlacementReducer("fc", None)(activation) is None


def test_it_shows_the_nearest_with_their_classes(map_: Embedding) -> None:
    screen = screen_of()
    told = shown(screen)
    placed = PlacementReducer("fc", map_)(activations()["fc"])
    assert told[-8:] == [map_.kinds[i] for i in placed.nearest]
    assert all((body(screen) == level).all(axis=2).sum() > 1000 for level in placed.nearest.tolist())
    assert "PCA of 24 pictures" in it(screen).caption.text
    before = screen.pixels()
    shown(screen)
    assert (screen.pixels() == before).all()


def test_the_mark_goes_where_the_live_picture_goes(map_: Embedding) -> None:
    screen = screen_of()
    found = []
    for picture in (int(map_.points[:, 0].argmin()), int(map_.points[:, 0].argmax())):
        place = LivePosition(map_.points[picture], np.array([picture]), np.zeros(1, np.float32))
        made = scene(screen)
        screen.show(type(made)(made.frame, type(made.tick)(made.frame, made.tick.patch, made.tick.scores, {"it": place})))
        screen.draw()
        found.append(accents(screen).mean(0))
    assert found[1][1] > found[0][1] + 20
    down = map_.points[:, 1][[map_.points[:, 0].argmin(), map_.points[:, 0].argmax()]]
    assert np.sign(found[1][0] - found[0][0]) == -np.sign(down[1] - down[0])


def test_an_empty_box_and_values_that_are_not_finite_have_no_place(map_: Embedding) -> None:
    screen = screen_of()
    shown(screen)
    assert len(accents(screen)) > 20
    assert "nothing in the box" in shown(screen, empty=True)
    assert len(accents(screen)) == 0
    assert "no place on the map" in " ".join(shown(screen, torch.full((1, 30), torch.inf)))
    assert len(accents(screen)) == 0


def test_without_the_file_it_says_how_to_make_it() -> None:
    line = "embedding.npz is not there; make it: livecnn embed FOLDER toy --layer fc --out embedding.npz"
    assert line in shown(screen_of())
    assert len(accents(screen_of())) == 0


def test_the_shipped_layout_takes_the_map() -> None:
    Plan.of("embed-live", source="demo")
    Path("embedding.npz").write_bytes(embedding(24, 500, layer="ip1").data())
    Plan.of("embed-live", source="demo")
    (panel,) = (panel for panel in load_layout("embed-live").panels.values() if panel.kind == "embedding")
    assert panel.layers() == ("ip1",)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layer": "out"}, "embedding.npz: a map of 'fc'; one of 'out' is needed"),
        ({"classes": ("a", "b")}, "embedding.npz: a map of another network, 'toy'; make it: livecnn embed FOLDER toy --layer fc"),
        ({"map": "broken.npz"}, "broken.npz: not a map that `livecnn embed` wrote"),
    ],
)
def test_a_map_of_something_else(map_: Embedding, fields: dict[str, Any], message: str) -> None:
    Path("broken.npz").write_bytes(b"PK")
    with pytest.raises(FieldError, match=message) as caught:
        screen_of(**fields)
    assert caught.value.key == "map"


@every_size
def test_texts_stay_apart_at_every_size(map_: Embedding, size: tuple[int, int], grid: str) -> None:
    screen = screen_of(size, grid)
    shown(screen)
    assert_texts_apart(screen, "it")
    assert len(accents(screen)) > 5
    everywhere = (screen.pixels() == screen.context.theme.accent).all(axis=2)
    assert everywhere.sum() == len(accents(screen))
    shown(screen, empty=True)
    assert_texts_apart(screen, "it")


@pytest.mark.parametrize("count", [1, 300])
def test_any_number_of_classes(count: int) -> None:
    classes = tuple(f"a class with a long name, {i}" for i in range(count))
    Path("embedding.npz").write_bytes(embedding(24, classes=classes).data())
    screen = screen_of((640, 480), classes=classes)
    shown(screen)
    assert_texts_apart(screen, "it")
