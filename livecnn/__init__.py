"""See a convolutional network think: a live view of its activations while the input changes.

    livecnn.watch(model)  # any torch.nn.Module at work: camera, feature maps, neurons, prediction, in a window

    with livecnn.Probe(model, ["conv1", "fc1"]) as probe:  # hooks live exactly as long as the with
        scores, activations = probe(x)

    model = livecnn.load("lenet-mnist")  # .module, .classes, .prepare(rgb) -> the network's input

    livecnn.replay("digits", out="digits.gif")  # a folder, a video or MNIST's files as a film

    livecnn.dream("lenet-mnist", "conv2", "0-8")  # what these units like best, as pictures

    livecnn.explanations("lenet-mnist", "digit.png", "conv2")  # what in the image these units answer to
    livecnn.embed("digits", "lenet-mnist", "ip1")  # a map of pictures: those that a layer finds alike lie together
    livecnn.top("digits", layers="conv2", out="top")  # the images to which each unit answers most, and statistics

Importing the package is cheap: what needs torch is imported when it is first asked for. The public names are listed in
`__init__.pyi`, as in every package here that has some.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]
