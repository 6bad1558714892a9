"""Results of an engine on the cases of its kits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.compare.comparison import Comparison
from nrf_deploy.diagnostics.findings import Finding
from nrf_deploy.ir.recording import Trace

from .case import Case

Status = Literal["ok", "differs", "refused", "missing", "broke"]
BAD: tuple[Status, ...] = ("differs", "missing", "broke")


@dataclass(frozen=True, eq=False)
class Result:
    """The result of one case.

    `raw` is the trace of the back end; `findings` are the reasons of a refusal or a failure.
    `unseen` are states that the back end does not show, and that were not compared. `cause` was
    confirmed by a trial, `hint` was observed.
    """

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
    """The results of an engine on the cases of its kits.

    To refuse a case is not a fault; to refuse every case shows nothing.

    Attributes:
        chip: The full name of the chip.
        engine: The engine in question.
        results: The result of each case, with the likely cause of a difference.
    """

    chip: str
    engine: str
    results: tuple[Result, ...]

    @property
    def passed(self) -> bool:
        """True if no case differs, and at least one was compared."""
        return not any(r.bad for r in self.results) and self.compared

    @property
    def compared(self) -> bool:
        """Return True if a run was compared, or if only the target itself was judged."""
        runs = [r for r in self.results if r.case.judge is None]
        return any(r.status == "ok" for r in runs or self.results)

    def text(self) -> str:
        """Return the results as text of at most 80 columns."""
        from . import show

        return show.text(self)

    def as_json(self) -> dict[str, Any]:
        """Return the results as plain data."""
        from . import show

        return show.as_json(self)

    @property
    def exit_code(self) -> int:
        return 0 if self.passed else 1

    def count(self, status: Status) -> int:
        return sum(r.status == status for r in self.results)
