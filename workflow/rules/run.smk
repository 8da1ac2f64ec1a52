# What happens around a run: before its first job, when it is stopped, and at its end.
import contextlib
import json
import signal
import time

import psutil

from mckl.record.manifest import command_line, now


def check_writable():
    """Ends here, before Snakemake meets a folder that it cannot write to."""
    for folder in (".", placed("results")):
        if os.path.exists(folder) and not os.access(folder, os.W_OK):
            sys.exit(
                f"mckl: {os.path.abspath(folder)} is not writable: change that, "
                "or run in another folder with --directory"
            )


def tidy_results():
    """Removes what killed jobs left unfinished, and sets times that are ahead of the clock to now.

    Snakemake fails a job whose output is older than its input.
    """
    clock = time.time()
    for path in Path(placed("results")).rglob("*"):
        if path.match(".*.tmp"):
            path.unlink(missing_ok=True)
        elif path.stat().st_mtime > clock:
            os.utime(path, (clock, clock))


def end_on_signals():
    """Ctrl-C and SIGTERM end the running jobs, and then the run.

    On SIGTERM, Snakemake by itself would wait for the jobs. Ctrl-C reaches the jobs as well, and one
    that still imports its modules would answer with a traceback: jobs ignore it.
    """

    def end(*_):
        for run_log in RUN_LOG:
            run_log.stopped = True
        for _ in range(5):  # a job that is being started appears a little later
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.terminate()
            time.sleep(0.1)
        raise KeyboardInterrupt

    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, end)
        if workflow.modifier.is_main_snakefile():  # the jobs are ours alone
            signal.signal(signal.SIGINT, end)
            shell.prefix("set -euo pipefail; trap '' INT; ")


def make_report():
    """Snakemake's own report after a whole run; one that cannot be made fails no run.

    It is made whatever the gate says: what it found wrong is on the report's first page.
    """
    left = {job.rule.name for job in workflow.dag.needrun_jobs()}
    if not is_whole() or left - {"all", "gate", "manifest"}:
        return
    try:
        from snakemake.report import auto_report
        from snakemake.report.html_reporter import ReportSettings
        from snakemake.settings.types import GlobalReportSettings
        from snakemake_interface_report_plugins.registry import ReportPluginRegistry

        # Captions are outputs: from a storage they come back, as Snakemake brings the figures.
        for path in (path for job in workflow.dag.jobs for path in job.output):
            if path.endswith(".rst") and path.is_storage:
                workflow.async_run(path.retrieve_from_storage())
        html = ReportPluginRegistry().get_plugin("html")
        where = ReportSettings(path=Path("results/report.html"))
        where.path.parent.mkdir(exist_ok=True)
        workflow.async_run(
            auto_report(workflow.dag, html, where, GlobalReportSettings())
        )
    except Exception as error:
        logger.warning(
            f"mckl: no report ({error}): run snakemake --report results/report.html"
        )


# Once, before the first job; jobs that parse the Snakefile again stay silent.
if workflow.is_main_process:
    check_writable()
    end_on_signals()
    take_over()
    # For the manifest: command, host and times, which its job cannot find out.
    os.environ.update(
        MCKL_RUN=json.dumps({"command": command_line(sys.orig_argv), "start": now()})
    )
