"""The deconvolutional network: Zeiler, Fergus 2013, https://arxiv.org/abs/1311.2901."""

from dataclasses import dataclass

from livecnn.explain.backprop import DECONVOLVED, Backprop


@dataclass(frozen=True, eq=False)
class Deconvnet(Backprop):
    """Back through transposed filters; every ReLU lets back only what is positive, wherever its input was: R = [R' > 0] R'.

    Maximum poolings send a value to where the maximum was (the switches); where windows overlap, to the sum. It starts with 1,
    not with the activation. For fields see Method and TargetedMethod.
    """

    names = ("deconvnet",)
    meaning = "the pattern that the unit looks for, placed as in this picture"
    shown_as = "color"
    rules = (DECONVOLVED,)
