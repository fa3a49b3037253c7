"""The deconvolutional network without switches, as in Springenberg et al. 2014, https://arxiv.org/abs/1412.6806, section 3.4."""

from dataclasses import dataclass

from livecnn.explain.backprop import DECONVOLVED, SPREAD, Backprop


@dataclass(frozen=True, eq=False)
class DeconvnetUnpooled(Backprop):
    """As Deconvnet, but a maximum pooling spreads a value evenly over its window: of n pixels (padding aside) each gets 1/n.

    So nothing of the picture leads the way back but the position it starts from (`at`). Maximum poolings whose windows have gaps
    cannot be spread. For fields see Method and TargetedMethod.
    """

    names = ("deconvnet, no switches", "no switches")
    meaning = "the pattern that the unit looks for in any picture"
    shown_as = "color"
    rules = (DECONVOLVED, SPREAD)
