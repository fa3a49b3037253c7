"""`livecnn doctor`: what works here and what to do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from livecnn.cli._doctor import Finding

# status -> symbol, the same for an output that has only ASCII, colour on a terminal
SIGNS = {"ok": ("✓", "ok", "green"), "warning": ("⚠", "!!", "yellow"), "failed": ("✗", "XX", "red")}
NAME_WIDTH = 20


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As a list of {name, status, found, advice}.")
def command(as_json: bool) -> int:
    """Tell what works here and what to do about the rest.

    Ends with 0 if the main job works (a camera, a GPU or ffmpeg may be missing), with 1 if not.
    """
    from livecnn.cli._doctor import examine

    findings = []
    for finding in examine():
        findings.append(finding)
        if not as_json:
            _show(finding)
    failed = [finding.name for finding in findings if finding.status == "failed"]
    if as_json:
        import dataclasses
        import json

        click.echo(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    else:
        click.echo(f"\nlivecnn cannot work yet: {', '.join(failed)}." if failed else "\nlivecnn works here.")
    return 1 if failed else 0


def _show(finding: Finding) -> None:
    sign, plain, color = SIGNS[finding.status]
    sign = sign if _can_print(sign + "→") else plain
    click.echo(f"{click.style(sign, fg=color)} {finding.name:{NAME_WIDTH}} {finding.found}")
    if finding.advice:
        arrow = "→" if _can_print("→") else "->"
        click.echo(f"{'':{len(sign) + NAME_WIDTH + 2}}{arrow} {finding.advice}")


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
