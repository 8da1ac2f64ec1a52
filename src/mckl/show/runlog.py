"""Shows Snakemake's log of a run in a few lines on the terminal; the log file has all of it."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import shutil
import signal
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from mckl.errors import one_line
from mckl.show.progress import Board

_MOST_REASONS = 10
_LOG_BYTES = 65536
_NOTHING = "Nothing to be done"
_TRACEBACK = "Traceback (most recent call last):"
# Messages of Snakemake before the first job, about work that takes minutes.
_PREPARING = ("Creating conda environment", "Pulling singularity image")
# The exit status of a job's command; a shell adds 128 to the number of the signal that killed it.
_STATUS = re.compile(r"CalledProcessError.*returned non-zero exit status (\d+)", re.DOTALL)
# Jobs ignore Ctrl-C, which is for Snakemake, from the first command of their shell on. It can kill
# the shell before that, and Snakemake can notice this before it notices the signal itself.
_CTRL_C = 128 + signal.SIGINT
_INTERRUPTED = re.compile(r"CalledProcessError.*died with <Signals\.SIGINT", re.DOTALL)
# Messages of Snakemake when a job has failed, in addition to the job's own reason.
_REPEATED = ("CalledProcessError", "a job execution failed", "did not complete successfully")


def _shown(handler: logging.StreamHandler[TextIO], record: logging.LogRecord) -> None:
    """Show a record; if nobody reads the stream any more, as after `| head`, discard the rest."""
    try:
        handler.handle(record)
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, handler.stream.fileno())
        os.close(nowhere)


class OnRun(logging.Handler):
    """Calls a function once, as soon as Snakemake knows what will run.

    With `own`, Snakemake's handler of the terminal, that handler shows what the function and
    Snakemake say from then on, and of what was said before only warnings. If nothing will run, it
    shows all, or what `idle` says.
    """

    def __init__(
        self,
        call: Callable[[], object],
        own: logging.StreamHandler[TextIO] | None = None,
        idle: Callable[[], object] | None = None,
    ) -> None:
        super().__init__()
        self._call: Callable[[], object] | None = call
        self._own, self._idle = own, idle
        self._waiting: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Call the function at the record that Snakemake writes when it knows its jobs."""
        nothing = self._idle is not None and str(record.msg).startswith(_NOTHING)
        call = self._idle if nothing else self._call
        if call is not None and (nothing or getattr(record, "event", None) == "run_info"):
            self._call = self._idle = None
            self._waiting.clear()
            call()
        if nothing:
            return
        if self._own is not None and (self._call is None or record.levelno >= logging.WARNING):
            _shown(self._own, record)
        elif self._own is not None:
            self._waiting.append(record)

    def close(self) -> None:
        """Show the records that were kept for a run."""
        for record in self._waiting:
            if self._own is not None:
                _shown(self._own, record)
        self._waiting.clear()
        super().close()


class RunLog(logging.Handler):
    """Shows the records of Snakemake's logger as the progress of a run.

    Records are kept until a run begins. If none does, as with `--unlock` or `--lint`, Snakemake's
    own handler shows them in the end.

    own    Snakemake's handler of the terminal.
    begin  A function that returns the board of the run, called once the jobs are known.
    idle   A function that is called instead if there is nothing to do.
    """

    def __init__(
        self,
        own: logging.StreamHandler[TextIO],
        begin: Callable[[], Board],
        idle: Callable[[], None],
    ) -> None:
        super().__init__()
        self.stream: TextIO = own.stream
        self._own, self._begin, self._idle = own, begin, idle
        self._waiting: list[logging.LogRecord] = []
        self._names: dict[int, str] = {}
        self._status = 0  # the exit status of the last command that failed, 0 if it is not known
        self._reasons: set[str] = set()
        self.board: Board | None = None
        self.stopped: bool = False

    def emit(self, record: logging.LogRecord) -> None:
        """Update the board by a record, or keep the record until a run begins."""
        event, text = getattr(record, "event", None), str(record.msg or "")
        if self.board is not None:
            self._show(self.board, event, text, record)
        elif event == "run_info":
            self._waiting.clear()
            self.board = self._begin()
        elif text.startswith(_NOTHING):
            self._waiting.clear()
            self._idle()
        elif text.startswith("mckl: "):
            print(text, file=self.stream, flush=True)
        elif record.levelno >= logging.WARNING or text.startswith(_PREPARING):
            self._own.handle(record)
        else:
            self._waiting.append(record)

    def over(self, *last: Hashable) -> None:
        """Note that the run has ended, with these jobs as the last ones."""
        if self.board is not None:
            for key in last:
                self.board.finished(key)
            self.board.close()

    def close(self) -> None:
        """Stop showing progress, or show the records that were kept for a run."""
        for record in self._waiting:
            self._own.handle(record)
        self._waiting.clear()
        if self.board is not None:
            self.board.close()
        super().close()

    def _show(self, board: Board, event: str | None, text: str, record: logging.LogRecord) -> None:
        job = vars(record)
        if event == "job_info":
            self._names[job["jobid"]] = " ".join([job["rule_name"], *job["wildcards"].values()])
            board.started(job["jobid"], next(iter(job["log"]), None))
        elif event == "job_finished":
            board.finished(job["job_id"])
        elif status := _STATUS.search(text):
            self._status = int(status[1])
        elif _INTERRUPTED.search(text):
            self._status = _CTRL_C
        elif event == "job_error":
            self._failed(board, job)
        elif event == "group_error":
            for one in job["job_error_info"]:
                self._failed(board, one)
        elif text.startswith("Terminating processes on user request"):
            self.stopped = True
        elif text.startswith("mckl: ") or (
            record.levelno >= logging.WARNING and not any(words in text for words in _REPEATED)
        ):
            board.say(text)

    def _failed(self, board: Board, job: Mapping[str, Any]) -> None:
        """Print once why a job failed; jobs that were stopped have no reason."""
        board.failed(job["jobid"])
        status, self._status = self._status, 0
        if self.stopped or status == _CTRL_C:
            return
        name = self._names.get(job["jobid"], job["rule_name"])
        why = reason(name, job["log"], status)
        if why not in self._reasons:
            self._reasons.add(why)
            if len(self._reasons) <= _MOST_REASONS:
                board.say(why)
            elif len(self._reasons) == _MOST_REASONS + 1:
                board.say("mckl: more jobs failed: Snakemake's log names all of them")


def answers(page: str) -> list[str]:
    """The first sentence of each of the landing page's answers, as one line without markup."""
    paragraphs = re.findall(r"^\*\*(?:.(?!\n\n))+.", page, re.MULTILINE | re.DOTALL)
    lines = [" ".join(text.split()) for text in paragraphs]
    plain = [re.sub(r"^\*\*[^*]*\?\*\* ", "", line).replace("**", "") for line in lines]
    return [re.split(r"(?<=\.)\s", line, maxsplit=1)[0] for line in plain]


def reason(job: str, logs: Sequence[str], status: int = 0) -> str:
    """Why a job failed: the last line of its log, which `mckl.record.joblog` writes.

    `status` is the exit status of its command, 0 if it is not known.
    """
    for path in logs:
        last: list[str] = []
        with contextlib.suppress(OSError):
            last = Path(path).read_text(encoding="utf-8", errors="replace").rstrip().splitlines()
        if last and last[-1].startswith("mckl: "):
            return last[-1]
        if _is_full(Path(path).parent):
            why = os.strerror(errno.ENOSPC)
            return f"mckl: {path} cannot be written ({why}): fix that and run again"
        if _TRACEBACK in last:
            frames = last[len(last) - last[::-1].index(_TRACEBACK) :]
            why = one_line(" ".join(x for x in frames if x.strip() and not x[0].isspace()))
            return f"mckl: {job} failed: {why} ({path} has the traceback)"
    if 0 < status < 128:
        return f"mckl: {job} failed before its log began: see the message above"
    where = f": {logs[0]} may tell more" if logs else ""
    return f"mckl: {job} ended without a message, perhaps killed or out of memory{where}"


def _is_full(folder: Path) -> bool:
    """Whether the folder's disk has no room for a log."""
    try:
        return shutil.disk_usage(folder).free < _LOG_BYTES
    except OSError:
        return False
