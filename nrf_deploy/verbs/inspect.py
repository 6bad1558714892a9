"""What is in a file, as tables."""

from __future__ import annotations

import argparse

from ..cli import emit
from .common import asked, print_findings


def inspect(args: argparse.Namespace) -> int:
    from ..look import look

    how = {"dt": args.dt, "reset": args.reset, "fires": args.fires}
    what, data, text, said = look(args.file, **how, cores=args.cores, **asked(args))
    if args.json:
        emit(args, {"ok": True, "kind": what, **data}, said)
    else:
        print(text)
        print_findings(said)
    return 0
