import hashlib
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from livecnn.errors import OutputError, SourceError
from livecnn.io import download as fetching
from livecnn.io.download import check, fetch
from tests.helpers.servers import Answer, FileServer, cut, hang_up, no_ranges, redirect, stall, status

CONTENT = bytes(range(256)) * 4000  # about 1 MB
DIGEST = hashlib.sha256(CONTENT).hexdigest()
MOST = 2_000_000


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "PAUSES", (0.0, 0.0))
    monkeypatch.delenv("LIVECNN_MIRROR", raising=False)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as server:
        server.files["/model.pth"] = CONTENT
        yield server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "models" / "model.pth"


def get(server: FileServer, path: Path, sha256: str = DIGEST, most: int = MOST) -> Path:
    return fetch(f"{server.address}/model.pth", path, sha256=sha256, most=most)


def alone(path: Path) -> bool:
    """The whole file is there, and nothing else."""
    return path.read_bytes() == CONTENT and list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("sha256", [DIGEST, DIGEST[:8], ""])
def test_downloaded_and_checked(server: FileServer, path: Path, sha256: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert get(server, path, sha256) == path
    assert alone(path)
    assert server.asked == [("/model.pth", "", "")]
    assert capfd.readouterr() == ("", "")  # progress is for terminals


def test_progress_on_a_terminal(server: FileServer, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    get(server, path)
    assert "model.pth" in terminal.getvalue()
    assert "1.02M" in terminal.getvalue()


def test_a_broken_line_is_taken_up_where_it_broke(server: FileServer, path: Path) -> None:
    server.faults = [cut(1000), cut(500_000)]
    get(server, path)
    assert alone(path)
    assert server.asked[1:] == [("/model.pth", "bytes=1000-", '"1"'), ("/model.pth", "bytes=501000-", '"1"')]


def test_so_is_a_download_of_another_day(server: FileServer, path: Path) -> None:
    server.faults = [cut(700_000), hang_up, hang_up, hang_up]
    with pytest.raises(
        SourceError, match=r"model\.pth: cannot be downloaded: .*; what came is kept, and the next attempt goes on"
    ):
        get(server, path)
    assert path.with_name("model.pth.part").stat().st_size == 700_000
    assert not path.exists()
    get(server, path)
    assert alone(path)
    assert server.asked[-1] == ("/model.pth", "bytes=700000-", '"1"')


@pytest.mark.parametrize(
    ("faults", "requests"),
    [
        ([cut(100_000)] * 9, 10),  # attempts that bring something are not counted
        ([cut(1000), no_ranges], 2),  # all is sent again
        ([cut(1000), lambda answer: answer.serve(shift=7)], 3),  # another part than asked for is not taken
        ([cut(len(CONTENT), length=False)], 1),
    ],
    ids=["cut", "no ranges", "another part", "no length"],
)
def test_whatever_the_server_does_the_file_is_whole(server: FileServer, path: Path, faults: list[Any], requests: int) -> None:
    server.faults = list(faults)
    get(server, path)
    assert alone(path)
    assert len(server.asked) == requests


def test_a_stalled_line_is_given_up_and_taken_up(server: FileServer, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "STALLED", 0.2)
    server.faults = [stall]
    get(server, path)
    assert alone(path)
    assert server.asked[1] == ("/model.pth", f"bytes={len(CONTENT) // 2}-", '"1"')


def test_ctrl_c_keeps_what_came(server: FileServer, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_PIECE", 1000)
    seen: list[int] = []

    class Interrupting(fetching.tqdm):  # type: ignore[type-arg]
        def update(self, n: float | None = 1) -> None:
            seen.append(int(n or 0))
            if len(seen) == 5:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fetching, "tqdm", Interrupting)
        with pytest.raises(KeyboardInterrupt):
            get(server, path)
    part = path.with_name("model.pth.part")
    assert part.read_bytes() == CONTENT[: sum(seen)]
    get(server, path)
    assert alone(path)
    assert server.asked[1][1] == f"bytes={sum(seen)}-"


def test_another_file_by_now_is_downloaded_anew(server: FileServer, path: Path) -> None:
    def replaced(answer: Answer) -> None:
        server.etag = '"2"'
        answer.serve()

    server.files["/model.pth"] = bytes(len(CONTENT))
    server.faults = [cut(1000), hang_up, hang_up, hang_up]
    with pytest.raises(SourceError, match="what came is kept"):
        get(server, path)
    server.files["/model.pth"] = CONTENT
    server.faults = [replaced]
    get(server, path)
    assert alone(path)


@pytest.mark.parametrize(
    ("etag", "sha256", "range_asked"),
    [
        ("", DIGEST, "bytes=1000-"),
        ("", "", ""),
        ('W/"1"', "", ""),  # a weak mark is none,
        ("in two\r\n lines", DIGEST, "bytes=1000-"),  # nor is one that no request can carry
    ],
)
def test_without_a_mark_only_what_a_checksum_will_prove_is_taken_up(
    server: FileServer, path: Path, etag: str, sha256: str, range_asked: str
) -> None:
    server.etag = etag
    server.faults = [cut(1000)]
    get(server, path, sha256)
    assert alone(path)
    assert server.asked[1] == ("/model.pth", range_asked, "")


@pytest.mark.parametrize(("more", "requests"), [(b"", 1), (b"more", 2)])
def test_what_is_all_there_already_is_only_checked_and_what_is_longer_begun_anew(
    server: FileServer, path: Path, more: bytes, requests: int
) -> None:
    path.parent.mkdir()
    path.with_name("model.pth.part").write_bytes(CONTENT + more)
    get(server, path)
    assert alone(path)
    assert len(server.asked) == requests


def odd(answer: Answer) -> None:
    answer.send_response(200)
    answer.send_header("Content-Length", "many")
    answer.send_header("ETag", "a\r\n b")
    answer.end_headers()
    answer.wfile.write(CONTENT[:1000])


@pytest.mark.parametrize(
    ("faults", "options", "message"),
    [
        ([], {"sha256": "00000000"}, rf"damaged, or not the file .*sha256 is {DIGEST[:8]}, expected 00000000$"),
        ([odd], {}, "damaged, or not the file"),
        ([], {"most": 1000}, "1,024,000 bytes; at most 1,000 are expected$"),
        ([redirect("http://[")], {}, ".*IPv6"),
        ([redirect("/model.pth")] * 40, {}, "the server says 302"),
        *(([status(code)], {}, f"the server says {code} ") for code in (400, 403, 404, 410)),
    ],
    ids=["wrong bytes", "odd length", "too much", "no address", "a circle", "400", "403", "404", "410"],
)
def test_what_is_refused_at_once_leaves_nothing(
    server: FileServer, path: Path, faults: list[Any], options: Any, message: str
) -> None:
    server.faults = list(faults)
    with pytest.raises(SourceError, match=rf"^{server.address}/model\.pth: {message}"):
        get(server, path, **options)
    assert list(path.parent.iterdir()) == []


def test_without_a_checksum_nothing_vouches_for_more(server: FileServer, path: Path) -> None:
    server.faults = [odd]
    assert get(server, path, "").read_bytes() == CONTENT[:1000]


@pytest.mark.parametrize("fault", [status(500), status(503), status(429), hang_up])
def test_a_server_in_trouble_is_asked_again(server: FileServer, path: Path, fault: Any) -> None:
    server.faults = [fault, fault]
    get(server, path)
    assert alone(path)
    server.faults = [fault] * 3
    with pytest.raises(SourceError, match=r"model\.pth: cannot be downloaded: (the server says \d+ |Remote end closed)"):
        get(server, path.with_name("other"))


def test_redirects_are_followed_with_the_range(server: FileServer, path: Path) -> None:
    server.files["/elsewhere"] = CONTENT
    server.faults = [redirect("/elsewhere"), cut(1000), redirect("/elsewhere")]
    get(server, path)
    assert alone(path)
    assert server.asked[-1] == ("/elsewhere", "bytes=1000-", '"1"')


def test_an_encrypted_address_does_not_lead_to_an_open_one(
    server: FileServer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ = fetching.urllib.request.urlopen

    def led_astray(request: Any, timeout: float) -> Any:
        return open_(f"{server.address}/model.pth", timeout=timeout)

    monkeypatch.setattr(fetching.urllib.request, "urlopen", led_astray)
    with pytest.raises(SourceError, match=r"the server leads to http://127.*, which is not encrypted"):
        fetch("https://nowhere.invalid/model.pth", path, most=MOST)


def test_too_much_is_not_taken(server: FileServer, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_PIECE", 100)
    taken: list[int] = []

    class Counting(fetching.tqdm):  # type: ignore[type-arg]
        def update(self, n: float | None = 1) -> None:
            taken.append(int(n or 0))

    monkeypatch.setattr(fetching, "tqdm", Counting)
    server.faults = [cut(len(CONTENT), length=False)]
    with pytest.raises(SourceError, match=r"model\.pth: more than 1,000 bytes, which is more than expected$"):
        get(server, path, most=1000)
    assert sum(taken) <= 1100
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        *((url, rf"{re.escape(url)}: no address; allowed: http") for url in ("file:///etc/passwd", "model.pth", "", "http://[")),
        ("http://a b/c", "http://a b/c: cannot be downloaded: URL can't contain"),
        ("http://127.0.0.1:1/x", r"http://127\.0\.0\.1:1/x: cannot be downloaded: .*refused"),
    ],
)
def test_addresses_that_lead_nowhere(tmp_path: Path, url: str, message: str) -> None:
    with pytest.raises(SourceError, match=f"^{message}"):
        fetch(url, tmp_path / "x", most=MOST)
    assert list(tmp_path.iterdir()) == []


def test_a_mirror(server: FileServer, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVECNN_MIRROR", f"{server.address}/")
    assert alone(fetch("https://nowhere.invalid/model.pth", path, sha256=DIGEST, most=MOST))
    monkeypatch.setenv("LIVECNN_MIRROR", "nonsense")
    with pytest.raises(SourceError, match=r"^LIVECNN_MIRROR=nonsense: no address; allowed: http://… or https://…"):
        fetch("https://nowhere.invalid/model.pth", path, most=MOST)


def test_a_folder_that_cannot_be_made(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot be written: .*file is not a folder"):
        get(server, tmp_path / "file" / "model.pth")
    assert server.asked == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no device that is always full")
def test_a_full_disk_is_told_at_once(server: FileServer, path: Path) -> None:
    path.parent.mkdir()
    path.with_name("model.pth.part").symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"cannot be written: No space left on device"):
        get(server, path)
    assert len(server.asked) == 1


def test_check_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(CONTENT)
    check(file, DIGEST)
    check(file, "")
    with pytest.raises(
        SourceError, match=rf"^{file}: damaged, or not the file that is meant: its sha256 is {DIGEST[:8]}, expected 0+$"
    ):
        check(file, "00000000")
