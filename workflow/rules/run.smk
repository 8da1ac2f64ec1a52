# Steps before the first job of a run, when it is stopped, and at its end.
import contextlib
import json
import signal
import time

import psutil

from mckl.record.manifest import command_line, now
from mckl.record.ownership import note_study

# `mckl study` says how it was called.
COMMAND = os.environ.pop("MCKL_STUDY", "") or command_line(sys.orig_argv)


def check_writable():
    """Ends the run if a folder is none or not writable, before Snakemake fails on it."""
    for folder in (".", placed("results")):
        if os.path.exists(folder) and not os.path.isdir(folder):
            sys.exit(
                f"mckl: {os.path.abspath(folder)} is a file, expected a folder: move it away"
            )
        if os.path.exists(folder) and not os.access(folder, os.W_OK):
            sys.exit(
                f"mckl: {os.path.abspath(folder)} is not writable: change that, "
                "or run in another folder with --directory"
            )


def tidy_results():
    """Deletes unfinished files of killed jobs, and sets file times in the future to now.

    Otherwise Snakemake would fail jobs whose output is older than their input. Links are left
    alone: they may lead nowhere, or to files of others.
    """
    clock = time.time()
    for path in Path(placed("results")).rglob("*"):
        if path.is_symlink():
            continue
        if path.match(".*.tmp"):
            path.unlink(missing_ok=True)
        elif path.stat().st_mtime > clock:
            os.utime(path, (clock, clock))


def note_configs():
    """Notes which config the results are of, unless they are in a storage."""
    if not workflow.storage_settings.default_storage_provider:
        note_study(workflow.overwrite_configfiles, COMMAND, Path.cwd(), sys.orig_argv)


def end_on_signals(how):
    """Makes Ctrl-C and SIGTERM end the running jobs, and then the run by raising `how`.

    By default, Snakemake waits for the jobs on SIGTERM. Ctrl-C also reaches the jobs, and one that
    is still importing modules would print a traceback, so jobs ignore it.
    """

    def end(*_):
        for run_log in RUN_LOG:
            run_log.stopped = True
        for _ in range(5):  # a job that is just being started appears a little later
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.terminate()
            time.sleep(0.1)
        raise how

    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, end)
        if workflow.modifier.is_main_snakefile():  # all jobs are ours
            signal.signal(signal.SIGINT, end)
            shell.prefix("set -euo pipefail; trap '' INT; ")


def make_report():
    """Writes Snakemake's own report after a whole run; an error in it does not fail the run.

    The report is written even if the gate fails, as its first page says what is wrong.
    """
    left = {job.rule.name for job in workflow.dag.needrun_jobs() if job.output}
    if not is_whole() or left - {"gate", "manifest"}:
        return
    try:
        from snakemake.report import auto_report
        from snakemake.report.html_reporter import ReportSettings
        from snakemake.settings.types import GlobalReportSettings
        from snakemake_interface_report_plugins.registry import ReportPluginRegistry

        # Captions are outputs too: if they are in a storage, they have to be fetched from there.
        for path in (path for job in workflow.dag.jobs for path in job.output):
            if path.endswith(".rst") and path.is_storage:
                workflow.async_run(path.retrieve_from_storage())
        html = ReportPluginRegistry().get_plugin("html")
        where = ReportSettings(
            path=Path("results/report.html"),
            stylesheet_path=ROOT / "workflow" / "report" / "report.css",
        )
        where.path.parent.mkdir(exist_ok=True)
        workflow.async_run(
            auto_report(workflow.dag, html, where, GlobalReportSettings())
        )
    except Exception as error:
        logger.warning(
            f"mckl: no report ({error}): run snakemake --report results/report.html "
            "--report-stylesheet workflow/report/report.css"
        )


# Only once, before the first job, and not when jobs parse the Snakefile again.
if workflow.is_main_process:
    check_writable()
    end_on_signals(SystemExit(130))  # no job runs yet, so there is nothing to say
    take_over()
    # The command and the start, which the manifest's job cannot find out itself.
    os.environ.update(MCKL_RUN=json.dumps({"command": COMMAND, "start": now()}))
