"""Shows the progress of a run: its stages, how far each is, and the time left.

A terminal shows a bar for each stage. A file or a pipe gets lines of text: one when a stage ends,
and sometimes one while a long stage is at work.
"""

from __future__ import annotations

import contextlib
import re
import sys
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

from mckl.text import count, duration

if TYPE_CHECKING:
    from rich.console import RenderableType

_REFRESH = 0.5  # seconds
_PAUSE = 10.0  # the least seconds, beside a twentieth of the run, between two lines of progress
_LOGS = 64  # the most running jobs whose logs are read; with more, only finished jobs count
_PRIOR = 0.2  # after this share of the forecast time, forecast and pace so far have equal weight


class Task(NamedTuple):
    """The stage of a job, and the seconds and samples that it is expected to take."""

    stage: str
    seconds: float
    samples: int = 0


class Stage(NamedTuple):
    """The progress of a stage: a share from 0 to 1, and the numbers of its samples or jobs."""

    share: float
    done: float
    total: float
    unit: str

    def __str__(self) -> str:
        unit = self.unit[: -1 if self.total == 1 else None]
        return f"{count(int(self.done))} of {count(self.total)} {unit}"


class Board:
    """The progress of a run.

    tasks     All jobs that will run, by any key.
    expected  The wall seconds that each stage is expected to take, in the order of stages.
    stream    The stream on which progress is shown; by default standard error.
    clock     A function that returns seconds.
    """

    def __init__(
        self,
        tasks: Mapping[Hashable, Task],
        expected: Mapping[str, float],
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        from rich.console import Console
        from rich.live import Live

        self._tasks, self._expected, self._clock = tasks, expected, clock
        self._all = {stage: _Sum() for stage in expected}
        self._ended = {stage: _Sum() for stage in expected}
        for task in tasks.values():
            self._all[task.stage].add(task)
        self._running: dict[Hashable, tuple[Path, float]] = {}
        self._finished: set[Hashable] = set()
        self._began = self._spoke = clock()
        self._reported: set[str] = set()
        self._stream = stream or sys.stderr
        self._lock, self._over = threading.RLock(), threading.Event()
        console = Console(file=self._stream, highlight=False)
        self._live = (
            Live(console=console, auto_refresh=False, get_renderable=self._bars)
            if console.is_interactive
            else None
        )
        if self._live is not None:
            self._live.start()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def started(self, key: Hashable, log: str | None = None) -> None:
        """Note that a job has started; its log shows its progress if tqdm writes to it."""
        with self._lock:
            if log and key in self._tasks:
                self._running[key] = Path(log), self._clock()

    def finished(self, key: Hashable) -> None:
        """Note that a job has finished."""
        with self._lock:
            self._running.pop(key, None)
            if key in self._tasks and key not in self._finished:
                self._finished.add(key)
                self._ended[self._tasks[key].stage].add(self._tasks[key])
                self.refresh()

    def failed(self, key: Hashable) -> None:
        """Note that a job has failed."""
        with self._lock:
            self._running.pop(key, None)

    def say(self, line: str) -> None:
        """Print a line, above the bars if there are any."""
        with self._lock:
            if self._live is not None and self._live.is_started:
                self._live.console.print(line, markup=False, soft_wrap=True)
            else:
                print(line, file=self._stream, flush=True)

    def close(self) -> None:
        """Stop changing the bars, so that later output appears below them."""
        self._over.set()
        self._thread.join()
        with self._lock:
            if self._live is not None:
                self._live.stop()

    def seconds(self) -> float:
        """The seconds since the run began."""
        return self._clock() - self._began

    def stages(self) -> dict[str, Stage]:
        """The progress of every stage."""
        now = {stage: ended.copy() for stage, ended in self._ended.items()}
        if len(self._running) <= _LOGS:
            for key, (log, began) in self._running.items():
                now[self._tasks[key].stage].add(self._tasks[key], share_in(log, since=began))
        return {stage: _stage(now[stage], of) for stage, of in self._all.items()}

    def left(self, stages: Mapping[str, Stage]) -> dict[str, float]:
        """The seconds until each stage ends, by the forecast and the pace of the run so far."""
        spent = sum(self._expected[name] * stage.share for name, stage in stages.items())
        prior = _PRIOR * sum(self._expected.values())
        pace = (self.seconds() + prior) / (spent + prior) if prior else 1.0
        total, out = 0.0, {}
        for name, stage in stages.items():
            total += pace * self._expected[name] * (1 - stage.share)
            out[name] = total
        return out

    def refresh(self) -> None:
        """Show the current progress."""
        with self._lock:
            if self._live is not None:
                self._live.refresh()
                return
            stages = self.stages()
            for name, stage in stages.items():
                if stage.share == 1 and name not in self._reported:
                    self._reported.add(name)
                    done = f"{count(stage.total)} {stage.unit[: -1 if stage.total == 1 else None]}"
                    self._say(f"{name}: done after {duration(self.seconds())}, {done}")
            left = max(self.left(stages).values(), default=0.0)
            begun = [f"{name} {stage}" for name, stage in stages.items() if 0 < stage.share < 1]
            pause = max(_PAUSE, (self.seconds() + left) / 20)
            if begun and self._clock() - self._spoke > pause:
                text = f"after {duration(self.seconds())}: {'; '.join(begun)}"
                self._say(f"{text}; about {duration(left)} left")

    def _say(self, line: str) -> None:
        self._spoke = self._clock()
        self.say(f"mckl: {line}")

    def _watch(self) -> None:
        with contextlib.suppress(OSError):  # the terminal was closed
            while not self._over.wait(_REFRESH):
                self.refresh()

    def _bars(self) -> RenderableType:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        with self._lock:
            stages = self.stages()
            left = self.left(stages)
            table = Table.grid(padding=(0, 2))
            for name, stage in stages.items():
                rest = f"{duration(left[name])} left" if stage.share < 1 else "done"
                table.add_row(name, ProgressBar(1.0, stage.share, width=20), str(stage), rest)
            return table


def share_in(log: Path, since: float) -> float:
    """The share of a job's work that is done, by the last line of tqdm in its log; 0 without one.

    A log that was last written before the job began is from an earlier run and not used.
    """
    try:
        status = log.stat()
        if status.st_mtime < since - 1:
            return 0.0
        with log.open("rb") as file:
            file.seek(max(status.st_size - 500, 0))
            percents = re.findall(rb"(\d+)%\|", file.read())
    except OSError:
        return 0.0
    return min(int(percents[-1]) / 100, 0.99) if percents else 0.0


class _Sum:
    """The sums of seconds, samples and jobs over tasks."""

    def __init__(self, seconds: float = 0.0, samples: float = 0.0, jobs: int = 0) -> None:
        self.seconds, self.samples, self.jobs = seconds, samples, jobs

    def add(self, task: Task, share: float = 1.0) -> None:
        self.seconds += share * task.seconds
        self.samples += share * task.samples
        self.jobs += share == 1

    def copy(self) -> _Sum:
        return _Sum(self.seconds, self.samples, self.jobs)


def _stage(now: _Sum, of: _Sum) -> Stage:
    share = 1.0 if now.jobs == of.jobs else min(now.seconds / of.seconds, 0.999)
    if of.samples:
        return Stage(share, now.samples, of.samples, "samples")
    return Stage(share, now.jobs, of.jobs, "jobs")
