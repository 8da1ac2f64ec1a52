"""The study in an S3 bucket: a server on loopback, and the same tables and figures as on disk."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tools import need

from mckl.record.provenance import differences

from .study import FIGURES, TARGETS, Study, jobs_in


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


KINDS = ("svg", "png", "pdf", "rst")


@pytest.mark.slow
def test_a_bucket_holds_what_a_folder_does(
    fresh: Study, finished: Study, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAKEMAKE_STORAGE_S3_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("SNAKEMAKE_STORAGE_S3_ACCESS_KEY", "test")
    monkeypatch.setenv("SNAKEMAKE_STORAGE_S3_SECRET_KEY", "test")
    storage = ("--default-storage-provider", "s3", "--default-storage-prefix", "s3://bucket/mine")
    text = fresh.run(*storage, cores=8)  # when jobs wait, Snakemake asks for sizes again and again
    assert "mckl: no report" not in text

    copy = tmp_path / "copy"
    for stored in bucket(endpoint).objects.all():
        target = copy / stored.key
        target.parent.mkdir(parents=True, exist_ok=True)
        bucket(endpoint).download_file(stored.key, str(target))
    study = Study(copy / "mine")
    assert differences(study.root / "results", study.manifest()) == {}
    # Another run, on eight cores where that had two, and byte for byte the same but for its clocks.
    timed = {name for name, figure in FIGURES.items() if "cost" in figure.tables}
    apart = ("/cost", "/logs/", "/benchmarks/", "report.html", "manifest.json", ".kept")
    compared = {
        f for f in finished.files()
        if not any(part in f for part in apart) and Path(f).stem not in timed
    }  # fmt: skip
    pages = {f"results/{name}" for name in ("explorer.html", "landing.rst", "verified.txt")}
    figures = {f"results/figures/{name}.{kind}" for name in FIGURES for kind in KINDS}
    assert {*TARGETS} | pages <= compared <= study.files()
    assert figures | {"results/tables/cost.parquet"} <= study.files()
    for path in compared:
        assert (finished.root / path).read_bytes() == (study.root / path).read_bytes(), path
    # Snakemake writes its report where it runs.
    assert fresh.files() == {"results/report.html"}
    assert (fresh.root / "results/report.html").stat().st_size > 10**6

    # What is in the bucket is not made again, and what is lost from it is.
    assert jobs_in(fresh.run("--dry-run", *storage)) == []
    bucket(endpoint).Object("mine/results/tables/summary.parquet").delete()
    fresh.run("results/tables/summary.parquet", *storage)
    assert jobs_in(fresh.log()) == ["summary"]
    stored = bucket(endpoint).Object("mine/results/tables/summary.parquet").get()["Body"].read()
    assert stored == (finished.root / "results/tables/summary.parquet").read_bytes()
