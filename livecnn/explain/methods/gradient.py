"""Saliency by the gradient: Simonyan, Vedaldi, Zisserman 2014, https://arxiv.org/abs/1312.6034."""

from dataclasses import dataclass

from livecnn.explain.backprop import Backprop


@dataclass(frozen=True, eq=False)
class Gradient(Backprop):
    """d a / d x: how much the value a would change with each pixel. For fields see Method and TargetedMethod."""

    names = ("gradient",)
    meaning = "which pixels would change the value, if changed a little"
