"""Name layers in a word or two, whatever program they come from."""

from collections.abc import Sequence

from livecnn.networks.inspection.architecture import DROPOUTS, Node, size_text, window_facts

# By type, in small letters; what is not here keeps its own name.
WORDS = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "convolution"), "conv"),
    **dict.fromkeys(("convtranspose2d", "conv2dtranspose", "conv_transpose2d", "deconvolution"), "up-conv"),
    **dict.fromkeys(("depthwiseconv2d", "separableconv2d"), "conv"),
    **dict.fromkeys(("maxpool2d", "maxpooling2d", "max_pool2d"), "max"),
    **dict.fromkeys(("avgpool2d", "averagepooling2d", "avg_pool2d"), "avg"),
    **dict.fromkeys(("adaptiveavgpool2d", "adaptive_avg_pool2d", "globalaveragepooling2d"), "avg pool"),
    **dict.fromkeys(("adaptivemaxpool2d", "adaptive_max_pool2d", "globalmaxpooling2d"), "max pool"),
    "pooling": "pool",
    **dict.fromkeys(("linear", "dense", "innerproduct"), "dense"),
    **dict.fromkeys(("batchnorm1d", "batchnorm2d", "batch_norm", "batchnorm", "batchnormalization"), "batch norm"),
    **dict.fromkeys(("layernorm", "layer_norm", "layernormalization"), "layer norm"),
    **dict.fromkeys(("groupnorm", "group_norm", "groupnormalization"), "group norm"),
    **dict.fromkeys(("lrn", "localresponsenorm", "local_response_norm"), "local norm"),
    **dict.fromkeys(DROPOUTS.split(), "dropout"),
    **dict.fromkeys(("softmax", "softmax2d"), "softmax"),
    **dict.fromkeys(("logsoftmax", "log_softmax"), "log softmax"),
    **dict.fromkeys(("cat", "concat", "concatenate"), "concat"),
    **dict.fromkeys(("zeropad2d", "zeropadding2d", "constantpad2d", "pad"), "pad"),
    **{word.lower(): word for word in ("ReLU", "ReLU6", "PReLU", "ELU", "GELU", "SiLU")},
    **dict.fromkeys(("add", "flatten", "reshape", "identity", "sigmoid", "tanh"), ""),
}


def short_type(node: Node) -> str:
    """Return a layer's type in a word or two, e.g. "conv 5×5", "max 2×2", "dense", "batch norm"."""
    kind = node.type.lower()
    word = WORDS.get(kind, node.type) or kind
    if word == "conv" and (kind.startswith("depthwise") or _depthwise(node)):
        word = "depthwise"
    return f"{word} {size_text(node.window.kernel)}" if node.window and word != "local norm" else word


def facts(node: Node) -> list[str]:
    """Return the facts about a layer, a line each."""
    lines = [node.name, f"{short_type(node)} ({node.type})" if short_type(node) != node.type else node.type]
    lines.append(f"output {size(node.output)}")
    if node.parameters:
        lines.append(f"{node.parameters:,} parameters")
    told = window_facts(node.window)
    lines += [", ".join(line) for line in (told[:3], told[3:]) if line]
    return [*lines, f"sees {size_text(node.field.size)} pixels" if node.field else "how much it sees cannot be told"]


def size(shape: Sequence[int]) -> str:
    """(C, H, W) as "H×W×C", as networks are drawn; (units,) as it is."""
    return size_text((*shape[1:], shape[0])) if shape else ""


def _depthwise(node: Node) -> bool:
    return node.window is not None and 1 < node.window.groups == node.output[0]
