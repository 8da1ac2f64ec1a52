"""A SLURM of one node on loopback, apart from any other on the machine."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tools import PATIENCE

DAEMONS = ("munged", "slurmctld", "slurmd")
OWN_PROCESSES = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
# No cgroups, no database: memory is what the daemon polls, and squeue forgets a job after a while.
CONFIG = """
ClusterName=mckl
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=1
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
KillWait=2
MinJobAge=3600
ReturnToService=2
SlurmdParameters=config_overrides
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=16000
PartitionName=study Nodes=node Default=YES
"""
# Jobs start their steps without the SLURM_* variables of their own environment.
SRUN = """#!/bin/sh
SLURM_CONF={root}/slurm.conf exec /usr/bin/srun "$@"
"""


def wait(what: str, condition: Callable[[], object]) -> None:
    """Poll until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        time.sleep(0.1)


class Slurm:
    """The daemons and their folder; `environment` makes commands speak to them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            "SLURM_CONF": str(root / "slurm.conf"),
            "PATH": f"{root}:{os.environ['PATH']}",
        }
        for name in ("state", "spool"):
            (root / name).mkdir()
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            ports = [one.getsockname()[1], other.getsockname()[1]]
        (root / "slurm.conf").write_text(
            CONFIG.format(host=socket.gethostname(), root=root, ports=ports)
        )
        (root / "srun").write_text(SRUN.format(root=root))
        (root / "srun").chmod(0o755)
        (root / "munge.key").write_bytes(os.urandom(128))
        (root / "munge.key").chmod(0o400)

    def start(self) -> None:
        files = ("socket", "key-file", "log-file", "pid-file", "seed-file")
        paths = {name: self.root / f"munge.{name.removesuffix('-file')}" for name in files}
        self._daemon("munged", "-F", "-f", *(f"--{name}={path}" for name, path in paths.items()))
        wait("munged listens", paths["socket"].exists)
        self._daemon("slurmctld", "-D")
        self.start_node()

    def stop(self) -> None:
        for process in reversed(self.daemons.values()):
            process.kill()
            process.wait()

    def start_node(self) -> None:
        # Processes of its own, which end with it; the shell buries those whose parents died.
        self._daemon(*OWN_PROCESSES, "sh", "-c", "slurmd -D -N node; exit")
        wait("the node is up", lambda: "idle" in self.command("sinfo", "--noheader"))

    def lose_node(self) -> None:
        """End the daemon and all jobs, as a power cut does; then report it as an operator would."""
        self.daemons["unshare"].kill()
        self.daemons["unshare"].wait()
        self.command("scontrol", "update", "NodeName=node", "State=DOWN", "Reason=power")

    def command(self, *arguments: str) -> str:
        """The output of one of SLURM's commands."""
        environment = os.environ | self.environment
        return subprocess.run(
            arguments, env=environment, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    def _daemon(self, name: str, *arguments: str) -> None:
        with (self.root / f"{name}.out").open("ab") as out:
            self.daemons[name] = subprocess.Popen(
                [name, *arguments], env=os.environ | self.environment, stdout=out, stderr=out
            )
