"""The study in an S3 bucket: a server on loopback, and the same tables and figures as on disk."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mckl.record.provenance import differences, other_numbers

from .study import Study, jobs_in


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The address of an S3 server that forgets everything at the end."""
    if "CI" not in os.environ:  # there, missing is a failure
        for package in ("moto", "flask_cors", "snakemake_storage_plugin_s3"):
            pytest.importorskip(package, reason=f"{package} is missing")
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


@pytest.mark.slow
def test_a_bucket_holds_what_a_folder_does(
    fresh: Study, elsewhere: Study, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAKEMAKE_STORAGE_S3_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("SNAKEMAKE_STORAGE_S3_ACCESS_KEY", "test")
    monkeypatch.setenv("SNAKEMAKE_STORAGE_S3_SECRET_KEY", "test")
    storage = ("--default-storage-provider", "s3", "--default-storage-prefix", "s3://bucket/mine")
    storage += ("--configfile", str(elsewhere.root.parent / "tiny.yaml"))
    text = fresh.run(*storage, cores=4)  # at every job that it starts, Snakemake asks for sizes
    assert "mckl: no report" not in text

    copy = tmp_path / "copy"
    for stored in bucket(endpoint).objects.all():
        target = copy / stored.key
        target.parent.mkdir(parents=True, exist_ok=True)
        bucket(endpoint).download_file(stored.key, str(target))
    study, told = Study(copy / "mine"), elsewhere.manifest()
    # Snakemake writes its report where it runs.
    kept = {f for f in elsewhere.files() if f.endswith(".kept")}  # no output: it stays here
    assert study.files() == elsewhere.files() - {"results/report.html"} - kept
    assert fresh.files() == {"results/report.html"}
    assert (fresh.root / "results/report.html").stat().st_size > 10**6
    # Another run, on four cores where that had two, and byte for byte the same but for its clocks.
    assert other_numbers(study.root / "results", told) == {}
    assert differences(study.root / "results", study.manifest()) == {}
    clocks = {"tables/cost.parquet", *(f"figures/cost.{s}" for s in ("svg", "png", "pdf", "rst"))}
    assert {*differences(study.root / "results", told)} == clocks

    # What is in the bucket is not made again, and what is lost from it is.
    assert jobs_in(fresh.run("--dry-run", *storage)) == []
    bucket(endpoint).Object("mine/results/tables/summary.parquet").delete()
    fresh.run("results/tables/summary.parquet", *storage)
    assert jobs_in(fresh.log()) == ["summary"]
    stored = bucket(endpoint).Object("mine/results/tables/summary.parquet").get()["Body"].read()
    assert stored == (elsewhere.root / "results/tables/summary.parquet").read_bytes()
