"""Packs the published studies into build/results-VERSION: `make results` runs it after them.

Its arguments are the names of the studies, whose runs are in build/NAME.
"""

import sys
from pathlib import Path

import mckl
from mckl.errors import UserError
from mckl.record.packing import pack
from mckl.text import size

root = Path(__file__).parents[1]
folder = root / f"build/results-{mckl.__version__}"
try:
    pack(root, {name: root / "build" / name for name in sys.argv[1:]}, folder)
    published = mckl.results(folder)
except UserError as error:
    sys.exit(f"mckl: {error}")
total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
print(f"mckl: {folder.relative_to(root)}: {len(published)} studies, {size(total)}")
if published.default.manifest["git_commit"].endswith("-dirty"):
    print("mckl: made with changes that are not committed: commit and run again to publish it")
