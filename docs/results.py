"""Packs the published studies into build/results-VERSION; `make results` runs it after them.

Its arguments are the names of the studies, whose runs are in build/NAME. If those of the plane are
among them, it draws the plane's figure from what it packed, and writes what the figure shows
between two comments of the page PAGE.
"""

import re
import shutil
import sys
from pathlib import Path

import mckl
from mckl.errors import UserError
from mckl.record.packing import pack
from mckl.show.figures import ESTIMATOR, Figure, draw, save
from mckl.text import listed, size

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/explanation/what-wins.md"
PLACE = re.compile(r"(<!-- by `make results` -->\n).*?(<!-- end -->)", re.DOTALL)
PLANE = ("plane", "plane-measured")
FIGURE = Figure("plane", ESTIMATOR, "best by scale, offset and dimension", (), constant=True)
CAPTION = """\
**Factor by factor the winner hardly depends on the dimension; from ℓ of the whole sample k1 wins \
nearly everywhere from D = {few} on.** (a–e) The estimator with the smallest RMSE over 1,024 \
independent samples by theory, or the simplest within {tie} %; dots are measured settings. (f) The \
settings in which k1 does not win. (g) A tenth of the settings has at least this ratio of mean \
squared errors, by theory; for Sobol' points, of those that are measured."""
PARAGRAPH = """\
If log q and log p are known of the whole sample alone, k1 is beaten in {whole} % of the settings \
for D = {dimensions}: r is a product over the coordinates, and its variance grows exponentially \
with D. Factor by factor k1 is beaten in {least} to {most} % in every dimension, from D = 2 on \
by cv-factor in {cv_factor} % and by k3-factor in {k3_factor} %. Wherever Sobol' points were \
measured, k1 over them has a mean squared error that is at least {sobol} times smaller, by theory.

These are {settings} settings of normal laws, with scales from 0.5 to 2 and offsets from 0 to 2. \
In {measured} of them theory was checked by 100 replicates: in {agree} the winner by theory is \
within {near} % of the smallest measured RMSE. In {unknown} of the other {others}, {unknown_best} \
has the smallest; its error is not known with so few samples."""


def words(numbers: dict) -> tuple[str, str]:
    """The caption and the paragraph."""
    shares = dict(zip(numbers["dimensions"], numbers["whole"], strict=True))
    few = next((d for d, share in shares.items() if float(share) < 10), numbers["dimensions"][-1])
    numbers = numbers | {
        "few": few,
        "whole": listed(shares.values()),
        "dimensions": listed(map(str, shares)),
        "cv_factor": numbers["factors"]["cv-factor"],
        "k3_factor": numbers["factors"]["k3-factor"],
    }
    return CAPTION.format(**numbers), PARAGRAPH.format(**numbers)


def show(published: mckl.PublishedResults, page: Path) -> None:
    """Draw the figure of the plane in build/docs/figures and docs/figures, and renew its page."""
    plane, measured = (published[name] for name in PLANE)
    frames = {"settings": plane.settings, "theory": plane.theory, "summary": measured.summary}
    drawing, numbers = draw(FIGURE, frames)
    caption, paragraph = words(numbers)
    folder = ROOT / "build/docs/figures"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [str(folder / f"plane.{kind}") for kind in ("svg", "png", "pdf")]
    save(drawing, paths, f"{FIGURE.name}: {FIGURE.shows}", caption.replace("**", ""))
    shutil.copy(folder / "plane.png", ROOT / "docs/figures")
    image = "![Maps of the estimator with the smallest RMSE, by dimension](../figures/plane.png)"
    text = "\n\n".join([image, caption, paragraph]) + "\n\n"
    old = page.read_text(encoding="utf-8")
    page.write_text(PLACE.sub(lambda place: place[1] + text + place[2], old), encoding="utf-8")


if __name__ == "__main__":
    folder = ROOT / f"build/results-{mckl.__version__}"
    try:
        pack(ROOT, {name: ROOT / "build" / name for name in sys.argv[1:]}, folder)
        published = mckl.results(folder)
        if {*PLANE} <= {*published}:
            show(published, PAGE)
    except UserError as error:
        sys.exit(f"mckl: {error}")
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    studies = "1 study" if len(published) == 1 else f"{len(published)} studies"
    print(f"mckl: {folder.relative_to(ROOT)}: {studies}, {size(total)}")
    commits = {str(published[study].manifest["git_commit"]) for study in published}
    if len(commits) > 1 or any(commit.endswith("-dirty") for commit in commits):
        print("mckl: not of one commit: before you publish them, commit and run make results again")
