"""Plans of a program: one for each range of the input and number of threads, made on demand."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from nrf_deploy.ir.program import Program

from .golden import Arithmetic
from .kernels import Kernels
from .plan import plan
from .tuning import Tuning
from .work import Plan


class Plans:
    """Plans of a program, which several threads may use."""

    def __init__(self, program: Program, arithmetic: Arithmetic, kernels: Kernels, tuning: Tuning):
        self.program, self.arithmetic, self.kernels = program, arithmetic, kernels
        self.tuning = tuning
        self._planning = threading.Lock()
        self._made: dict[tuple[int, ...], Plan] = {}

    def up_to(self, peaks: Sequence[int], threads: int = 1) -> Plan:
        """Return the plan for input values up to `peaks`, or up to the ports' ranges if larger."""
        ports = self.program.ports
        limits = tuple(
            port.peak if peak <= port.peak else 2 ** int(peak).bit_length() - 1
            for port, peak in zip(ports, peaks, strict=True)
        )
        with self._planning:
            if (threads, *limits) not in self._made:
                peak = dict(zip((p.name for p in ports), limits, strict=True))
                new_plan = plan(
                    self.program, self.arithmetic, self.kernels, peak, threads, self.tuning
                )
                self._made[threads, *limits] = new_plan
            return self._made[threads, *limits]
