import io
import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from livecnn.cli import _doctor as doctor
from livecnn.cli import main
from livecnn.cli._doctor import Finding

GOOD = Finding("Python", "ok", "3.12")
POOR = Finding("camera", "warning", "none found", "plug one in")
BAD = Finding("model", "failed", "damaged", "reinstall")
Output = pytest.CaptureFixture[str]


@pytest.fixture
def finding(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def make(*findings: Finding) -> None:
        monkeypatch.setattr(doctor, "CHECKS", (lambda: iter(findings),))

    return make


def test_lines_with_signs_and_advice(finding: Callable[..., None], capsys: Output) -> None:
    finding(GOOD, POOR, BAD)
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "✓ Python               3.12",
        "⚠ camera               none found",
        "                       → plug one in",
        "✗ model                damaged",
        "                       → reinstall",
        "",
        "livecnn cannot work yet: model.",
    ]


def test_warnings_do_not_fail(finding: Callable[..., None], capsys: Output) -> None:
    finding(GOOD, POOR)
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.endswith("\n\nlivecnn works here.\n")


def test_where_only_ascii_can_be_printed(finding: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    finding(POOR)
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="ascii"))
    assert main(["doctor"]) == 0
    sys.stdout.flush()
    assert out.getvalue().decode("ascii").splitlines()[1] == "                        -> plug one in"


@pytest.mark.parametrize(("findings", "code"), [((GOOD, POOR), 0), ((POOR, BAD), 1)])
def test_json(finding: Callable[..., None], capsys: Output, findings: tuple[Finding, ...], code: int) -> None:
    finding(*findings)
    assert main(["doctor", "--json"]) == code
    told = json.loads(capsys.readouterr().out)
    assert [Finding(**entry) for entry in told] == list(findings)
    assert list(told[0]) == ["name", "status", "found", "advice"]


def test_the_real_thing() -> None:
    done = subprocess.run([sys.executable, "-m", "livecnn", "doctor", "--json"], capture_output=True, check=False, timeout=100)
    failed = [entry for entry in json.loads(done.stdout) if entry["status"] == "failed"]
    assert (done.returncode, done.stderr) == (bool(failed), b"")
