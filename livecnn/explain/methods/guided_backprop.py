"""Guided backpropagation: Springenberg, Dosovitskiy, Brox, Riedmiller 2014, https://arxiv.org/abs/1412.6806."""

from dataclasses import dataclass

from livecnn.explain.backprop import GUIDED, Backprop


@dataclass(frozen=True, eq=False)
class GuidedBackprop(Backprop):
    """The gradient, of which every ReLU lets back only what is positive, and only where its input was: R = [x > 0] [R' > 0] R'.

    ReLUs may be modules or functions, with an upper end such as ReLU6 or without. Other activations keep their gradient.
    For fields see Method and TargetedMethod.
    """

    names = ("guided backprop", "guided")
    meaning = "strokes and edges that the value rests on"
    shown_as = "color"
    rules = (GUIDED,)
