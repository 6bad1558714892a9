"""python -m tests.hostile: run the campaign, a family or one case."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before numpy: memory and time are measured

from . import campaign, table  # noqa: E402
from .case import Family  # noqa: E402
from .families import FAMILIES  # noqa: E402
from .judge import Outcome  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("family", nargs="*", help=f"of {', '.join(f.name for f in FAMILIES)}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--number", type=int, help="only this case of the family")
    parser.add_argument("--cases", type=int, help="number of cases of each family")
    parser.add_argument("--short", action="store_true", help="the numbers of the fast part")
    parser.add_argument("--jobs", type=int, default=min(4, len(os.sched_getaffinity(0))))
    parser.add_argument("--keep", type=Path, help="copy the boxes of failed cases here")
    parser.add_argument("--page", type=Path, help="write the table into this page")
    parser.add_argument("--codes", action="store_true", help="count the refusals by code")
    parser.add_argument("--quiet", action="store_true", help="tell of failures at the end only")
    args = parser.parse_args()
    if strange := set(args.family) - {f.name for f in FAMILIES}:
        parser.error(f"there is no family {', '.join(sorted(strange))}")
    families = [f for f in FAMILIES if not args.family or f.name in args.family]

    def count(family: Family) -> int:
        return args.cases or (family.short if args.short else family.long)

    if args.number is None:
        planned = campaign.plan(families, count, args.seed)
    else:
        planned = [campaign.Planned(f, args.seed, args.number) for f in families]
        args.keep = args.keep or Path("build/hostile")
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)

    def tell(outcome: Outcome) -> None:
        if outcome.failures or args.number is not None:
            print(outcome.text(), flush=True)

    outcomes, cpu = campaign.run(planned, args.jobs, args.keep, None if args.quiet else tell)
    if args.quiet:
        for outcome in outcomes:
            if outcome.failures:
                print(outcome.text())
    if args.number is not None:
        return 1 if any(o.failures for o in outcomes) else 0
    text = table.markdown(outcomes, families)
    print(text)
    print(table.summary(outcomes, cpu))
    if args.codes:
        print(table.codes(outcomes, families))
    if args.page:
        table.write(args.page, text, table.summary(outcomes, cpu))
    return 1 if any(o.failures for o in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
