"""Inspection of a file of any kind: a model, a bundle, a recording, states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from nrf_deploy.bundle.inputs import demand_options
from nrf_deploy.diagnostics.argument_types import demand_path
from nrf_deploy.diagnostics.findings import Finding
from nrf_deploy.io.recordings import Options
from nrf_deploy.neurons.spikes import Fires, Reset

from .inspect_file import look


@dataclass(frozen=True, eq=False)
class Inspection:
    """The content of a file, as `nrf-deploy inspect` shows it.

    Attributes:
        kind: "network", "bundle", "recording", "events" or "states".
        data: The facts, as plain data.
        findings: What reading the file reported.
    """

    kind: str
    data: Mapping[str, Any]
    findings: tuple[Finding, ...]
    tables: str

    def text(self) -> str:
        """Return the facts as tables of at most 80 columns."""
        return self.tables

    def __repr__(self) -> str:
        return f"<Inspection of a {self.kind}, {len(self.findings)} findings>"


def inspect(
    file: str | Path,
    *,
    dt: float | None = None,
    reset: Reset | None = None,
    fires: Fires | None = None,
    cores: bool = False,
    **options: Unpack[Options],
) -> Inspection:
    """Return what a file holds; its kind is recognised by its content.

    Args:
        file: The path of a .nir file, a bundle or a recording.
        dt: Of a .nir file: the time step, in the unit of its time constants. Default: as the
            file states; it may state none.
        reset: Of a .nir file: "value" or "subtract", as in `read`. Default: as it states.
        fires: Of a .nir file: "above" or "at", as in `read`. Default: as it states.
        cores: Of a bundle: list what each core holds, in place of each layer. Default: False.
        options: Of a recording: how it is read, as in `read_recording`. Default: all events
            of the file.

    Returns:
        The Inspection: its kind, the facts as data and as text, and the findings.

    Raises:
        MissingFileError: The file does not exist (a FileNotFoundError).
        InputError: A file that is damaged or hostile (a ValueError).
        UsageError: An option that does not belong to a file of this kind (a ValueError).
    """
    demand_path(file)
    demand_options("inspect", options)
    kind, data, text, findings = look(
        str(file), dt=dt, reset=reset, fires=fires, cores=cores, **options
    )
    return Inspection(kind, data, findings, text)
