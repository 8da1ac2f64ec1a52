# The terminal's output: what will run and how long it takes, a bar or a line for each stage, and the
# answer. Snakemake's whole log is in a file in .snakemake/log.
#
# Our own handler (mckl.show.runlog) replaces Snakemake's. There are reasons against other ways:
# - `quiet:` in the profile would empty the file as well, and hide why a job failed;
# - a logger plugin would have to be installed wherever the study runs, because a profile that names
#   a missing plugin stops Snakemake;
# - the existing plugin snakemake-logger-plugin-rich 0.5.1 shows no time left, shows no progress in a
#   pipe or a CI log, and prints the whole log of a failed job.
# Snakemake's own handler is used with --printshellcmds, --verbose, --quiet or a logger plugin, and if
# another workflow uses this one as a module; in dry runs it follows our lines.
import textwrap
import time

from mckl.show.progress import Board, Task
from mckl.show.runlog import OnRun, RunLog, answers
from mckl.study.plan import REPORT, RULES, Job, plan
from mckl.text import duration

# The jobs of the plan by their rules' names, which are different if this workflow is a module.
OWN_JOBS = {
    workflow.modifier.modify_rulename(rule): job
    for rule, job in {
        **{rule: Job(rule) for rule in RULES},
        **{
            f"figures_after_{maker}": Job("figures", tuple(names))
            for maker, names in FIGURES_AFTER.items()
        },
    }.items()
}
RUN_LOG = []  # our handler, if it has replaced Snakemake's
STARTED = time.time()
UP_TO_DATE = "mckl: nothing to do: the results are up to date"


WHOLE = workflow.modifier.modify_rulename(
    "manifest"
)  # the rule that waits for all others
OWN_RUN = workflow.modifier.is_main_snakefile()


def is_whole():
    """Whether the target is the whole study, so that a report is written at the end.

    The workflow that uses this one as a module writes its own report.
    """
    return OWN_RUN and WHOLE in {job.rule.name for job in workflow.dag.jobs}


def planned():
    """The jobs that will run, by their numbers in Snakemake's log."""
    jobs = {}
    for job in workflow.dag.needrun_jobs():
        if job.rule.name in OWN_JOBS:
            own = OWN_JOBS[job.rule.name]
            jobs[job.jobid] = own._replace(parts=own.parts or tuple(job.wildcards))
    return {**jobs, REPORT: Job(REPORT)} if jobs and is_whole() else jobs


def earlier_traces():
    """The traces that estimation jobs take over, and the jobs whose traces are up to date."""
    running = {job.jobid for job in workflow.dag.needrun_jobs()}
    kept, current, now = {}, [], None
    for job in workflow.dag.jobs:
        if OWN_JOBS.get(job.rule.name) != Job("estimate"):
            continue
        backend, chunk = job.wildcards
        estimation = Job("estimate", (backend, chunk))
        if job.jobid not in running:
            current.append(estimation)
        elif os.path.exists(f"{job.output.traces}.kept"):
            # These import Arrow.
            from mckl.record.manifest import manifest
            from mckl.study.earlier import Earlier, stamped

            now = now or manifest(config)
            parameters, code = estimate_job(backend, chunk), estimate_code(backend)
            about = stamped(now, parameters, code)
            earlier = Earlier(job.output.traces, job.output.cost, parameters, about)
            kept[estimation] = earlier.pairs(
                {
                    s.name: s.combinations(STUDY.samplers, STUDY.estimators)
                    for s in CHUNKS[backend][chunk]
                }
            )
    return kept, current


def at_once():
    """The number of jobs that can run at a time, also in words."""
    if workflow.local_exec:
        cores = workflow.resource_settings.cores
        return cores, f"on {cores} core{'s' if cores > 1 else ''}"
    jobs = workflow.nodes
    number = "all jobs" if jobs == sys.maxsize else f"{jobs} jobs"
    return jobs, f"with {number} at a time on the cluster, when none waits in its queue"


def announce():
    """Prints what will run and how long it takes; returns the planned jobs and their forecast."""
    jobs = planned()
    forecast = plan(STUDY, jobs.values(), *earlier_traces())
    for line in forecast.lines(*at_once()):
        logger.info(f"mckl: {line}")
    return jobs, forecast


def begin():
    """The board of the run that is about to begin."""
    jobs, forecast = announce()
    tasks = {
        number: Task(RULES[job.rule].stage, *forecast.jobs[job][:2])
        for number, job in jobs.items()
    }
    workers, _ = at_once()
    return Board(tasks, forecast.stages(workers), RUN_LOG[0].stream)


def conclude(how, *done):
    """Prints how a run ended, the answer, and where the results are; `done` are the last jobs."""
    for run_log in RUN_LOG:
        run_log.over(*done)
    logger.info(how)
    left = {job.rule.name for job in workflow.dag.needrun_jobs()}
    results = os.path.abspath(placed("results"))
    page = Path(results, "landing.rst")
    if is_whole() and "landing" not in left and page.exists():
        for answer in answers(page.read_text()):
            logger.info(
                textwrap.fill(f"mckl: {answer}", 100, subsequent_indent=" " * 6)
            )
        logger.info(
            f"mckl: open {results}/report.html or explorer.html; the numbers are in tables/"
        )
    if RUN_LOG:  # Snakemake's own handler says it at the end
        for log in workflow.logger_manager.get_logfile():
            logger.info(f"mckl: Snakemake's whole log: {log}")


def ended(failed):
    """How a run ended, in words."""
    if any(run_log.stopped for run_log in RUN_LOG):
        return "mckl: The run was stopped. Finished results are kept: run the same command again to go on."
    if failed:
        return "mckl: The run failed. Finished results are kept: fix the error above and run the same command again."
    times = os.times()
    spent = f" ({duration(sum(times[:4]))} of CPU time)" if workflow.local_exec else ""
    return f"mckl: finished in {duration(time.time() - STARTED)}{spent}"


def nothing_to_do():
    """Prints that all results exist already, or ends the run if a table is no table.

    Snakemake only looks at names, times and its own records.
    """
    from mckl.record.tables import manifest_of  # imports Arrow

    for path in {path for job in workflow.dag.jobs for path in job.output}:
        if path.endswith(".parquet") and "/tables/" in path and not path.is_storage:
            try:
                manifest_of(path)
            except UserError as error:
                sys.exit(f"mckl: {error}")
    conclude(UP_TO_DATE)


def take_over():
    """Replaces Snakemake's handler by ours, unless an option asks for Snakemake's."""
    asked = workflow.output_settings
    own = next((h for h in logger.handlers if h.name == "DefaultStreamHandler"), None)
    wanted = asked.printshellcmds or asked.verbose or asked.debug_dag or asked.quiet
    if not (own and workflow.modifier.is_main_snakefile()):
        logger.handlers.insert(0, OnRun(announce))
    elif asked.dryrun and not (asked.verbose or asked.debug_dag):
        logger.removeHandler(own)
        logger.addHandler(OnRun(announce, own, lambda: logger.info(UP_TO_DATE)))
    elif wanted:
        logger.handlers.insert(0, OnRun(announce))
    else:
        RUN_LOG.append(RunLog(own, begin, nothing_to_do))
        logger.removeHandler(own)
        logger.addHandler(RUN_LOG[0])
