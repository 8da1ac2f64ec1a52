# What every stage needs: the checked config, its settings and jobs, and the code's digests.
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
# To parse takes no matrices that threads would pay for; a job has the threads of its rule.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from mckl.draw.backends import LIBRARIES
from mckl.show.figures import FIGURES as KNOWN_FIGURES
from mckl.study.config import parse as parse_config
from mckl.study.notebook import notebook
from mckl.errors import UserError
from mckl.record.manifest import job_digest
from mckl.record.manifest import digest as digest_of
from mckl.record.revision import code_digest
from mckl.estimation.traces import SETTINGS_AT_ONCE, checkpoints

SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"
try:
    STUDY = parse_config(config, yaml.safe_load(SCHEMA.read_text()))
except UserError as error:
    sys.exit(f"mckl: config: {error}")

SETTINGS = STUDY.settings()
CHUNKS = dict.fromkeys(STUDY.backends, STUDY.chunks())
CHECKPOINTS = checkpoints(STUDY.samples, STUDY.checkpoints_per_octave)
NOTEBOOK = notebook(SETTINGS)
GRADIENTS = STUDY.gradient_settings()
FIGURES = [
    name
    for name, figure in KNOWN_FIGURES.items()
    if (NOTEBOOK or not figure.of_notebook)
    and (GRADIENTS or not figure.of_gradients)
    and {*figure.backends} <= {*STUDY.backends}
]
# In the order in which a run makes them.
TABLES = [
    "settings",
    "theory",
    "formulas",
    "gradients",
    "training",
    "traces",
    "gaps",
    "cost",
    "summary",
    "verification",
    "budget",
]

# TensorFlow Probability's own KL of every setting, which the gate compares with the closed form.
REGISTERED = ["registered-kl"] if "tensorflow" in STUDY.backends else []


def script_digest(name, *modules):
    """The digest of the modules that a script uses: a changed one makes the results out of date."""
    return code_digest(ROOT / "scripts" / f"{name}.py", *modules)


# The rule behind a table of another name.
MAKERS = {
    "gaps": "traces",
    "verification": "verify",
    "registered-kl": "registered_kl",
    "notebook-points": "notebook",
    "formulas": "libraries",
    "training": "gradients",
}


def last_of(tables):
    """Which of these tables is made last; those outside TABLES are no part of the others."""
    return max(tables, key=lambda t: TABLES.index(t) if t in TABLES else len(TABLES))


# One job draws all figures that wait for the same rule: to load Matplotlib takes longer than to
# draw one. Those that need no table are theory.
FIGURES_AFTER = {}
for name in FIGURES:
    last = last_of(KNOWN_FIGURES[name].tables or ["theory"])
    FIGURES_AFTER.setdefault(MAKERS.get(last, last), []).append(name)


def origin(*tables):
    """A digest of what decides these tables' numbers, for the params of a rule that reads them.

    By its time alone, an input that was made while the clock was behind looks unchanged.
    """
    params = {t: getattr(rules, MAKERS.get(t, t)).params for t in tables}
    return digest_of(
        {
            t: {name: value for name, value in p.items() if not callable(value)}
            for t, p in params.items()
        }
    )


def template_digest(name):
    """The digest of a caption or page in workflow/report: a changed one is rendered again."""
    return digest_of((ROOT / "workflow" / "report" / name).read_text())


def placed(path):
    """A path as a rule's output has it when this workflow is a module with a prefix."""
    return os.path.abspath(workflow.modifier.path_modifier.modify(path, "output"))


wildcard_constraints:
    backend="|".join(STUDY.backends),
    chunk="[^/]+",
