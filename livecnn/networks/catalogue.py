"""Networks by others that `livecnn models get` fetches from where their makers put them. livecnn hands none of them on."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from livecnn.errors import UsageError, nearest
from livecnn.types import Precision


@dataclass(frozen=True)
class ModelFile:
    """megabytes: about; a server that sends twice as much is not believed.  sha256: how the hex digest begins, "" if unknown."""

    url: str
    megabytes: float
    sha256: str = ""

    @property
    def name(self) -> str:
        """Return the file's name."""
        return PurePosixPath(urlsplit(self.url).path).name

    @property
    def suffix(self) -> str:
        """Return how its name ends, with the dot."""
        return PurePosixPath(self.name).suffix

    @property
    def most(self) -> int:
        """Return how many bytes a server may send."""
        return int(2 * self.megabytes * 1_000_000)


@dataclass(frozen=True)
class CatalogueEntry:
    """A model that can be fetched, and what its card says beyond its files.

    files: a `.txt` among them holds the class names, one a line.  written: files that livecnn writes itself, by name.
    architecture, options: for files that hold nothing but weights.  accuracy: as published.  precision: see ModelCard.
    """

    what: str
    files: tuple[ModelFile, ...]
    licence: str
    source: str
    architecture: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    input: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] | None = None
    accuracy: Mapping[str, float] = field(default_factory=dict)
    precision: Precision = "float32"
    written: Mapping[str, Callable[[], str]] = field(default_factory=dict)

    @property
    def megabytes(self) -> float:
        """Return the size of all files."""
        return sum(file.megabytes for file in self.files)


def find(name: str) -> CatalogueEntry:
    """Find an entry by its name. Raises UsageError for one that is not in the catalogue."""
    if name not in ENTRIES:
        raise UsageError(f"{name}: not among the models that can be fetched; {nearest(name, ENTRIES)}")
    return ENTRIES[name]


def vgg16_prototxt(outputs: int) -> str:
    """Write the VGG-16 of Simonyan and Zisserman as a Caffe net with so many classes, its last layer named as in DEX."""
    return "".join([f'name: "VGG_ILSVRC_16_layers"\n{_layer("input", "Input", "", "data", _INPUT)}', *_layers(outputs)])


_INPUT = "input_param { shape { dim: 1 dim: 3 dim: 224 dim: 224 } }"
_POOLING = "pooling_param { pool: MAX kernel_size: 2 stride: 2 }"


def _layer(name: str, kind: str, bottom: str, top: str, parameters: str = "") -> str:
    words = [f'name: "{name}"', f'type: "{kind}"', f'bottom: "{bottom}"' if bottom else "", f'top: "{top}"', parameters]
    return f"layer {{ {' '.join(filter(None, words))} }}\n"


def _layers(outputs: int) -> Iterator[str]:
    bottom = "data"
    for block, (count, maps) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), 1):
        for place in (f"{block}_{index}" for index in range(1, count + 1)):
            conv = f"convolution_param {{ num_output: {maps} pad: 1 kernel_size: 3 }}"
            yield _layer(f"conv{place}", "Convolution", bottom, f"conv{place}", conv)
            bottom = f"conv{place}"
            yield _layer(f"relu{place}", "ReLU", bottom, bottom)
        yield _layer(f"pool{block}", "Pooling", bottom, f"pool{block}", _POOLING)
        bottom = f"pool{block}"
    for number in (6, 7):
        yield _layer(f"fc{number}", "InnerProduct", bottom, f"fc{number}", "inner_product_param { num_output: 4096 }")
        bottom = f"fc{number}"
        yield _layer(f"relu{number}", "ReLU", bottom, bottom)
        yield _layer(f"drop{number}", "Dropout", bottom, bottom, "dropout_param { dropout_ratio: 0.5 }")
    last = f"fc8-{outputs}"
    yield _layer(last, "InnerProduct", bottom, last, f"inner_product_param {{ num_output: {outputs} }}")
    yield _layer("prob", "Softmax", last, "prob")


def _imagenet(what: str, file: ModelFile, architecture: str, accuracy: float, **options: Any) -> CatalogueEntry:
    """One of torchvision's networks. Accuracy: top 1 as https://docs.pytorch.org/vision/stable/models.html has it."""
    return CatalogueEntry(
        what=f"{what}, 1,000 classes of ImageNet",
        files=(file, _IMAGENET_CLASSES),
        licence="torchvision's, BSD 3-Clause; ImageNet, on which it was trained, is for non-commercial research",
        source=file.url,
        architecture=architecture,
        options=options,
        accuracy={"imagenet_val": accuracy},
        precision="tf32",
    )


_PYTORCH = "https://download.pytorch.org/models"
_IMAGENET_CLASSES = ModelFile(
    "https://raw.githubusercontent.com/pytorch/hub/6bb7ade92447ed6f5569cfc035ed64ef3e4b633b/imagenet_classes.txt", 0.0154
)

ENTRIES: Mapping[str, CatalogueEntry] = {
    "age": CatalogueEntry(
        what="TinyXception: age and gender of a face",
        files=(
            ModelFile(
                "https://raw.githubusercontent.com/justadudewhohacks/face-api.js-models/master/uncompressed/age_gender_model.weights",
                1.7,
                "104901677b6c17f2d23b24a9ac8e46b8041ca28a96de74cf16cd119c89a16dee",
            ),
        ),
        licence="none stated by its author: for your own use; do not pass it on",
        source="https://github.com/justadudewhohacks/face-api.js-models at 8401d0fde3",
    ),
    "age-dex": CatalogueEntry(
        what="DEX, a VGG-16: apparent age of a face, a class a year",
        files=(ModelFile("https://data.vision.ee.ethz.ch/cvl/rrothe/imdb-wiki/static/dex_chalearn_iccv2015.caffemodel", 540.0),),
        licence="its authors': for academic research only",
        source="https://data.vision.ee.ethz.ch/cvl/rrothe/imdb-wiki/ (Rothe, Timofte, Van Gool: DEX, ICCV Workshops 2015)",
        # The mean colour of ImageNet, as for the VGG-16 that DEX started from.
        input={
            "kind": "plain",
            "size": [224, 224],
            "channels": 3,
            "order": "BGR",
            "mean": [103.939, 116.779, 123.68],
            "std": [1.0],
            "scale": 255,
        },
        classes=tuple(map(str, range(101))),
        precision="tf32",
        written={"dex_age.prototxt": lambda: vgg16_prototxt(101)},
    ),
    "alexnet": _imagenet("AlexNet", ModelFile(f"{_PYTORCH}/alexnet-owt-7be5be79.pth", 244.0, "7be5be79"), "alexnet", 0.56522),
    "resnet18": _imagenet(
        "ResNet-18", ModelFile(f"{_PYTORCH}/resnet18-f37072fd.pth", 46.8, "f37072fd"), "resnet", 0.69758, depth=18
    ),
    "squeezenet": _imagenet(
        "SqueezeNet 1.1", ModelFile(f"{_PYTORCH}/squeezenet1_1-b8a52dc0.pth", 5.0, "b8a52dc0"), "squeezenet", 0.58178
    ),
    "vgg16": _imagenet("VGG-16", ModelFile(f"{_PYTORCH}/vgg16-397923af.pth", 553.4, "397923af"), "vgg", 0.71592, depth=16),
}
