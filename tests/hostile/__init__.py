"""A campaign of mutated inputs against the command line: `make hostile`, docs/robustness.md.

Every input of the toolchain (graphs, bundles, recordings, TOML, CSV, options, conformance kits,
workers' replies) is mutated at random from a seed, with hashes made right again, and given to a
verb in a forked process. `campaign.py` runs the cases, `judge.py` says what counts as a failure,
and `python -m tests.hostile FAMILY --number N` repeats one case.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:  # the helpers of the other tests: tests.builders
    sys.path.insert(0, str(ROOT))
