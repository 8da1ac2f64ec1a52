# What a run says on the terminal: what will run and how long it takes, a bar or a line a stage, and
# the answer. The file in .snakemake/log keeps Snakemake's whole log.
#
# A handler of our own takes the place of Snakemake's (mckl.show.runlog). Why not something else:
# - `quiet:` in the profile would empty the file as well, and hide why a job failed;
# - a logger plugin has to be installed as a package wherever the study runs, for a profile that
#   names it stops Snakemake where it is missing;
# - of those that exist, snakemake-logger-plugin-rich 0.5.1 shows no time left, and no progress in
#   a pipe or a CI log, and prints a failed job's whole log.
# Snakemake's own log comes with --printshellcmds, --verbose, --quiet or a logger plugin, in dry runs,
# and where another workflow uses this one as a module.
import textwrap
import time

from mckl.show.progress import Board, Task
from mckl.show.runlog import OnRun, RunLog, answers
from mckl.study.plan import REPORT, RULES, Job, plan
from mckl.text import duration

# The jobs that the plan knows, by their rules' names, which are others in a module.
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
RUN_LOG = []  # our handler, where it has taken the other's place
STARTED = time.time()


def is_whole():
    """Whether everything is asked for, so that a report is made in the end."""
    return "all" in {job.rule.name for job in workflow.dag.jobs}


def planned():
    """The jobs that will run, by the number that Snakemake's log gives them."""
    jobs = {}
    for job in workflow.dag.needrun_jobs():
        if job.rule.name in OWN_JOBS:
            known = OWN_JOBS[job.rule.name]
            jobs[job.jobid] = known._replace(of=known.of or tuple(job.wildcards))
    return {**jobs, REPORT: Job(REPORT)} if jobs and is_whole() else jobs


def at_once():
    """How many jobs can run at a time, and how to say it."""
    if workflow.local_exec:
        cores = workflow.resource_settings.cores
        return cores, f"on {cores} core{'s' if cores > 1 else ''}"
    jobs = workflow.nodes
    number = "all jobs" if jobs == sys.maxsize else f"{jobs} jobs"
    return jobs, f"with {number} at a time on the cluster, when none waits in its queue"


def announce():
    """Says what will run and how long it takes, by the jobs as planned and their forecast."""
    jobs = planned()
    forecast = plan(STUDY, jobs.values())
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
    """Says how a run ended, with these jobs as its last, what the answer is, and where to look."""
    for run_log in RUN_LOG:
        run_log.over(*done)
    logger.info(f"mckl: {how}")
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
    for log in workflow.logger_manager.get_logfile():
        logger.info(f"mckl: Snakemake's whole log: {log}")


def ended(failed):
    """How a run ended."""
    if any(run_log.stopped for run_log in RUN_LOG):
        return "The run was stopped. Finished results are kept: run the same command again to go on."
    if failed:
        return "The run failed. Finished results are kept: fix the error above and run the same command again."
    times = os.times()
    return (
        f"finished in {duration(time.time() - STARTED)}"
        + f" ({duration(sum(times[:4]))} of CPU time)" * workflow.local_exec
    )


def nothing_to_do():
    """Says that every result is there already."""
    conclude("nothing to do: the results are up to date")


def take_over():
    """Puts our handler in the place of Snakemake's own, unless somebody wants that one."""
    asked = workflow.output_settings
    own = next((h for h in logger.handlers if h.name == "DefaultStreamHandler"), None)
    wanted = asked.printshellcmds or asked.verbose or asked.debug_dag or asked.quiet
    if own and not (wanted or asked.dryrun) and workflow.modifier.is_main_snakefile():
        RUN_LOG.append(RunLog(own, begin, nothing_to_do))
        logger.removeHandler(own)
        logger.addHandler(RUN_LOG[0])
    else:
        logger.handlers.insert(0, OnRun(announce))
