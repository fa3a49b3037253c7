"""Colors, one type scale, spacing: everything that makes the figure look like one thing."""

from __future__ import annotations

from dataclasses import dataclass

Color = tuple[int, int, int]  # RGB, 0-255


def _rgb(code: str) -> Color:
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


@dataclass(frozen=True)
class Theme:
    """Colors by role.

    On card and background the contrast of text is at least 7:1, that of muted, good and bad 4.5:1 (WCAG 2.2, AAA and AA).
    """

    background: Color
    card: Color
    edge: Color
    text: Color
    muted: Color
    accent: Color
    quiet: Color  # bars of the classes that are not the top one
    good: Color
    bad: Color
    not_finite: Color  # NaN and infinite activations


THEMES = {
    "dark": Theme(
        background=_rgb("#0c1017"),
        card=_rgb("#151b23"),
        edge=_rgb("#262f3b"),
        text=_rgb("#eef2f7"),
        muted=_rgb("#95a0ae"),
        accent=_rgb("#f5b031"),
        quiet=_rgb("#3d5875"),
        good=_rgb("#3fb950"),
        bad=_rgb("#f4655c"),
        not_finite=_rgb("#d6409f"),
    ),
    "light": Theme(
        background=_rgb("#eceff3"),
        card=_rgb("#ffffff"),
        edge=_rgb("#d3d9e1"),
        text=_rgb("#1a212b"),
        muted=_rgb("#5b6675"),
        accent=_rgb("#b65f00"),
        quiet=_rgb("#a9bdd3"),
        good=_rgb("#187733"),
        bad=_rgb("#c6261d"),
        not_finite=_rgb("#b0207d"),
    ),
}


# Of classes beside one another. All are light enough for black letters and dark enough for a white card, none is like the dark
# accent, and no two are alike, red-green blindness included.
CLASSES = (
    _rgb("#4678cc"),
    _rgb("#23c79d"),
    _rgb("#da6d5d"),
    _rgb("#c3bbfb"),
    _rgb("#b9d162"),
    _rgb("#299fcd"),
    _rgb("#a0719f"),
    _rgb("#9fcfcb"),
    _rgb("#9f7100"),
    _rgb("#7eabf6"),
    _rgb("#e3a6b5"),
    _rgb("#789c88"),
)
INK = _rgb("#0c1017")  # letters on these

BAND = 0.2  # of a colour over the card, for what lies behind bars and lines


def mix_colors(ground: Color, color: Color, share: float) -> Color:
    """Return the ground with a share, 0..1, of a color over it."""
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(ground, color, strict=True))
    return red, green, blue


@dataclass(frozen=True)
class Metrics:
    """Sizes in device pixels for a figure of a given size; all grow together, so that the picture stays in proportion.

    scale: 1.0 at 1280x720.
    """

    scale: float

    @classmethod
    def of(cls, width: int, height: int) -> Metrics:
        """Return those of a figure of that size in pixels."""
        # Below 0.72 letters stop being readable; a small window then shows fewer words instead of smaller ones.
        return cls(max(0.72, min(width / 1280, height / 720)))

    def px(self, size: float) -> int:
        """Return a size at 1280x720 in pixels of this figure, at least one."""
        return max(1, round(size * self.scale))

    @property
    def title(self) -> int:
        return self.px(16)

    @property
    def body(self) -> int:
        return self.px(14)

    @property
    def small(self) -> int:
        return self.px(13)

    @property
    def gap(self) -> int:
        return self.px(12)

    @property
    def pad(self) -> int:
        return self.px(12)

    @property
    def header(self) -> int:
        return self.px(42)
