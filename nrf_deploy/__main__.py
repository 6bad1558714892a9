"""python -m nrf_deploy, and the program nrf-deploy.

Ctrl-C is heeded from here on: even importing the command line takes long enough to press it.
"""

import sys


def main() -> int:
    try:
        from .cli import main as run

        return run()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; nothing was written\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
