"""Export of a maker's models by nrf-deploy, in the framework's own interpreter.

    python export_ours.py FRAMEWORK FOLDER [MODEL ...]

It writes FOLDER/MODEL.ours.nir, and FOLDER/ours.json: "written", or the codes of the refusal.
nrf_deploy is found on PYTHONPATH.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import nrf_deploy as nd


def main(framework: str, folder: Path, names: list[str]) -> None:
    done = {}
    for case in importlib.import_module(f"models_{framework}").CASES:
        if names and case.name not in names:
            continue
        path = folder / f"{case.name}.ours.nir"
        path.unlink(missing_ok=True)
        try:
            model = nd.export(f"models_{framework}:{case.name}", path)
        except nd.NrfError as refusal:
            codes = sorted({f.code for f in refusal.findings if f.severity == "error"})
            done[case.name] = {"codes": codes, "what": refusal.findings[0].what}
            continue
        witness = model.witness
        steps = 0 if witness is None else witness.input.steps
        undecided = [] if witness is None else list(witness.undecided)
        done[case.name] = {"codes": [], "witness": steps, "undecided": undecided}
    (folder / "ours.json").write_text(json.dumps(done, indent=1))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
