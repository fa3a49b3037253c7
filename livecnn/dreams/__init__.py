"""Dreams: inputs that units of a layer, or classes, like best, found by gradient ascent.

    bundle = livecnn.load("lenet-mnist")
    for ascent in Dream.of(bundle, "conv2").ascend(units=[0, 1, 2], steps=128, seed=0):
        ascent.images  # (3, 1, 28, 28), in the network's units

An ascent (`ascent.py`) climbs an objective of images that are written as parameters and kept natural by random transforms and
regularizers (`images.py`).

Olah, Mordvintsev, Schubert, "Feature visualization", 2017, https://distill.pub/2017/feature-visualization; Yosinski et al.,
"Understanding neural networks through deep visualization", 2015, https://arxiv.org/abs/1506.06579.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
