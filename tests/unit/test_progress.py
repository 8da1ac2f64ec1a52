"""What a run shows: Snakemake's records become lines in a pipe and bars on a terminal."""

from __future__ import annotations

import io
import logging
import os
import signal
import subprocess
from types import SimpleNamespace

import pytest

from mckl.show.progress import Board, Task, share_in
from mckl.show.runlog import OnRun, RunLog, answers, reason

STAGES = {"traces": 20.0, "figures": 10.0}
TASKS = {
    1: Task("traces", 30.0, samples=300),
    2: Task("traces", 10.0, samples=100),
    3: Task("figures", 20.0),
}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock():
    return SimpleNamespace(now=0.0)


@pytest.fixture
def board(clock):
    made = Board(TASKS, STAGES, io.StringIO(), clock=lambda: clock.now)
    yield made
    made.close()


def test_a_stage_counts_its_samples_or_its_jobs(board):
    board.finished(2)
    traces, figures = board.stages().values()
    assert (traces.share, str(traces)) == (0.25, "100 of 400 samples")
    assert (figures.share, str(figures)) == (0.0, "0 of 1 job")
    board.finished(2)  # told twice
    board.finished("report of another study")
    assert str(board.stages()["traces"]) == "100 of 400 samples"


def test_a_job_at_work_counts_by_what_its_log_tells(board, clock, tmp_path):
    log = tmp_path / "log"
    log.write_text("d1 iid:   0%|          | 0/300\rd1 iid:  40%|####      | 120/300")
    clock.now = log.stat().st_mtime
    board.started(1, str(log))
    assert str(board.stages()["traces"]) == "120 of 400 samples"
    board.failed(1)
    assert str(board.stages()["traces"]) == "0 of 400 samples"


def test_a_log_of_an_earlier_run_tells_nothing(tmp_path):
    log = tmp_path / "log"
    assert share_in(log, since=0.0) == 0
    log.write_text("100%|####|")
    assert share_in(log, since=log.stat().st_mtime) == 0.99  # over only when Snakemake says so
    assert share_in(log, since=log.stat().st_mtime + 60) == 0
    log.write_text("no bar")
    assert share_in(log, since=0.0) == 0


def test_the_time_left_is_the_forecast_at_the_pace_of_the_run(board, clock):
    assert board.left(board.stages()) == {"traces": 20.0, "figures": 30.0}
    board.finished(1)  # 15 of the 20 expected seconds
    clock.now = 15.0
    assert board.left(board.stages()) == pytest.approx({"traces": 5.0, "figures": 15.0})
    clock.now = 36.0  # twice as slow, were the forecast not believed for 6 seconds
    assert board.left(board.stages()) == pytest.approx({"traces": 10.0, "figures": 30.0})


def test_a_pipe_gets_a_line_a_stage_and_few_between(board, clock):
    board.finished(2)
    for second in range(1, 1000):
        clock.now = float(second)
        board.refresh()
    board.finished(1)
    board.finished(3)
    *between, traces, figures = board._stream.getvalue().splitlines()
    assert 5 < len(between) < 45
    assert between[0].startswith("mckl: after 11 s: traces 100 of 400 samples; about ")
    assert between[0].endswith(" left")
    assert traces == "mckl: traces: done after 17 min, 400 samples"
    assert figures == "mckl: figures: done after 17 min, 1 job"


def test_a_terminal_gets_bars(monkeypatch, clock):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    board = Board(TASKS, STAGES, Terminal(), clock=lambda: clock.now)
    board.finished(1)
    board.say("mckl: said [above]")
    board.finished(2)
    board.close()
    board.say("mckl: said below")
    text = board._stream.getvalue()
    assert "mckl: said [above]\n" in text
    last = text.rsplit("traces ", 1)[1]
    assert "400 of 400 samples" in last
    assert "done" in last
    assert "0 of 1 job" in last
    assert text.endswith("mckl: said below\n")
    assert "done after" not in text


def record(event=None, text="", level=logging.INFO, **more):
    made = logging.LogRecord("snakemake", level, "", 0, text, (), None)
    vars(made).update(more, event=event)
    return made


@pytest.fixture
def run(board):
    own = logging.StreamHandler(io.StringIO())
    idle = []
    handler = RunLog(own, lambda: board, lambda: idle.append(True))
    handler.idle = idle
    yield handler
    handler.close()


def info(job, log):
    return record("job_info", jobid=job, rule_name="estimate", wildcards={"b": "numpy", "c": "d1"},
                  log=[str(log)])  # fmt: skip


def failed(job, log):
    return record("job_error", jobid=job, rule_name="estimate", log=[str(log)], level=logging.ERROR)


def test_what_is_said_before_a_run_waits_and_is_dropped_when_it_begins(run, board):
    run.handle(record(text="Building DAG of jobs..."))
    run.handle(record(text="a warning", level=logging.WARNING))
    run.handle(record("run_info", "Job stats: ..."))
    run.handle(record(text="Select jobs to execute..."))
    run.handle(record(text="another warning", level=logging.WARNING))
    run.handle(record(text="mckl: our own"))
    run.close()
    assert run.stream.getvalue() == "a warning\n"
    assert board._stream.getvalue() == "another warning\nmckl: our own\n"


def test_what_is_said_without_a_run_is_shown_in_the_end(run):
    run.handle(record(text="Unlocked working directory."))
    assert run.stream.getvalue() == ""
    run.close()
    assert run.stream.getvalue() == "Unlocked working directory.\n"


def test_nothing_to_do(run):
    run.handle(record(text="Building DAG of jobs..."))
    run.handle(record(text="Nothing to be done (all requested files are present)."))
    run.close()
    assert run.idle == [True]
    assert run.stream.getvalue() == ""


def test_a_pipe_that_nobody_reads_ends_no_run():
    class Own(logging.StreamHandler):
        """As Snakemake's, which raises the error of a closed pipe."""

        def handleError(self, record):
            raise

    read, write = os.pipe()
    with open(write, "w") as stream:
        shown = OnRun(lambda: None, Own(stream))
        shown.emit(record("run_info", "one"))
        assert os.read(read, 100) == b"one\n"
        os.close(read)
        shown.emit(record(text="two"))
        shown.emit(record(text="three"))


def test_a_failed_job_gives_its_reason_once(run, board, tmp_path):
    log = tmp_path / "job.log"
    log.write_text("50%|##  |\nmckl: FILE is damaged: delete it and run again\n")
    run.handle(record("run_info"))
    for job in (1, 2):
        run.handle(info(job, log))
        run.handle(record("error", "RuleException:\nCalledProcessError in file", logging.ERROR))
        run.handle(failed(job, log))
    run.handle(record(text="Exiting because a job execution failed.", level=logging.ERROR))
    assert board._stream.getvalue() == "mckl: FILE is damaged: delete it and run again\n"


def test_a_thousand_failed_jobs_do_not_fill_the_terminal(run, board, tmp_path):
    run.handle(record("run_info"))
    for job in range(1000):
        log = tmp_path / f"{job}.log"
        log.write_text(f"mckl: {job} is damaged\n")
        run.handle(info(job, log))
        run.handle(failed(job, log))
    said = board._stream.getvalue().splitlines()
    assert len(said) == 11
    assert "log" in said[-1]


def test_jobs_that_were_told_to_stop_need_no_reason(run, board, tmp_path):
    run.handle(record("run_info"))
    run.handle(info(1, tmp_path / "none"))
    run.handle(record(text="Terminating processes on user request, this might take some time."))
    run.handle(failed(1, tmp_path / "none"))
    assert run.stopped
    assert board._stream.getvalue() == ""


def test_a_job_that_ctrl_c_killed_before_the_run_was_stopped_needs_no_reason(run, board, tmp_path):
    """It kills the shell of a job that has not yet begun to ignore it."""
    run.handle(record("run_info"))
    killed = subprocess.CalledProcessError(-signal.SIGINT, "python estimate.py")
    for job in (1, 2):
        run.handle(info(job, tmp_path / "none"))
    run.handle(record("error", f"RuleException:\nCalledProcessError in file\n{killed}"))
    run.handle(failed(1, tmp_path / "none"))
    assert board._stream.getvalue() == ""
    run.handle(failed(2, tmp_path / "none"))
    assert "perhaps killed" in board._stream.getvalue()


def test_a_failed_run_of_jobs_in_a_group_gives_their_reasons(run, board, tmp_path):
    log = tmp_path / "job.log"
    log.write_text("mckl: why\n")
    run.handle(record("run_info"))
    error = {"jobid": 1, "rule_name": "estimate", "log": [str(log)]}
    run.handle(record("group_error", job_error_info=[error], level=logging.ERROR))
    assert board._stream.getvalue() == "mckl: why\n"


def test_a_reason_is_one_line(tmp_path):
    log = tmp_path / "job.log"
    log.write_text("Traceback (most recent call last):\n  File\nValueError: planted\n")
    told = reason("verify", [str(log)])
    assert told == f"mckl: verify failed: ValueError: planted ({log} has the traceback)"
    log.write_text("Traceback (most recent call last):\n  File\nValueError: two\n\nlines\n")
    assert reason("verify", [str(log)]).startswith("mckl: verify failed: ValueError: two lines (")
    log.write_text(" 10%|#    | 1/10")
    early = "mckl: verify failed before its log began: see the message above"
    assert reason("verify", [str(log)], 1) == early
    assert "perhaps killed" in reason("verify", [str(log)], 128 + 9)
    killed = reason("estimate numpy d1", [str(log)])
    assert killed.startswith("mckl: estimate numpy d1 ended without a message, perhaps killed or")
    assert killed.endswith(f": {log} may tell more")
    assert reason("all", []).startswith("mckl: all ended without a message")


def test_the_answers_are_the_first_sentences_of_the_landing_pages_questions():
    page = (
        "Title\n=====\n\n\n**Gone**: d1-s0.8 is.\n\n"
        "**How many?** About\n3.5 samples. And more.\n\n\n**Which?** k1.\n\nMore *text*.\n"
    )
    assert answers(page) == ["Gone: d1-s0.8 is.", "About 3.5 samples.", "k1."]
