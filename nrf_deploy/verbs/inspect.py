"""What is in a file, as tables."""

from __future__ import annotations

import argparse

from ..cli import emit
from .common import asked, print_findings


def inspect(args: argparse.Namespace) -> int:
    from ..look import look

    what, data, text, said = look(args.file, dt=args.dt, cores=args.cores, **asked(args))
    if args.json:
        emit(args, {"ok": True, "kind": what, **data}, said)
    else:
        print(text)
        print_findings(said)
    return 0
