"""Helm on the chart, with no cluster to ask."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = ROOT / ".cache" / "bin"
CHART = ROOT / "helm" / "stalk"


def helm(*arguments: str | Path, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs it in the folder from which files of values are named."""
    return subprocess.run(
        [BIN / "helm", *arguments],
        cwd=folder,
        env=os.environ | {"KUBECONFIG": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )
