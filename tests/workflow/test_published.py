"""Published results: what is packed, read back, and refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mckl
from mckl.errors import UserError
from mckl.record import tables
from mckl.record.packing import pack
from mckl.record.provenance import file_digest

from .study import CHECKOUT, Study


@pytest.fixture(scope="module")
def packed(finished: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small study, packed as if it were the default one; no test changes it."""
    folder = tmp_path_factory.mktemp("published") / f"results-{mckl.__version__}"
    pack(CHECKOUT, {"default": finished.root}, folder)
    return folder


@pytest.fixture
def copied(packed: Path, tmp_path: Path) -> Path:
    shutil.copytree(packed, tmp_path / "copy", ignore=shutil.ignore_patterns("src"))
    lines = (tmp_path / "copy/SHA256SUMS").read_text().splitlines(keepends=True)
    kept = "".join(line for line in lines if "source/src" not in line)
    (tmp_path / "copy/SHA256SUMS").write_text(kept)
    return tmp_path / "copy"


def test_tables_are_read_back_as_they_were(packed: Path, finished: Study) -> None:
    published = mckl.results(packed)
    assert published.studies == ("default",)
    study = published.default
    assert study is published["default"]
    written = {path.stem for path in (finished.root / "results/tables").glob("*.parquet")}
    assert {*study.tables} == written - {"traces"}
    for name in study.tables:
        expected = tables.read(name, finished.root / f"results/tables/{name}.parquet").to_pandas()
        assert study[name].equals(expected)
    assert study.notebook_points is study["notebook-points"]
    for name in study.tables:
        columns = study.columns(name)
        assert [*columns.index] == [*study[name].columns]
        assert columns["meaning"].str.len().min() > 5
    assert study.manifest["config_digest"] == finished.manifest()["config_digest"]
    assert "theory" in dir(study)


def test_the_folder_holds_what_a_reader_needs(packed: Path) -> None:
    done = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=packed)
    assert done.returncode == 0
    page = (packed / "README.md").read_text()
    assert "## theory.parquet" in page
    assert "## traces.parquet" not in page
    assert {"manifest.json", "verified.txt", "config.yaml"} <= {
        path.name for path in (packed / "default").iterdir()
    }
    assert (packed / "source/src/mckl/__init__.py").exists()
    assert not [*packed.rglob("__pycache__")]


def test_the_metadata_names_every_file_of_a_study(packed: Path) -> None:
    graph = json.loads((packed / "ro-crate-metadata.json").read_text())["@graph"]
    entities = {entity["@id"]: entity for entity in graph}
    assert len(entities) == len(graph)
    (run,) = (x for x in graph if x["@type"] == "CreateAction")
    assert run["instrument"] == entities["./"]["mainEntity"]
    made = {x["@id"] for x in run["result"]} | {run["object"]["@id"]}
    assert made == {f"default/{path.name}" for path in (packed / "default").iterdir()}
    for name in made:
        assert entities[name]["sha256"] == file_digest(packed / name)
        assert int(entities[name]["contentSize"]) == (packed / name).stat().st_size

    def named(value: object) -> list[str]:
        if isinstance(value, list):
            return [name for part in value for name in named(part)]
        return [str(value["@id"])] if isinstance(value, dict) else []

    inside = {x for entity in graph for value in entity.values() for x in named(value)}
    assert {x for x in inside if not x.startswith("https://")} <= {*entities}


@pytest.mark.parametrize("change", ["tampered", "missing", "link"])
def test_a_file_that_is_not_as_published_is_noticed(copied: Path, change: str) -> None:
    mckl.results(copied)
    path = copied / "default/budget.parquet"
    content = bytearray(path.read_bytes())
    path.unlink()
    if change == "tampered":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif change == "link":
        path.symlink_to("/dev/zero")
    with pytest.raises(UserError, match=r"default/budget\.parquet: missing, or not as published"):
        mckl.results(copied)


def test_a_version_is_looked_for_here_and_in_the_cache(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"results of version .*unpack them as results-") as caught:
        mckl.results()
    assert "\n" not in str(caught.value)
    place = tmp_path / f"cache/mckl/results-{mckl.__version__}"
    place.parent.mkdir(parents=True)
    copied.rename(place)
    assert mckl.results().folder == place
    assert mckl.results(mckl.__version__).studies == ("default",)


def test_what_is_no_published_result_is_refused_in_one_line(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"^nowhere: no such folder, expected one with SHA256SUMS"):
        mckl.results("nowhere")
    with pytest.raises(UserError, match=r"^empty: it has no SHA256SUMS"):
        mckl.results("empty")
    published = mckl.results(copied)
    with pytest.raises(AttributeError, match="'busget': did you mean 'budget'"):
        published.default.busget  # noqa: B018
    with pytest.raises(UserError, match=r"^study in .*: 'defalt': did you mean 'default'"):
        published["defalt"]
    for text in ("", "no digests\n", f"{'0' * 64}  ../outside\n", f"{'0' * 64}  /etc/passwd\n"):
        (copied / "SHA256SUMS").write_text(text)
        with pytest.raises(UserError, match=r"not a list of digests|no tables of studies"):
            mckl.results(copied)


def test_results_of_some_studies_leave_the_plane_as_it_is(finished: Study, tmp_path: Path) -> None:
    for path in CHECKOUT.iterdir():
        if path.name != "build":
            (tmp_path / path.name).symlink_to(path)
    runs = tmp_path / "build"
    runs.mkdir()
    (runs / "pairs").symlink_to(finished.root)
    page, figure = (
        CHECKOUT / f"docs/{x}" for x in ("explanation/what-wins.md", "figures/plane.png")
    )
    before = [page.read_bytes(), figure.read_bytes()]
    program = [sys.executable, str(tmp_path / "docs/results.py")]
    done = subprocess.run([*program, "pairs"], capture_output=True, text=True, check=True)
    assert ": 1 study, " in done.stdout
    assert [page.read_bytes(), figure.read_bytes()] == before
    readme = (runs / f"results-{mckl.__version__}/README.md").read_text()
    assert 'published["pairs"]["budget"]' in readme
    assert "--against pairs/manifest.json`" in readme
    assert "default" not in readme.partition("## ")[0]
    (runs / "pairs").unlink()
    done = subprocess.run([*program, "pairs"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("mckl: pairs: no tables in ")
    assert done.stderr.count("\n") == 1


def test_what_cannot_be_packed_is_refused(finished: Study, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^policies: no tables in .*: run make results"):
        pack(CHECKOUT, {"policies": tmp_path}, tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("")
    with pytest.raises(UserError, match="not a folder of published results: move it away"):
        pack(CHECKOUT, {"default": finished.root}, tmp_path / "mine")
    assert (tmp_path / "mine/thesis.tex").exists()
    shutil.copytree(finished.root / "results", tmp_path / "run/results")
    (tmp_path / "run/results/figures/overview.svg").write_text("")
    with pytest.raises(UserError, match=r"figures/overview\.svg: not as in its manifest"):
        pack(CHECKOUT, {"default": tmp_path / "run"}, tmp_path / "out")
    assert not (tmp_path / "out").exists()
