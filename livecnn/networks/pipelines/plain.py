"""The preprocessing of most networks for photographs: resize, and normalize each channel."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, model_validator

from livecnn._cv2 import cv2
from livecnn.networks.gpu_resize import Resize
from livecnn.networks.pipelines import Pipeline
from livecnn.types import Image, Prepared

Side = Annotated[int, Field(ge=1, le=8192)]
Mean = Annotated[float, Field(allow_inf_nan=False)]
Deviation = Annotated[float, Field(gt=0, allow_inf_nan=False)]


MOST_CHANNELS = 64


class PlainPipeline(Pipeline):
    """Resizes a shot to `size`, whatever its proportions: float32 (1, channels, H, W), (value - mean) / std by channel.

    Attributes:
        size: [H, W] in pixels.
        channels: 3 for color, 1 for luminance; any other number is filled as `fill` says.
        fill: With "repeat" the colors go round, red, green, blue, red, …; with "zero" channels beyond the third are 0.
        order: Of the three channels.
        mean: A number for each channel, or one for all.
        std: The same.
        scale: The largest value of a pixel that mean and std are meant for: 1 or 255.
        resize: "area" averages where it shrinks; "bilinear" weighs neighbors by a triangle that grows with the step, as Pillow
            and torchvision do: for networks that were trained so. Both interpolate linearly where they enlarge.
    """

    size: tuple[Side, Side]
    channels: int = Field(3, ge=1, le=MOST_CHANNELS)
    fill: Literal["repeat", "zero"] = "repeat"
    order: Literal["RGB", "BGR"] = "RGB"
    mean: tuple[Mean, ...] = (0.0,)
    std: tuple[Deviation, ...] = (1.0,)
    scale: Literal[1, 255] = 1
    resize: Literal["area", "bilinear"] = "area"

    @model_validator(mode="after")
    def _number_a_channel(self) -> PlainPipeline:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels):
                allowed = "1" if self.channels == 1 else f"1 or {self.channels}, one a channel"
                raise ValueError(f"{name} has {len(values)} numbers; allowed: {allowed}")
        return self

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.channels, *self.size)

    @property
    def limits(self) -> tuple[torch.Tensor, torch.Tensor]:
        mean, std = (torch.tensor(values)[:, None, None].expand(self.channels, 1, 1) for values in (self.mean, self.std))
        return -mean / std, (self.scale - mean) / std

    def picture(self, tensor: torch.Tensor) -> Image:
        seen = super().picture(tensor)
        return seen[..., ::-1].copy() if self.order == "BGR" and self.channels == 3 else seen

    def on(self, device: torch.device) -> Pipeline:
        return _PlainOnGpu(**dict(self)) if device.type == "cuda" and self.channels in (1, 3) else self

    @property
    def note(self) -> str:
        """Return how channels that a picture does not have are filled; "" if there are none."""
        if self.channels in (1, 3):
            return ""
        colors = [*("red", "green", "blue")[:: -1 if self.order == "BGR" else 1]]
        names = [colors[place % 3] if place < 3 or self.fill == "repeat" else "0" for place in range(min(6, self.channels))]
        more = ", …" if self.channels > len(names) else ""
        return f"its {self.channels} channels get {', '.join(names)}{more}; input: fill: {self.fill}, allowed: repeat, zero"

    def __call__(self, shot: Image) -> Prepared:
        seen = self._seen(self.letterboxed(shot))
        values = torch.from_numpy(seen).reshape(*self.size, -1) * (self.scale / 255)
        if self.order == "BGR":
            values = values.flip(-1)
        if self.channels not in (1, 3):
            whole = values[..., torch.arange(self.channels) % 3]
            values = whole if self.fill == "repeat" else whole * (torch.arange(self.channels) < 3)
        normal = (values - torch.tensor(self.mean)) / torch.tensor(self.std)
        return Prepared(normal.permute(2, 0, 1)[None].contiguous(), seen)

    def _seen(self, shot: Image) -> Image:
        seen = _resized(shot, self.size) if self.resize == "area" else _bilinear(shot, self.size)
        return seen if self.channels != 1 else np.asarray(cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY), np.uint8)


class _PlainOnGpu(PlainPipeline):
    """Uploads the shot as it is, to resize and normalize it there; the picture for people does not wait for the device."""

    @cached_property
    def _rest(self) -> Resize:
        area, reverse = self.resize == "area", self.order == "BGR"
        return Resize(self.size, self.channels, self.mean, self.std, self.scale, area=area, reverse=reverse)

    def __call__(self, shot: Image) -> Prepared:
        whole = self.letterboxed(shot)
        return Prepared(torch.from_numpy(whole), self._seen(whole), device_transform=self._rest)


def _resized(shot: Image, size: tuple[int, int]) -> Image:
    """Average where it shrinks, so that fine texture does not turn into moiré; interpolate where it grows."""
    height, width = size
    shrinks = shot.shape[0] > height or shot.shape[1] > width
    mode = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(shot), (width, height), interpolation=mode), np.uint8)


def _bilinear(shot: Image, size: tuple[int, int]) -> Image:
    from PIL import Image as Pillow

    return np.asarray(Pillow.fromarray(shot).resize((size[1], size[0]), Pillow.Resampling.BILINEAR), np.uint8).copy()
