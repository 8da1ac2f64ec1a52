# What every stage needs: the checked config, its settings and jobs, and the code's digests.
import json
import os
import sys
from pathlib import Path

import yaml
from snakemake.logging import logger

ROOT = Path(str(workflow.current_basedir)).parents[1]
# The study runs the source beside it, also in its jobs, in conda environments and as a module.
sys.path.insert(0, str(ROOT / "src"))
os.environ.update(
    PYTHONPATH=os.pathsep.join(
        [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
)

from mckl.backends import LIBRARIES
from mckl.figures import FIGURES as KNOWN_FIGURES
from mckl.config import parse as parse_config
from mckl.errors import UserError
from mckl.manifest import command_line, now
from mckl.manifest import digest as digest_of
from mckl.plan import chunk_seconds, plan
from mckl.revision import code_digest
from mckl.traces import SETTINGS_AT_ONCE, checkpoints

SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"
try:
    STUDY = parse_config(config, yaml.safe_load(SCHEMA.read_text()))
except UserError as error:
    sys.exit(f"mckl: config: {error}")

SETTINGS = STUDY.settings()
CHUNKS = {backend: STUDY.chunks() for backend in STUDY.backends}
CHECKPOINTS = checkpoints(STUDY.samples, STUDY.checkpoints_per_octave)
NOTEBOOK = next(
    (s for s in SETTINGS if s.name == "notebook" and s.dimension >= 2), None
)
FIGURES = [
    name
    for name, figure in KNOWN_FIGURES.items()
    if (NOTEBOOK or not figure.of_notebook) and {*figure.backends} <= {*STUDY.backends}
]
TABLES = ["settings", "theory", "traces", "summary", "verification", "budget", "cost"]

# TensorFlow Probability's own KL of every setting, which the gate compares with the closed form.
REGISTERED_KL = (
    {"registered_kl": "results/tables/registered-kl.parquet"}
    if "tensorflow" in STUDY.backends
    else {}
)

# Once, before the first job; jobs that parse the Snakefile again stay silent.
if workflow.is_main_process:
    logger.info(plan(STUDY).line())
    # What a job cannot know and the manifest tells.
    os.environ.update(
        MCKL_RUN=json.dumps({"command": command_line(sys.orig_argv), "start": now()})
    )


def script_digest(name, *modules):
    """The digest of the modules that a script uses: a changed one makes the results out of date."""
    return code_digest(ROOT / "scripts" / f"{name}.py", *modules)


def template_digest(name):
    """The digest of a caption or page in workflow/report: a changed one is rendered again."""
    return digest_of((ROOT / "workflow" / "report" / name).read_text())


def make_report():
    """Snakemake's own report after a whole run; one that cannot be made fails no run."""
    if "all" not in {job.rule.name for job in workflow.dag.jobs}:
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


def placed(path):
    """A path as a rule's output has it when this workflow is a module with a prefix."""
    return os.path.abspath(workflow.modifier.path_modifier.modify(path, "output"))


wildcard_constraints:
    backend="|".join(STUDY.backends),
    chunk="[^/]+",
