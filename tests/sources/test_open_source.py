from pathlib import Path

import pytest

from livecnn import registry
from livecnn.errors import SourceError
from livecnn.sources import Source, SourceOptions, open_source


@pytest.mark.parametrize(
    ("spec", "kind", "address"),
    [
        ("auto", "AutoSource", ""),
        ("camera", "CameraSource", ""),
        ("camera:1", "CameraSource", "1"),
        ("camera:/dev/video2", "CameraSource", "/dev/video2"),
        ("video:some clip.mkv", "VideoSource", "some clip.mkv"),
        (r"video:C:\clips\a.mp4", "VideoSource", r"C:\clips\a.mp4"),
        ("http://host:8080/video", "StreamSource", "http://host:8080/video"),
        ("https://host/live.m3u8", "StreamSource", "https://host/live.m3u8"),
        ("rtsp://user:secret@host/1", "StreamSource", "rtsp://user:secret@host/1"),
        ("folder:some/dir", "FolderSource", "some/dir"),
        ("demo", "DemoSource", ""),
        (" demo ", "DemoSource", ""),
        (0, "CameraSource", "0"),
        ("2", "CameraSource", "2"),
    ],
)
def test_spec_strings(spec: str | int, kind: str, address: str) -> None:
    options = SourceOptions(seed=7)
    source = open_source(spec, options)
    assert (type(source).__name__, source.address) == (kind, address)
    assert source.options is options


def test_bare_paths_over_which_a_kind_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "clip.mp4").touch()
    monkeypatch.chdir(tmp_path)
    kinds = {str(tmp_path): "FolderSource", "clip.mp4": "VideoSource", "demo": "DemoSource", "./demo": "FolderSource"}
    assert {spec: type(open_source(spec)).__name__ for spec in kinds} == kinds


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ("camra", "did you mean 'camera'"),
        ("foldr:x", "did you mean 'folder'"),
        ("ftp://x", "allowed: auto"),
        ("", "allowed: auto"),
    ],
)
def test_unknown_sources(spec: str, hint: str) -> None:
    with pytest.raises(SourceError, match=f"source '{spec}': no such kind, folder or file; {hint}"):
        open_source(spec)


@pytest.mark.parametrize("kind", ["auto", "demo", "pad"])
def test_sources_without_an_address_refuse_one(kind: str) -> None:
    with pytest.raises(SourceError, match=f"source '{kind}:3': {kind} takes no address"):
        open_source(f"{kind}:3")


@pytest.mark.parametrize("kind", registry.kinds("sources"))
def test_contract_of_every_source(kind: str) -> None:
    source: Source = registry.find("sources", kind, SourceError)("", SourceOptions())
    assert isinstance(source, Source)
    assert type(source).__doc__
    assert source.skipped == []
    assert source.note == ""
    source.close()
    source.close()


@pytest.mark.parametrize("kind", ["camera", "demo", "stream", "video"])
def test_reading_what_is_not_open(kind: str) -> None:
    with pytest.raises(SourceError, match="not open"):
        registry.find("sources", kind, SourceError)("", SourceOptions()).read()
