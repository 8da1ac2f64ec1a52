# Shared by all rules: the checked config, its settings and jobs, and digests of the code.
import contextlib
import functools

import yaml
from snakemake.common.configfile import load_configfile
from snakemake.logging import logger

# Without this, a job that another machine starts with `python -m snakemake` would import a numpy.py
# or a queue.py of the study's folder. Executors that send no environment send what envvars names.
os.environ["PYTHONSAFEPATH"] = "1"


envvars:
    "PYTHONSAFEPATH",


# Parsing needs no BLAS threads; a job has as many as its rule says.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from mckl.draw.backends import BACKENDS
from mckl.show.figures import FIGURES as KNOWN_FIGURES
from mckl.show.figures import report_places
from mckl.study.config import parse as parse_config
from mckl.study.config import schema_defaults, studied
from mckl.study.feasible import check_known
from mckl.study.notebook import notebook
from mckl.errors import UserError
from mckl.record.joblog import collect_rarely
from mckl.record.manifest import job_digest
from mckl.record.manifest import digest as digest_of
from mckl.record.revision import code_digest
from mckl.record.yaml_text import repeated_key
from mckl.estimation.traces import SETTINGS_AT_ONCE, checkpoints

collect_rarely()
SCHEMA = yaml.safe_load(
    (ROOT / "workflow" / "schemas" / "config.schema.yaml").read_text()
)
DEFAULTS = schema_defaults(SCHEMA)
# A module with a `config:` of its own does not read config.yaml.
if not workflow.modifier.skip_configfile:
    DEFAULTS = studied(load_configfile(str(ROOT / "config.yaml")), DEFAULTS)
if workflow.is_main_process and workflow.modifier.is_main_snakefile():
    for path in workflow.configfiles:
        with contextlib.suppress(OSError, ValueError, yaml.YAMLError):
            if repeated := repeated_key(Path(path).read_text("utf-8")):
                sys.exit(f"mckl: config: {path}: {repeated}: the key occurs twice")
try:
    STUDY = parse_config(GIVEN, SCHEMA, DEFAULTS)
    if workflow.is_main_process:
        check_known(STUDY.cases.values())
except UserError as error:
    sys.exit("\n".join(f"mckl: config: {line}" for line in error.lines))
# The manifests have what is studied, and nothing else.
STUDIED = studied(GIVEN, DEFAULTS)
for key in {*config} - {*STUDIED}:
    del config[key]
config.update(STUDIED)

SETTINGS = STUDY.settings
SETTINGS_AS_DICTS = [s.as_dict() for s in SETTINGS]
CHUNKS = STUDY.chunks
CHECKPOINTS = checkpoints(STUDY.samples, STUDY.checkpoints_per_octave)
NOTEBOOK = notebook(SETTINGS)
GRADIENTS = STUDY.gradient_settings
OFF_POLICY = STUDY.off_policy_settings
# The table of estimates from samples of another law than q, if any setting has such samples.
MEASURED_OFF_POLICY = ["off-policy"] if OFF_POLICY else []
FIGURES = [
    name
    for name, figure in KNOWN_FIGURES.items()
    if not figure.constant
    and (NOTEBOOK or not figure.of_notebook)
    and (GRADIENTS or not figure.of_gradients)
    and {*figure.backends} <= {*STUDY.backends}
]
REPORT_PLACES = report_places(FIGURES)
# The tables, in the order in which a run makes them.
TABLES = [
    "settings",
    "theory",
    "regimes",
    "gradients",
    *MEASURED_OFF_POLICY,
    "traces",
    "gaps",
    "cost",
    "summary",
    "budget",
    "verification",
]

# The KL registered in TensorFlow Probability, which verification compares with ours.
REGISTERED = ["registered-kl"] if "tensorflow" in STUDY.backends else []


def script_digest(name, *modules):
    """The digest of the modules that a script uses; if one changes, results are out of date."""
    return code_digest(ROOT / "scripts" / f"{name}.py", *modules)


# The rules of the tables that have another name than their rule.
MAKERS = {
    "gaps": "traces",
    "cost": "traces",
    "regimes": "theory",
    "off-policy": "off_policy",
    "verification": "verify",
    "registered-kl": "registered_kl",
    "notebook-points": "notebook",
}


def last_of(tables):
    """The table among these that is made last; one that is not in TABLES counts as the last."""
    return max(tables, key=lambda t: TABLES.index(t) if t in TABLES else len(TABLES))


# Loading Matplotlib takes longer than drawing a figure, so one job draws all figures that wait for
# the same rule, or for one that is never far behind.
SOON_AFTER = {"theory": "summary", "budget": "verify"}
FIGURES_AFTER = {}
for name in FIGURES:
    last = last_of(KNOWN_FIGURES[name].tables)
    maker = MAKERS.get(last, last)
    FIGURES_AFTER.setdefault(SOON_AFTER.get(maker, maker), []).append(name)


def origin(*tables):
    """A digest of all that these tables' numbers depend on, for the params of rules that read them.

    If only file times counted, an input made while the clock was behind would look unchanged.
    """
    return digest_of({t: params_digest(MAKERS.get(t, t)) for t in tables})


@functools.cache
def params_digest(rule):
    """The digest of a rule's params; functions among them do not count."""
    params = getattr(rules, rule).params
    return digest_of({k: v for k, v in params.items() if not callable(v)})


def template_digest(name):
    """The digest of a template in workflow/report; if it changes, the text is rendered again."""
    return digest_of((ROOT / "workflow" / "report" / name).read_text())


def placed(path):
    """The absolute path of an output, with the prefix if this workflow is used as a module."""
    return os.path.abspath(workflow.modifier.path_modifier.modify(path, "output"))


# Every table, figure and page of a run, with its path on disk.
RESULTS = {
    path: placed(path)
    for path in [
        *expand(
            "results/tables/{table}.parquet",
            table=sorted(
                {*TABLES, *(t for name in FIGURES for t in KNOWN_FIGURES[name].tables)}
            ),
        ),
        *expand(
            "results/figures/{figure}.{kind}",
            figure=FIGURES,
            kind=["svg", "png", "pdf", "rst"],
        ),
        "results/explorer.html",
        "results/landing.rst",
        "results/verified.txt",
    ]
}
MANIFEST = placed("results/manifest.json")


def lost_results(wildcards):
    """The results that somebody has deleted, or all of them if they are not on disk.

    The manifest waits for every result, but Snakemake makes a file that is missing again only if a
    target asks for it.
    """
    if workflow.storage_settings.default_storage_provider:
        return [*RESULTS]
    if not os.path.exists(MANIFEST):
        return []
    return [path for path, place in RESULTS.items() if not os.path.exists(place)]


wildcard_constraints:
    backend="|".join(STUDY.backends),
    chunk="[^/]+",
