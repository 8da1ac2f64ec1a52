"""The study in an S3 bucket: a server on loopback, and the same tables and figures as on disk."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from tools import need

from mckl.record.provenance import differences

from .study import FIGURES, TARGETS, TINY, Study, jobs_in


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The address of an S3 server that forgets everything at the end."""
    for package in ("moto", "flask_cors", "snakemake_storage_plugin_s3"):
        need(package, find_spec(package))
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it logs every request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def bucket(endpoint: str) -> Any:
    import boto3

    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    service = boto3.resource("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)
    return service.Bucket("bucket")


# What a run into a folder makes as well, to be compared byte for byte.
ALSO_LOCAL = [
    *TARGETS,
    "results/figures/error-vs-samples.svg",
    "results/figures/verification.svg",
    "results/explorer.html",
    "results/landing.rst",
]
KINDS = ("svg", "png", "pdf", "rst")


@pytest.mark.slow
def test_a_bucket_holds_what_a_folder_does(
    fresh: Study, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = Study(tmp_path / "local")
    shutil.copytree(fresh.root, local.root)
    config = ("--configfile", str(tmp_path / "tiny.yaml"))
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(dict(TINY)))
    local.run(*ALSO_LOCAL, *config, cores=2)

    monkeypatch.setenv("SNAKEMAKE_STORAGE_S3_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("SNAKEMAKE_STORAGE_S3_ACCESS_KEY", "test")
    monkeypatch.setenv("SNAKEMAKE_STORAGE_S3_SECRET_KEY", "test")
    storage = ("--default-storage-provider", "s3", "--default-storage-prefix", "s3://bucket/mine")
    storage += config
    text = fresh.run(*storage, cores=8)  # when jobs wait, Snakemake asks for sizes again and again
    assert "mckl: no report" not in text

    copy = tmp_path / "copy"
    for stored in bucket(endpoint).objects.all():
        target = copy / stored.key
        target.parent.mkdir(parents=True, exist_ok=True)
        bucket(endpoint).download_file(stored.key, str(target))
    study = Study(copy / "mine")
    assert differences(study.root / "results", study.manifest()) == {}
    shown = [name for name, f in FIGURES.items() if not (f.of_notebook or f.of_gradients)]
    figures = {f"results/figures/{name}.{kind}" for name in shown for kind in KINDS}
    pages = {f"results/{name}" for name in ("explorer.html", "landing.rst", "verified.txt")}
    assert figures | pages | {"results/tables/cost.parquet"} <= study.files()
    # Another run, on eight cores where that had two, and byte for byte the same but for its clocks.
    kept = {f for f in local.files() if f.endswith(".kept")}  # no output: it stays here
    clocks = {f for f in local.files() if "/cost/" in f or "/benchmarks/" in f or "/logs/" in f}
    compared = local.files() - kept - clocks
    assert {*ALSO_LOCAL} <= compared <= study.files()
    for path in compared:
        assert (local.root / path).read_bytes() == (study.root / path).read_bytes(), path
    # Snakemake writes its report where it runs.
    assert fresh.files() == {"results/report.html"}
    assert (fresh.root / "results/report.html").stat().st_size > 10**6

    # What is in the bucket is not made again, and what is lost from it is.
    assert jobs_in(fresh.run("--dry-run", *storage)) == []
    bucket(endpoint).Object("mine/results/tables/summary.parquet").delete()
    fresh.run("results/tables/summary.parquet", *storage)
    assert jobs_in(fresh.log()) == ["summary"]
    stored = bucket(endpoint).Object("mine/results/tables/summary.parquet").get()["Body"].read()
    assert stored == (local.root / "results/tables/summary.parquet").read_bytes()
