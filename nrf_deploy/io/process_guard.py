"""Guard that runs one command, which cannot outlive the process that started it.

    python -I -S process_guard.py BYTES COMMAND...

Standard input is a pipe whose other end the caller keeps open. When the caller ends (by SIGKILL
too), the pipe closes, and the whole process group is killed: the guard, the command and its
children. The caller starts the guard in a separate session.

BYTES bounds each file that the command writes, its log included. The exit code is the
command's; if a signal ended the command, the same signal ends the guard. Exit code 127: the
command cannot be run.
"""

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

CANNOT_RUN = 127


def main(limit: str, command: Sequence[str]) -> int:
    bound(resource.RLIMIT_FSIZE, int(limit))
    bound(resource.RLIMIT_CORE, 0)
    try:
        worker = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    except OSError as problem:
        print(f"{command[0]} cannot be run: {problem}", file=sys.stderr)
        return CANNOT_RUN
    threading.Thread(target=watch, daemon=True).start()
    code = worker.wait()
    if code < 0:
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def watch() -> None:
    """Wait for the end of the caller."""
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def bound(what: int, limit: int) -> None:
    soft, hard = resource.getrlimit(what)
    limits = [n for n in (soft, hard, limit) if n != resource.RLIM_INFINITY]
    resource.setrlimit(what, (min(limits), hard))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
