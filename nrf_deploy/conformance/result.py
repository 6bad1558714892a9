"""What became of the cases that an engine was held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..bundle import Bundle
from ..findings import Finding
from ..recording import Trace
from ..verification.comparison import Comparison
from .case import Case

Status = Literal["ok", "differs", "refused", "missing", "broke"]
BAD: tuple[Status, ...] = ("differs", "missing", "broke")


@dataclass(frozen=True, eq=False)
class Result:
    """`raw` is what the back end gave; `findings` are why it refused, or how it broke. `unseen`
    are states that it does not show, which nobody compared. `cause` was tried, `hint` was seen."""

    case: Case
    status: Status
    comparison: Comparison | None = None
    findings: tuple[Finding, ...] = ()
    bundle: Bundle | None = None
    raw: Trace | None = None
    unseen: tuple[str, ...] = ()
    cause: str = ""
    hint: str = ""

    @property
    def bad(self) -> bool:
        return self.status in BAD


@dataclass(frozen=True, eq=False)
class Conformance:
    """What a kit says of an engine. To refuse a case is no fault, to refuse them all shows
    nothing."""

    chip: str
    engine: str
    results: tuple[Result, ...]

    @property
    def passed(self) -> bool:
        return not any(r.bad for r in self.results) and self.compared

    @property
    def compared(self) -> bool:
        """Return True if a run was compared, or if only refusals were demanded."""
        runs = [r for r in self.results if not r.case.refusal]
        return any(r.status == "ok" for r in runs or self.results)

    @property
    def exit_code(self) -> int:
        return 0 if self.passed else 1

    def count(self, status: Status) -> int:
        return sum(r.status == status for r in self.results)
