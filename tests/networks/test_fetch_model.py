import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from livecnn import paths
from livecnn.errors import LivecnnError, ModelError, SourceError, UsageError
from livecnn.io import download as fetch
from livecnn.networks import bundle as bundles
from livecnn.networks import catalogue
from livecnn.networks.catalogue import ENTRIES, CatalogueEntry, ModelFile
from livecnn.networks.import_model import fetch_model
from tests.helpers import fake_importers
from tests.helpers.servers import FileServer, cut, hang_up, status

LABELS = "".join(f"{number}, thing {number}\n" for number in range(4)).encode()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """The mirror that everything is fetched from; it has the weights and labels of the entry `small`."""
    fake_importers.use(monkeypatch)
    monkeypatch.setattr(fetch, "PAUSES", (0.0,))
    monkeypatch.setenv("LIVECNN_MODELS", str(tmp_path / "models"))
    with FileServer() as server:
        server.files = {"/m/small-0a0b.pth": b"weights", "/labels.txt": LABELS}
        monkeypatch.setenv("LIVECNN_MIRROR", server.address)
        digest = hashlib.sha256(b"weights").hexdigest()
        files = (
            ModelFile("https://nowhere.invalid/m/small-0a0b.pth", 0.001, digest[:8]),
            ModelFile("https://x.invalid/labels.txt", 0.001),
        )
        small = CatalogueEntry(
            "a small one", files, "none", "nowhere", "squeezenet", {"classes": 4}, {"size": [64, 64]}, accuracy={"nothing": 0.25}
        )
        monkeypatch.setattr(catalogue, "ENTRIES", {**ENTRIES, "small": small})
        yield server


def downloads() -> list[str]:
    return sorted(path.name for path in (paths.user_models() / ".downloads").iterdir())


def test_fetched_and_ready(server: FileServer) -> None:
    folder = fetch_model("small")
    assert folder == paths.user_models() / "small"
    bundle = bundles.load("small")
    assert bundle.card is not None
    assert bundle.classes == ("thing 0", "thing 1", "thing 2", "thing 3")
    assert (bundle.card.licence, bundle.card.source, bundle.card.accuracy) == ("none", "nowhere", {"nothing": 0.25})
    assert (bundle.card.architecture, bundle.card.options, bundle.pipeline.shape) == ("squeezenet", {"classes": 4}, (3, 64, 64))
    assert bundles.describe_difference(bundle) == ""
    assert downloads() == []
    assert set(paths.bundles()) >= {"lenet-mnist", "small"}
    assert ".downloads" not in paths.bundles()


def test_a_name_that_is_taken_is_told_before_the_download(server: FileServer) -> None:
    fetch_model("small")
    server.asked.clear()
    with pytest.raises(UsageError, match=r"^small: there is a model of that name already"):
        fetch_model("small")
    assert server.asked == []
    fetch_model("small", force=True)
    assert len(server.asked) == 2


def test_a_download_goes_on_another_day(server: FileServer) -> None:
    server.faults = [cut(3), hang_up, hang_up]
    message = r"what came is kept.*; if you have small-0a0b\.pth from elsewhere: livecnn models get small --from"
    with pytest.raises(SourceError, match=message):
        fetch_model("small")
    assert downloads() == ["small-0a0b.pth.part", "small-0a0b.pth.part.etag"]
    fetch_model("small")
    assert server.asked[-2][1] == "bytes=3-"
    assert downloads() == []


def test_an_import_that_fails_keeps_the_download(server: FileServer) -> None:
    server.files["/labels.txt"] = b"only one\n"
    with pytest.raises(ModelError, match=r"scores of shape \(1, 4\); \(1, 1\) is needed"):
        fetch_model("small")
    assert downloads() == ["labels.txt", "small-0a0b.pth"]
    (paths.user_models() / ".downloads" / "labels.txt").write_bytes(LABELS)
    server.asked.clear()
    fetch_model("small")
    assert server.asked == []


def test_wrong_bytes_and_a_server_in_trouble(server: FileServer) -> None:
    server.files["/m/small-0a0b.pth"] = b"other weights"
    with pytest.raises(SourceError, match=r"damaged, or not the file that is meant"):
        fetch_model("small")
    assert not (paths.user_models() / "small").exists()
    server.faults = [status(404)]
    with pytest.raises(SourceError, match=r"the server says 404 .*; if you have small-0a0b\.pth from elsewhere"):
        fetch_model("small")


@pytest.mark.parametrize("beside", [True, False])
def test_from_files_at_hand(server: FileServer, tmp_path: Path, beside: bool) -> None:
    weights, labels = tmp_path / "renamed.PTH", tmp_path / ("labels.txt" if beside else "other.txt")
    weights.write_bytes(b"weights")
    labels.write_bytes(LABELS)
    fetch_model("small", [weights] if beside else [labels, weights])
    assert server.asked == []
    assert weights.exists()
    assert labels.exists()


def test_files_at_hand_are_checked(server: FileServer, tmp_path: Path) -> None:
    weights = tmp_path / "x.pth"
    weights.write_bytes(b"other")
    with pytest.raises(SourceError, match=r"x\.pth: damaged, or not the file that is meant: its sha256 is"):
        fetch_model("small", [weights])
    with pytest.raises(UsageError, match=r"nix\.pth: cannot be read: No such file"):
        fetch_model("small", [tmp_path / "nix.pth"])
    with pytest.raises(UsageError, match=r"x\.zip: found a file that ends in '\.zip'; small is made of \.pth, \.txt$"):
        fetch_model("small", [weights, tmp_path / "x.zip"])
    assert server.asked == []


def test_what_is_not_at_hand_is_fetched(server: FileServer, tmp_path: Path) -> None:
    weights = tmp_path / "x.pth"
    weights.write_bytes(b"weights")
    fetch_model("small", [weights])
    assert [path for path, *_ in server.asked] == ["/labels.txt"]


def test_a_name_that_nobody_knows(server: FileServer) -> None:
    message = r"^vgg: not among the models that can be fetched; did you mean 'vgg16'\? allowed: age, "
    with pytest.raises(UsageError, match=message):
        fetch_model("vgg")
    assert server.asked == []


def test_the_age_network_from_its_file(server: FileServer, shared: Path) -> None:
    fetch_model("age", [shared / "age" / "age_gender_model.weights"])
    bundle = bundles.load("age")
    assert bundle.classes == ("male", "female")
    assert bundle.shapes()["age"] == (1, 1)
    server.files["/justadudewhohacks/face-api.js-models/master/uncompressed/age_gender_model.weights"] = (
        shared / "age" / "age_gender_model.weights"
    ).read_bytes()
    fetch_model("age", force=True)
    assert len(server.asked) == 1


def test_what_livecnn_writes_itself_goes_with_the_weights(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[str] = []

    class Reading(fake_importers.Fake):
        def __call__(self, files):  # type: ignore[no-untyped-def]
            found.extend([files[0].name, files[0].read_text(), files[1].name])
            raise ModelError("seen")

    monkeypatch.setattr(fake_importers, "Fake", Reading)
    fake_importers.use(monkeypatch)
    server.files["/cvl/rrothe/imdb-wiki/static/dex_chalearn_iccv2015.caffemodel"] = b"blobs"
    with pytest.raises(LivecnnError, match=r"^seen$"):
        fetch_model("age-dex")
    assert found == ["dex_age.prototxt", catalogue.vgg16_prototxt(101), "dex_chalearn_iccv2015.caffemodel"]


# What the catalogue says


@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_is_complete(name: str) -> None:
    entry = ENTRIES[name]
    assert all([entry.what, entry.licence, entry.source, entry.files])
    suffixes = [file.suffix for file in entry.files]
    assert len(set(suffixes)) == len(suffixes)  # `--from` tells files apart by them
    for file in entry.files:
        assert file.url.startswith("https://")
        assert re.fullmatch(r"|[0-9a-f]{8}|[0-9a-f]{64}", file.sha256)
        assert file.most > 1e6 * file.megabytes > 0
    if entry.architecture is not None:
        (weights,) = (file for file in entry.files if file.suffix == ".pth")
        assert weights.name.endswith(f"-{weights.sha256}.pth")  # PyTorch names its files by their digests


def test_dex_is_the_published_architecture(shared: Path) -> None:
    words = re.compile(r'"[^"]*"|\w+|[{}]')
    published = (shared / "age" / "dex_age.prototxt").read_text()
    assert words.findall(catalogue.vgg16_prototxt(101)) == words.findall(published)
