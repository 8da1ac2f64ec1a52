"""A study whose Snakemake hands its jobs to SLURM."""

from __future__ import annotations

import sys
from pathlib import Path

from workflow.study import Study

from .slurm import Slurm

# SLURM's plugin, apart from the other packages: see the Makefile.
PLUGIN = Path(sys.prefix) / "cluster"
# A job says what SLURM calls it, and waits while there is a file `hold-CHUNK`.
HOLD = """
from pathlib import Path
from time import sleep

chunk = snakemake.wildcards.chunk
array = [os.environ.get(f"SLURM_ARRAY_{part}_ID") for part in ("JOB", "TASK")]
Path(f"job-{chunk}").write_text("_".join(array) if all(array) else os.environ["SLURM_JOB_ID"])
while Path(f"hold-{chunk}").exists():
    sleep(0.1)
"""


class ClusterStudy(Study):
    """A study with profiles/slurm, but polled more often, because its jobs last seconds.

    It runs in the folder `root`, by default that of its source.
    """

    def __init__(self, root: Path, slurm: Slurm, source: Path | None = None) -> None:
        super().__init__(root)
        self.slurm = slurm
        self.source = source or root

    def command(self, *arguments: str, cores: int = 1) -> list[str]:
        options = ("--snakefile", str(self.source / "Snakefile"))
        options += ("--profile", str(self.source / "profiles/slurm"), "--latency-wait", "150")
        options += ("--slurm-init-seconds-before-status-checks", "1")
        return [str(Path(sys.executable).with_name("snakemake")), *options, *arguments]

    def environment(self) -> dict[str, str]:
        return super().environment() | self.slurm.environment | {"PYTHONPATH": str(PLUGIN)}

    def before_estimate(self, code: str) -> None:
        """Have every estimation job do something first."""
        self.edit("scripts/estimate.py", "\njob.run(", f"{code}\njob.run(")

    def numbers(self) -> dict[str, str]:
        """SLURM's job numbers of the estimation jobs that have begun, by chunk."""
        files = self.root.glob("job-*")
        return {f.name.removeprefix("job-"): text for f in files if (text := f.read_text())}

    def printed(self) -> str:
        return (self.root / "run.txt").read_text()
