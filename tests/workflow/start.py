"""Snakemake without the time that its imports take, which is most of a start.

A server imports Snakemake and what it loads, but nothing of the study, and forks for every run.
A run is `python -m snakemake` in every other respect: a process of its own that reads the
Snakefile and the study's modules again.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

SERVER = """
import importlib, json, os, pkgutil, select, signal, socket, sys

import jsonschema, pandas, psutil, pygments.formatters, smart_open
import snakemake.cli, snakemake.report.html_reporter

for module in pkgutil.iter_modules():
    if module.name.startswith("snakemake_"):
        importlib.import_module(module.name)

listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print(flush=True)
while True:
    if sys.stdin in select.select([listener, sys.stdin], [], [])[0]:
        sys.exit()  # the tests have ended
    connection, _ = listener.accept()
    if os.fork() == 0:
        break
    connection.close()
    while os.waitpid(-1, os.WNOHANG)[0]:
        pass  # one that has told its run's exit code
listener.close()

told = json.loads(connection.makefile().readline())
run = os.fork()
if run:
    connection.sendall(b"%d\\n" % run)
    _, status = os.waitpid(run, 0)
    connection.sendall(b"%d\\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)

connection.close()
os.setsid()
signal.signal(signal.SIGINT, signal.default_int_handler)
output = os.open(told["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
for source, target in ((os.open(os.devnull, os.O_RDONLY), 0), (output, 1), (output, 2)):
    os.dup2(source, target)
os.chdir(told["folder"])
os.environ.clear()
os.environ.update(told["environment"])
sys.path[0] = told["folder"]
sys.argv = ["snakemake", *told["arguments"]]
sys.orig_argv = [sys.executable, "-m", *sys.argv]
snakemake.cli.main()
"""


@functools.cache
def _server(path: str) -> str:
    """The address of this process's server for runs whose PYTHONPATH this is."""
    address = str(Path(tempfile.mkdtemp(prefix="mckl-")) / "snakemake")
    unset = ("PYTHONPATH", "XDG_CONFIG_HOME", "PYTHONDONTWRITEBYTECODE")
    environment = {k: v for k, v in os.environ.items() if k not in unset}
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=environment | ({"PYTHONPATH": path} if path else {}),
    )  # fmt: skip

    def end() -> None:
        server.communicate()
        os.unlink(address)
        os.rmdir(os.path.dirname(address))

    atexit.register(end)
    assert server.stdout is not None
    assert server.stdout.readline(), "the server of Snakemake's runs has not started"
    return address


class Run:
    """A run of Snakemake in a session of its own, with the methods of Popen that the tests use."""

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        output: Path,
    ) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(_server(environment.get("PYTHONPATH", "")))
        output.touch()
        told = {
            "arguments": [*arguments], "folder": str(folder), "output": str(output),
            "environment": dict(environment),
        }  # fmt: skip
        self._socket.sendall(json.dumps(told).encode() + b"\n")
        self._answers = self._socket.makefile()
        self.pid = int(self._answers.readline())
        self._code: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """The exit code; raises TimeoutExpired when there is none in this time."""
        if self._code is None:
            if not select.select([self._socket], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("snakemake", timeout or 0.0)
            self._code = int(self._answers.readline())
            self._socket.close()
        return self._code

    def poll(self) -> int | None:
        """The exit code, or None of a run that goes on."""
        try:
            return self.wait(0.0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: int) -> None:
        """Send the process a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def processes(self) -> list[psutil.Process]:
        """The processes of its session that have not ended, even if Snakemake itself has."""
        found = []
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) == self.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (ProcessLookupError, psutil.NoSuchProcess):
                continue
        return found
