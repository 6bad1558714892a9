"""The verb inspect: the content of a file, as tables."""

from __future__ import annotations

import argparse

from nrf_deploy.api.inspection import inspect as inspected

from .common import print_findings, recording_options
from .main import emit


def inspect(args: argparse.Namespace) -> int:
    how = {"dt": args.dt, "reset": args.reset, "fires": args.fires}
    content = inspected(args.file, **how, cores=args.cores, **recording_options(args))
    if args.json:
        emit(args, {"ok": True, "kind": content.kind, **content.data}, content.findings)
    else:
        print(content.text())
        print_findings(content.findings)
    return 0
