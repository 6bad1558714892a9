"""What is in a file, as tables."""

from __future__ import annotations

import argparse

from ..api.inspection import inspect as inspected
from ..cli import emit
from .common import asked, print_findings


def inspect(args: argparse.Namespace) -> int:
    how = {"dt": args.dt, "reset": args.reset, "fires": args.fires}
    found = inspected(args.file, **how, cores=args.cores, **asked(args))
    if args.json:
        emit(args, {"ok": True, "kind": found.kind, **found.data}, found.findings)
    else:
        print(found.text())
        print_findings(found.findings)
    return 0
