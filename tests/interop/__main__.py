"""Make every model afresh in its framework, read it both ways, compare every spike.

    python -m tests.interop [--page docs/interop.md] [--record] [--made FOLDER] [FRAMEWORK ...]

--page writes the table; --record replaces the recorded vectors and the expected outcomes; --made
compares models that an earlier run with --folder left.
It ends with 1 if an outcome is wrong or differs from expected.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nrf_deploy
from nrf_deploy.engines.sdk.environments import clean_environ

from .environments import FRAMEWORKS, install
from .outcomes import EXPECTED, Outcome, expected, of_file, of_module
from .page import page, table
from .records import RECORDED, Made, from_folder, pack

MAKERS = Path(__file__).parent / "makers"
ROOT = Path(nrf_deploy.__file__).parents[1]
Results = dict[str, list[tuple[Made, Outcome, Outcome]]]


def make(framework: str, folder: Path) -> list[Made]:
    """Run the makers of a framework in its own interpreter, and our export there."""
    python = install(framework)
    places = [MAKERS, ROOT, ROOT / "targets", ROOT / "models"]
    environ = {**clean_environ(), "PYTHONPATH": os.pathsep.join(map(str, places))}
    environ["PYTHONWARNINGS"] = "ignore"
    scripts = [[str(MAKERS / f"models_{framework}.py"), str(folder)]]
    if framework != "spyx":  # JAX: no torch module to export
        scripts.append([str(MAKERS / "export_ours.py"), framework, str(folder)])
    for script in scripts:
        log = folder / f"{Path(script[0]).stem}.log"
        folder.mkdir(parents=True, exist_ok=True)
        with log.open("w") as stream:
            done = subprocess.run(
                [str(python), *script], env=environ, stdout=stream, stderr=stream, cwd=folder
            )
        if done.returncode:
            sys.exit(f"{framework}: {' '.join(script)} failed\n{log.read_text()[-3000:]}")
    return from_folder(folder)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.interop", description=__doc__)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the models are left (default: nowhere)")
    parser.add_argument("--made", type=Path, help="a folder of an earlier run, to make nothing")
    parser.add_argument("frameworks", nargs="*", default=FRAMEWORKS)
    args = parser.parse_args()
    results: Results = {}
    with tempfile.TemporaryDirectory() as scratch:
        for framework in args.frameworks:
            print(f"{framework}: make, export, read, compare", flush=True)
            if args.made:
                made = from_folder(args.made / framework)
            else:
                made = make(framework, (args.folder or Path(scratch)) / framework)
            results[framework] = [(m, of_file(m), of_module(m)) for m in made]
            print("\n".join(table(results[framework])), flush=True)
    words = {
        framework: {m.name: {"file": a.word, "module": b.word} for m, a, b in rows}
        for framework, rows in results.items()
    }
    if args.record:
        for framework, rows in results.items():
            pack([m for m, *_ in rows], RECORDED / f"{framework}.npz.xz")
        known = {**(expected() if EXPECTED.exists() else {}), **words}
        EXPECTED.write_text(json.dumps(known, indent=1) + "\n")
    if args.page:
        args.page.write_text(page(results))
    return _judge(results, words)


def _judge(results: Results, words: dict[str, dict[str, dict[str, str]]]) -> int:
    faults = []
    known = expected()
    for framework, rows in results.items():
        for made, *both in rows:
            for way, outcome in zip(("file", "module"), both, strict=True):
                here = f"{framework} {made.name}, from the {way}: {outcome.word}"
                wanted = known.get(framework, {}).get(made.name, {}).get(way)
                if outcome.word == "wrong":
                    faults.append(f"{here}: {outcome.detail}")
                elif words[framework][made.name][way] != wanted:
                    faults.append(f"{here} ({outcome.detail}); expected: {wanted}")
    print("\n".join(faults) or "every outcome is as expected, and none is wrong")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
