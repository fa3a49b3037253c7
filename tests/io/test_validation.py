from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from livecnn.errors import ModelError
from livecnn.io.validation import Problem, ValidationProblem, explain, report
from livecnn.io.yaml_document import parse


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    depth: int = 1
    size: int | str = 1


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    inner: Inner = Inner()
    maybe: Inner | None = None
    many: dict[str, Inner] = {}
    even: int = 0
    rows: str = ""

    @field_validator("even")
    @classmethod
    def _is_even(cls, value: int) -> int:
        if value % 2:
            raise ValueError(f"{value} is odd")
        return value

    @field_validator("rows")
    @classmethod
    def _is_tidy(cls, value: str) -> str:
        if "x" in value:
            raise ValidationProblem("holds an x", ("cells",), row=1)
        return value


def explained(data: Any) -> list[Problem]:
    with pytest.raises(ValidationError, match="validation error") as caught:
        Outer.model_validate(data)
    return explain(caught.value, Outer, data, ("top",))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"inner": {"dept": 3}}, Problem(("top", "inner", "dept"), "unknown key; did you mean 'depth'? allowed: depth, size")),
        ({"maybe": {"dept": 3}}, Problem(("top", "maybe", "dept"), "unknown key; did you mean 'depth'? allowed: depth, size")),
        ({"many": {"a": {"dept": 3}}}, Problem(("top", "many", "a", "dept"), "unknown key")),
        ({"inner": {"size": 1.5}}, Problem(("top", "inner", "size"), "found 1.5; allowed: a valid integer or a valid string")),
        ({"inner": 3}, Problem(("top", "inner"), "found 3; allowed: a mapping (`key: value` lines)")),
        ({"even": 3}, Problem(("top", "even"), "3 is odd")),
        ({"rows": "x"}, Problem(("top", "rows", "cells"), "holds an x", row=1)),
    ],
)
def test_problems_of_a_mapping(data: Any, problem: Problem) -> None:
    assert explained(data) == [problem]


def test_the_report_names_the_first_by_line_and_counts_the_others() -> None:
    document = parse("b: 1\na: |\n  x\n  y\n", Path("f.yaml"), ModelError)
    problems = [Problem(("a",), "third", row=1), Problem(("a",), "second"), Problem(("b",), "first")]
    with pytest.raises(ModelError, match=r"^f\.yaml:1: b: first \(and 2 more\)$"):
        raise report(document, problems)
    with pytest.raises(ModelError, match=r"^f\.yaml:2: a: second \(and 1 more\)$"):
        raise report(document, problems[:2])
    with pytest.raises(ModelError, match=r"^f\.yaml:4: a: third$"):
        raise report(document, problems[:1])
