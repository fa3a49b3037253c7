from dataclasses import fields

import pytest

from livecnn.drawing.theme import BAND, CLASSES, INK, THEMES, Color, Metrics, Theme, mix_colors

themes = pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)


def luminance(color: Color) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    parts = [part / 255 for part in color]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a: Color, b: Color) -> float:
    bright, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_the_formula() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.01)


@themes
def test_texts_can_be_read(theme: Theme) -> None:
    for ground in (theme.card, theme.background):  # the header stands on the background
        assert contrast(theme.text, ground) >= 7
        for color in (theme.muted, theme.good, theme.bad):
            assert contrast(color, ground) >= 4.5
        assert contrast(theme.accent, ground) >= 3  # large, or beside its own bar


@themes
def test_bars_and_broken_values_can_be_seen(theme: Theme) -> None:
    for color in (theme.accent, theme.not_finite):
        assert contrast(color, theme.card) >= 3  # WCAG 1.4.11, graphical objects
    assert contrast(theme.accent, theme.quiet) >= 1.5


def test_classes_can_be_told_apart_and_named() -> None:
    for i, color in enumerate(CLASSES):
        assert contrast(color, INK) >= 4
        for other in (*CLASSES[:i], THEMES["dark"].accent):
            assert sum(abs(a - b) for a, b in zip(color, other, strict=True)) >= 60


@themes
def test_colours_are_three_bytes(theme: Theme) -> None:
    for field in fields(theme):
        color = getattr(theme, field.name)
        assert len(color) == 3
        assert all(isinstance(part, int) and 0 <= part <= 255 for part in color)


def test_sizes_grow_with_the_figure_but_letters_never_get_unreadable() -> None:
    assert Metrics.of(1280, 720) == Metrics(1.0)
    assert Metrics.of(3840, 2160) == Metrics(3.0)
    assert Metrics.of(3840, 720) == Metrics(1.0)
    assert Metrics.of(320, 240) == Metrics.of(1, 1)
    assert Metrics.of(1, 1).small >= 9
    assert Metrics(0.72).px(0.1) == 1
    assert (Metrics(1.5).title, Metrics(1.5).body, Metrics(1.5).small, Metrics(1.5).gap) == (24, 21, 20, 18)


@themes
def test_bars_and_lines_can_be_seen_on_their_band(theme: Theme) -> None:
    band = mix_colors(theme.card, theme.accent, BAND)
    assert contrast(band, theme.card) > 1.1
    assert contrast(theme.accent, band) >= 2.5
    assert mix_colors(theme.card, theme.accent, 0) == theme.card
    assert mix_colors(theme.card, theme.accent, 1) == theme.accent
