"""python -m nrf_deploy, and the program nrf-deploy.

Ctrl-C is heeded from here on: even importing the command line takes long enough to press it.
SIGTERM and SIGHUP end the program as an exception does, so that whatever has begun is undone:
temporary files go, and the worker of a vendor ends. The exit code is 128 + n.
"""

import os
import signal
import sys
from types import FrameType


class StoppedError(SystemExit):
    """A signal asked the program to end."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


def main() -> int:
    try:
        _open_standard()
        _heed_signals()
        from .cli.main import main as run

        return run()
    except StoppedError as stopped:
        _say(f"stopped by {signal.Signals(stopped.number).name}")
        return 128 + stopped.number
    except KeyboardInterrupt:
        _say("interrupted; nothing was written")
        return 130


def _open_standard() -> None:
    """Open what the caller closed: a file that is written would else become standard output."""
    for handle in range(3):
        try:
            os.fstat(handle)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _heed_signals() -> None:
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # not under nohup
            signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    raise StoppedError(number)


def _say(text: str) -> None:
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):  # closed, or full
        pass


if __name__ == "__main__":
    sys.exit(main())
