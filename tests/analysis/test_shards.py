"""A toy job in shards: runs that are cut short, folders that hold another run, several programs at a time."""

import json
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import Mock

import pytest
from PIL import Image as PillowImage

from livecnn.analysis import shards
from livecnn.analysis.dataset import ImageDataset
from livecnn.analysis.scorer import Scorer
from livecnn.errors import OutputError, SourceError, UsageError
from livecnn.io import files


@dataclass
class Places:
    """Which images were seen."""

    places: list[int]

    def packed(self) -> bytes:
        return json.dumps(self.places).encode()


@dataclass(frozen=True, kw_only=True)
class Toy(shards.Job[Places]):
    decisive = "images", "fingerprint", "size", "layers"

    def gather(self, scorer: Scorer, places: Sequence[int]) -> Places:
        return Places([each.index for each in scorer(places)])

    def unpacked(self, data: bytes) -> Places:
        return Places(json.loads(data))


@pytest.fixture
def images(tmp_path: Path) -> Iterator[ImageDataset]:
    (tmp_path / "images").mkdir()
    for number in range(7):
        PillowImage.new("L", (28, 28), 30 * number).save(tmp_path / "images" / f"{number}.png")
    with ImageDataset(f"folder:{tmp_path / 'images'}") as images:
        yield images


@pytest.fixture
def job(images: ImageDataset) -> Toy:
    return Toy(place=images.spec, model="lenet-mnist", layers=(), images=7, fingerprint=images.fingerprint(), size=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "shards"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_run_cut_short_goes_on(job: Toy, images: ImageDataset, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is worked on twice, and the order in which shards come does not matter."""
    worked: list[int] = []

    def backwards(job: shards.Job[Places], missing: Sequence[int], images: ImageDataset) -> Generator[tuple[int, bytes]]:
        for number, data in shards.run_locally(job, missing[::-1], images):
            worked.append(number)
            yield number, data
            if number == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shards.run(job, folder, images, backwards)
    assert names(folder) == ["00002.npz", "00003.npz", "job.json"]
    shards.run(job, folder, images, backwards)
    assert worked == [3, 2, 1, 0]
    assert [part.places for part in shards.read_parts(job, folder)] == [[0, 1], [2, 3], [4, 5], [6]]
    monkeypatch.setattr(shards, "Worker", None)  # nobody works
    shards.run(job, folder, images)


def test_a_run_without_a_finished_shard_leaves_nothing(
    job: Toy, images: ImageDataset, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards.Worker, "__call__", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        shards.run(job, folder, images)
    assert not folder.exists()


def test_a_full_disk_keeps_what_is_finished(
    job: Toy, images: ImageDataset, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = shards.write_atomically

    def full(path: Path, data: bytes) -> None:
        if path.name == "00001.npz":
            raise OutputError(f"{path}: cannot be written: No space left on device")
        write(path, data)

    with monkeypatch.context() as patch, pytest.raises(OutputError, match="No space left on device"):
        patch.setattr(shards, "write_atomically", full)
        shards.run(job, folder, images)
    assert names(folder) == ["00000.npz", "job.json"]
    shards.run(job, folder, images)
    assert len(names(folder)) == 5


def test_a_folder_that_holds_another_run(job: Toy, images: ImageDataset, folder: Path) -> None:
    shards.run(job, folder, images)
    kept = (folder / "job.json").read_bytes()
    for other, told in (
        (replace(job, size=3), r" \(size, 2, now 3\)"),
        (replace(job, layers=("ip1",)), r" \(layers, \[\], now \['ip1'\]\)"),
        (replace(job, fingerprint="other"), r" \(fingerprint\)"),
    ):
        with pytest.raises(OutputError, match=rf"shards: holds another run{told}; name another folder, or delete this one$"):
            shards.run(other, folder, images)
    (folder / "job.json").unlink()
    with pytest.raises(OutputError, match=r"shards: holds shards, but no job\.json that tells whose; delete them, or"):
        shards.run(job, folder, images)
    (folder / "job.json").write_text("[]")
    with pytest.raises(OutputError, match=r"job\.json: not what a run leaves: .*; name another folder$"):
        shards.run(job, folder, images)
    (folder / "job.json").write_bytes(kept)
    shards.run(job, folder, images)


def test_a_damaged_shard(job: Toy, images: ImageDataset, folder: Path) -> None:
    shards.run(job, folder, images)
    (folder / "00001.npz").write_bytes(b"[2, ")
    with pytest.raises(OutputError, match=r"00001\.npz: damaged: .*; delete it, and the same command works on it again"):
        list(shards.read_parts(job, folder))
    (folder / "00001.npz").unlink()
    shards.run(job, folder, images)
    assert [place for part in shards.read_parts(job, folder) for place in part.places] == list(range(7))


@pytest.mark.parametrize("deleted", range(7))
def test_killed_while_it_deletes(
    job: Toy, images: ImageDataset, folder: Path, monkeypatch: pytest.MonkeyPatch, deleted: int
) -> None:
    """Shards are never left without what tells whose they are."""
    shards.run(job, folder, images)
    unlink, left = Path.unlink, iter(range(deleted))

    def killed(path: Path, missing_ok: bool = False) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        if deleted < 6:  # of four shards, job.json and what it is called while it is written
            with pytest.raises(KeyboardInterrupt):
                shards.discard(folder)
        else:
            shards.discard(folder)
    assert (folder / "job.json").exists() == (deleted < 6)
    shards.run(job, folder, images)
    shards.discard(folder)
    assert not folder.exists()


def test_one_program_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LOCK_PATIENCE", 0)
    told = pytest.raises(OutputError, match=r"job\.json: cannot be written: another program")
    with shards.exclusive(folder), told, shards.exclusive(folder):
        pass
    assert not folder.exists()


def test_other_images(job: Toy, images: ImageDataset, tmp_path: Path) -> None:
    job.check(images)
    (tmp_path / "images" / "0.png").rename(tmp_path / "images" / "9.png")
    with ImageDataset(images.spec) as changed, pytest.raises(SourceError, match="holds other pictures than when the run began"):
        job.check(changed)


def test_a_folder_among_the_images(images: ImageDataset, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "images")
    for out in (tmp_path / "images", tmp_path / "images" / "cat" / "top", tmp_path / "link" / "top"):
        with pytest.raises(UsageError, match=r"--out .*: lies in the folder of the images; name one outside .*images"):
            shards.check_apart(images.spec, out)
    shards.check_apart(images.spec, tmp_path / "top")
