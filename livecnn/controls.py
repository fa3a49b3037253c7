"""What the keys do. Knows the loop and the screen, not the window's toolkit; a host adds what only a window can do."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from livecnn.config import Layout
from livecnn.errors import LivecnnError
from livecnn.fields import COLORMAPS
from livecnn.figure import Screen
from livecnn.keys import ACTIONS
from livecnn.live import Live
from livecnn.outputs import free_path, write_png

BOX_STEP = 0.05


class Host(Protocol):
    """A window, or what stands for one."""

    def redraw(self) -> None:
        """Draw the still picture anew, then everything."""

    def toggle_fullscreen(self) -> None: ...

    def quit(self) -> None: ...


class Controls:
    """One method per action of the table in keys.py. `views` are the layouts that the key v walks through."""

    def __init__(self, live: Live, screen: Screen, host: Host, views: list[Layout], snapshots: Path) -> None:
        self._live, self._screen, self._host = live, screen, host
        self._views, self._snapshots = views, snapshots
        self._sorted_by: int | None = None

    def press(self, key: str | None) -> None:
        """key: matplotlib's name for it; keys without a meaning do nothing."""
        key = (key or "").lower() if len(key or "") == 1 else key or ""  # with caps lock on, too
        action = ACTIONS.get(key)
        if action == "sort":
            self.sort(int(key))
        elif action is not None:
            getattr(self, action)()

    def click(self, x: float, y: float) -> None:
        """A click at device pixels from the top left: on a view's name it opens the view."""
        for place, name in self._screen.header.tabs:
            if place.contains(x, y):
                self.show_view(next(view for view in self._views if view.name == name))

    def freeze(self) -> None:
        self._live.freeze(not self._live.frozen)
        self._live.refresh()

    def sort(self, index: int) -> None:
        wanted = None if index == self._screen.sorted_by else index
        classes = self._screen.context.classes
        if index >= len(classes):
            self._screen.say(f"no class {index}: there are {len(classes)}")
        elif self._screen.sort_by(wanted):
            self._sorted_by = wanted
            self._changed()
        else:
            self._screen.say("nothing to sort: this view shows no neurons with weights to the classes")

    def next_view(self) -> None:
        if len(self._views) < 2:
            self._screen.say("this layout names no other views")
            return
        names = [view.name for view in self._views]
        here = names.index(self._screen.layout.name) if self._screen.layout.name in names else -1
        self.show_view(self._views[(here + 1) % len(names)])

    def show_view(self, layout: Layout) -> None:
        self._screen.open(layout)
        if self._sorted_by is not None:
            self._screen.sort_by(self._sorted_by)
        self._changed()

    def next_colormap(self) -> None:
        maps = [drawer for drawer in self._screen.drawers.values() if hasattr(drawer, "colormap")]
        if not maps:
            self._screen.say("this view shows no maps")
            return
        name = COLORMAPS[(COLORMAPS.index(maps[0].colormap) + 1) % len(COLORMAPS)]
        for drawer in maps:
            drawer.colormap = name
        self._screen.say(f"colours: {name}", 1.5)
        self._changed()

    def grow_box(self) -> None:
        self._resize_box(BOX_STEP)

    def shrink_box(self) -> None:
        self._resize_box(-BOX_STEP)

    def _resize_box(self, step: float) -> None:
        share = self._live.observer.cropper.resize(step)
        self._screen.say(f"box: {100 * share:.0f} % of the picture's short side", 1.5)
        self._live.refresh()

    def mirror(self) -> None:
        self._live.mirrored = not self._live.mirrored
        self._live.refresh()

    def snapshot(self) -> None:
        path = free_path(self._snapshots, ".png")
        try:
            write_png(path, self._screen.pixels())
            self._screen.say(f"saved {path}")
        except LivecnnError as error:
            self._screen.say(str(error))

    def fullscreen(self) -> None:
        self._host.toggle_fullscreen()

    def help(self) -> None:
        overlay = self._screen.help
        overlay.set_visible(not overlay.get_visible())
        self._live.refresh()

    def quit(self) -> None:
        self._host.quit()

    def _changed(self) -> None:
        """The panels want something else of the network, and the still picture is another."""
        self._host.redraw()
        self._live.observer.watch(self._screen.reducers)
        self._live.refresh()
