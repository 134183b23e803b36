"""`make bench`: what Stalk costs, measured beside its peers in the same run."""

import sys
from pathlib import Path

# Where the cluster, its images and what tests ask of a release are.
sys.path += [str(Path(__file__).resolve().parents[1] / folder) for folder in ("tools", "molecule")]
