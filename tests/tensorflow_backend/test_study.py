"""A whole study with both backends, and what is refused before any job."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml
from workflow.conftest import once
from workflow.study import CHECKOUT, Study

from mckl.errors import UserError
from mckl.record import tables
from mckl.study.config import parse
from mckl.study.verification import failures

SMALL = {
    "sweep": {"dimension": [1, 16], "scale": [0.8, 1.25], "offset": [0.25]},
    "cases": {
        "notebook": {
            "q": {"mean": [1, 4], "sd": [1, 1]},
            "p": {"mean": [-3, 2], "sd": [2.5, 2.5]},
        },
    },
    "backends": ["numpy", "tensorflow"],
    "samplers": ["iid", "antithetic", "sobol", "iid-radial", "antithetic-radial", "sobol-radial"],
    "samples": 1024,
    "replicates": 30,
    "one_job_per": [],  # importing TensorFlow is most of a job
}
TARGETS = [
    "results/tables/verification.parquet",
    "results/tables/cost.parquet",
    "results/figures/backends.svg",
    "results/figures/registered-kl.svg",
]


class Elsewhere(Study):
    """The checkout's study in another directory; `first` is searched first for modules."""

    def __init__(self, root: Path, first: Path | None) -> None:
        super().__init__(root)
        self.first = first

    def command(self, *arguments: str, cores: int = 1) -> list[str]:
        given = [
            "--snakefile", str(CHECKOUT / "Snakefile"), "--directory", str(self.root),
            "--workflow-profile", str(CHECKOUT / "profiles/default"),
            "--configfile", str(self.root / "mine.yaml"),
        ]  # fmt: skip
        return super().command(*arguments, *given, cores=cores)

    def environment(self) -> dict[str, str]:
        first = {} if self.first is None else {"PYTHONPATH": str(self.first)}
        return super().environment() | first


def snakemake(
    where: Path, *arguments: str, first: Path | None = None, **config: object
) -> tuple[int, str]:
    """Run the study into a directory: the exit code and what was printed."""
    (where / "mine.yaml").write_text(yaml.safe_dump(SMALL | config))
    return Elsewhere(where, first).snakemake(*arguments, cores=2)


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A study with both backends, run once for all workers, and what it printed."""

    def run(folder: Path) -> tuple[int, str]:
        folder.mkdir()
        code, text = snakemake(folder, *TARGETS)
        (folder / "printed.txt").write_text(text)
        return code, text

    where = once(tmp_path_factory, "both-backends", run)
    return where, (where / "printed.txt").read_text()


def table(where: Path, name: str) -> pd.DataFrame:
    return tables.read(name, where / f"results/tables/{name}.parquet").to_pandas()


@pytest.mark.slow
def test_both_backends_pass_the_gate_on_the_same_settings(study):
    where, _ = study
    rows = table(where, "verification")
    assert failures(rows) is None
    tested = rows[(rows["test"] != "none") & (rows["quantity"] != "registered_kl")]
    tested = tested[~tested["quantity"].str.startswith("gradient")]  # NumPy's alone
    cells = tested.groupby("backend", observed=True).size()
    assert cells["numpy"] == cells["tensorflow"] > 1000
    keys = ["sampler", "estimator"]
    # Seven estimators over independent units, all but `cv` over Sobol' points, the repeats of
    # each sampler, and one count of copied theory.
    seen = tested[tested["backend"] == "tensorflow"][keys].drop_duplicates()
    assert len(seen) == 4 * 7 + 2 * 6 + 6 + 1


@pytest.mark.slow
def test_the_registered_kl_of_every_setting_is_among_the_cells(study):
    where, _ = study
    rows = table(where, "verification")
    rows = rows[rows["quantity"] == "registered_kl"]
    assert sorted(rows["setting"].astype(str)) == sorted(table(where, "settings")["setting"])
    assert rows["passed"].all()
    pd.testing.assert_series_equal(
        rows["measured"], rows["exact"], rtol=1e-12, atol=0.0, check_names=False
    )
    notebook = rows[rows["setting"] == "notebook"].iloc[0]
    assert notebook["measured"] == pytest.approx(2.592581463748310, rel=1e-15)


@pytest.mark.slow
def test_its_jobs_are_few_and_their_noise_stays_in_their_logs(study):
    where, printed = study
    for backend in ("numpy", "tensorflow"):
        chunks = {path.stem for path in (where / "results/traces" / backend).glob("*.parquet")}
        assert chunks == {"grid", "case-notebook"}
    for noise in ("absl", "cuda", "cudart", "oneDNN", "XLA", "retracing", "cpu_feature_guard"):
        assert noise not in printed


@pytest.mark.slow
def test_cost_tells_of_every_trace_and_of_every_job(study):
    where, _ = study
    cost = table(where, "cost")
    traces = cost[cost["setting"].notna()]
    assert len(traces) == 2 * 5 * 6
    assert (traces["samples"] == 1024 * 30).all()
    assert (cost["cpu_seconds"] > 0).all()
    jobs = cost[cost["setting"].isna()].set_index("job")
    assert len(jobs) == 2 + 2
    spent = traces.groupby("job", observed=True)["cpu_seconds"].sum()
    assert (jobs["cpu_seconds"] > spent.reindex(jobs.index)).all()


@pytest.mark.slow
def test_the_report_shows_both(study):
    where, _ = study
    caption = (where / "results/figures/registered-kl.rst").read_text()
    assert "2.5925813 by TensorFlow and 2.5925815 by its closed form" in caption
    assert "2.59258146374831 in float64" in caption
    caption = (where / "results/figures/backends.rst").read_text()
    assert "% of all pairs of measured mean squared errors" in caption


@pytest.mark.slow
def test_tensorflow_is_not_imported_to_plan_a_study(tmp_path):
    trap = tmp_path / "trap"
    for package in ("tensorflow", "tensorflow_probability", "tf_keras"):
        (trap / package).mkdir(parents=True)
        (trap / package / "__init__.py").write_text("raise SystemExit('imported at parse time')")
    code, text = snakemake(tmp_path, "--dry-run", first=trap)
    assert code == 0, text
    assert "imported at parse time" not in text
    assert "registered_kl" in text


HIDE = """
import importlib.metadata
known = importlib.metadata.version
def version(package):
    if package == "tensorflow":
        raise importlib.metadata.PackageNotFoundError(package)
    return known(package)
importlib.metadata.version = version
"""


@pytest.mark.slow
def test_what_cannot_run_is_refused_before_any_job(tmp_path):
    old, hidden = tmp_path / "old", tmp_path / "hidden"
    (old / "tensorflow-2.15.0.dist-info").mkdir(parents=True)
    (old / "tensorflow-2.15.0.dist-info/METADATA").write_text("Name: tensorflow\nVersion: 2.15.0\n")
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(HIDE)
    how = "pip install '.[tensorflow]' -c constraints.txt"
    for first, found in ((old, "found 2.15.0"), (hidden, "none found")):
        code, text = snakemake(tmp_path, first=first)
        assert code != 0
        (line,) = (row for row in text.splitlines() if row.startswith("mckl: config: "))
        assert f"backends: 'tensorflow' needs tensorflow 2.21 or newer, {found}: {how}" in line
        assert "Traceback" not in text
    assert not (tmp_path / "results").exists()
    # The other backend asks for nothing.
    code, text = snakemake(tmp_path, "--dry-run", first=hidden, backends=["numpy"])
    assert code == 0, text
    assert "registered_kl" not in text


HUGE = {"sweep": {"dimension": [20_000_000], "scale": [2], "offset": [0]}, "samplers": ["iid"]}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"dtype": "float16"}, "dtype: 'float16' is not float64 or float32"),
        ({"dtype": "float32"}, "dtype: the backend numpy does not have 'float32'"),
        (HUGE, "backends: 'tensorflow' has memory for samples of at most"),
    ],
    ids=["float16", "float32", "huge"],
)
def test_what_no_backend_can_do_is_refused(config, said):
    schema = yaml.safe_load((CHECKOUT / "workflow/schemas/config.schema.yaml").read_text())
    with pytest.raises(UserError) as error:
        parse(SMALL | config, schema)
    assert str(error.value).startswith(said)
