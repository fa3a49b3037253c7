"""Downloads that survive a bad line: taken up where they broke off, tried again, checked, and only then put in place.

Range requests and their conditions: https://www.rfc-editor.org/rfc/rfc9110 (13.1.5 If-Range, 14 Range).
"""

import contextlib
import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from tqdm import tqdm

from livecnn.errors import SourceError
from livecnn.io.files import write_error, write_errors

STALLED = 30.0  # seconds without a byte before the line counts as dead
PAUSES = (1.0, 2.0, 5.0)  # seconds before each new attempt, as long as nothing comes
MIRROR = "LIVECNN_MIRROR"

_PIECE = 1 << 18


class _ConnectionLost(Exception):
    """Worth another attempt."""


def fetch(url: str, path: Path, *, sha256: str = "", most: int) -> Path:
    """Download a file, complete and checked, or not at all; what came before the line broke waits in PATH.part.

    $LIVECNN_MIRROR is another server with the same paths.

    Args:
        url: http:// or https://.
        path: where the file is put; it is returned.
        sha256: at least the first eight hex digits of its digest, "" where none is known.
        most: bytes that it may have.

    Raises:
        SourceError: it cannot be had, or is another file.
        OutputError: `path` cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    _retry(_address(url), part, most, checked=bool(sha256))
    with write_errors(path):
        try:
            check(part, sha256, url)
        except SourceError:
            _forget(part)
            raise
        os.replace(part, path)
        _forget(part)
    return path


def check(path: Path, sha256: str, source: str = "") -> None:
    """Raise SourceError if a file's digest does not begin as expected; `source` is what the message calls it. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    found = digest.hexdigest()
    if not found.startswith(sha256):
        shown = found[: len(sha256)]
        raise SourceError(f"{source or path}: damaged, or not the file that is meant: its sha256 is {shown}, expected {sha256}")


def _address(url: str) -> str:
    mirror = os.environ.get(MIRROR)
    try:
        address = f"{mirror.rstrip('/')}{urlsplit(url).path}" if mirror else url
        good = urlsplit(address).scheme in ("http", "https")
    except ValueError:
        good = False
    if not good:
        raise SourceError(f"{f'{MIRROR}={mirror}' if mirror else url}: no address; allowed: http://… or https://…")
    return address


def _retry(url: str, part: Path, most: int, checked: bool) -> None:
    """Try until all is there; only attempts that bring nothing are counted."""
    pauses = list(PAUSES)
    while True:
        before = _size(part)
        try:
            return _attempt(url, part, most, checked)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500 and error.code not in (408, 429):
                raise SourceError(f"{url}: the server says {error.code} {error.reason}") from error
            reason = f"the server says {error.code} {error.reason}"
        except (_ConnectionLost, OSError, http.client.HTTPException) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        except ValueError as error:  # an address, or a redirection, that is none
            raise SourceError(f"{url}: {error}") from error
        if _size(part) > before:
            pauses = list(PAUSES)
        elif not pauses:
            kept = "; what came is kept, and the next attempt goes on from there" if _size(part) else ""
            raise SourceError(f"{url}: cannot be downloaded: {reason}{kept}")
        time.sleep(pauses.pop(0))


def _attempt(url: str, part: Path, most: int, checked: bool) -> None:
    """Fetch what is missing of the file, or all of it if the server cannot go on where the last attempt ended."""
    validator = _validator_file(part)
    mark = validator.read_text("utf-8") if validator.exists() else ""
    start = _size(part) if mark or checked else 0
    request = urllib.request.Request(url, headers={"User-Agent": "livecnn"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    if start and mark:
        request.add_header("If-Range", mark)
    try:
        answer = urllib.request.urlopen(request, timeout=STALLED)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        error.close()
        if error.headers.get("Content-Range") == f"bytes */{start}":
            return  # all is there: the server has no byte more than that
        _forget(part)
        raise _ConnectionLost("the server has another file by now") from error
    with answer:
        if url.startswith("https:") and not answer.url.startswith("https:"):
            raise SourceError(f"{url}: the server leads to {answer.url}, which is not encrypted")
        _take(answer, part, start, most, url)


def _take(answer: Any, part: Path, start: int, most: int, url: str) -> None:
    """Append the body to the part, or begin anew where the whole file comes."""
    if answer.status == 206:
        found = re.match(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != start:
            _forget(part)
            raise _ConnectionLost("the server sends another part than asked for")
        total = int(found[2])
    else:
        start, total = 0, answer.length or 0
    if total > most:
        raise SourceError(f"{url}: {total:,} bytes; at most {most:,} are expected")
    with write_errors(part):  # a full disk is told at once: it is no broken line
        _remember(part, answer.headers)
        file = part.open("ab" if start else "wb")
    progress = tqdm(total=total or None, initial=start, unit="B", unit_scale=True, desc=part.stem, leave=False, disable=None)
    with file, progress:
        received = _copy(answer, file, most - start, progress)
    if start + received > most:
        _forget(part)
        raise SourceError(f"{url}: more than {most:,} bytes, which is more than expected")
    if total and start + received != total:
        raise _ConnectionLost(f"the line broke after {start + received:,} of {total:,} bytes")


def _copy(answer: Any, file: IO[bytes], most: int, progress: Any) -> int:
    """Return how many bytes were copied; stop when there are more than `most`."""
    received = 0
    while received <= most and (piece := answer.read1(_PIECE)):
        try:
            file.write(piece)
            file.flush()  # what came is there, whatever happens next
        except OSError as error:
            with contextlib.suppress(OSError):  # closing tries to write the rest once more
                file.close()
            raise write_error(Path(file.name), error) from error
        received += len(piece)
        progress.update(len(piece))
    return received


def _remember(part: Path, headers: Any) -> None:
    """Keep what tells the next attempt whether the server still has the same file (If-Range takes no weak tags)."""
    mark = headers.get("ETag", "")
    mark = headers.get("Last-Modified", "") if not mark or mark.startswith("W/") else mark
    _validator_file(part).write_text(mark if mark.isprintable() else "", "utf-8")


def _forget(part: Path) -> None:
    for file in (part, _validator_file(part)):
        file.unlink(missing_ok=True)


def _validator_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
