"""Writes what is the same for every config: tables, figures and the page on libraries.

`make docs` runs it with the folder to write into. It fails, after all files are written, if the
formulas of libraries disagree with their simulation.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt

from mckl.errors import UserError
from mckl.record import tables
from mckl.record.manifest import manifest
from mckl.show.captions import render, template
from mckl.show.figures import FIGURES, draw, save
from mckl.show.libraries import write_page
from mckl.study.constant import check_formulas, constant_tables

here, folder = str(Path(__file__).parent), Path(sys.argv[1])
frames = {}
for name, columns in constant_tables().items():
    tables.write(name, folder / f"{name}.parquet", columns, manifest({}))
    frames[name] = tables.read(name, folder / f"{name}.parquet").to_pandas()
write_page(template(here, "libraries.md"), frames["formulas"], str(folder / "libraries.md"))
(folder / "figures").mkdir(exist_ok=True)
for name, figure in FIGURES.items():
    if figure.constant:
        drawing, numbers = draw(figure, {table: frames[table] for table in figure.tables})
        path = str(folder / f"figures/{name}")
        words = render(template(here, f"figures/{name}.rst"), numbers, f"{path}.rst")
        paths = [f"{path}.{kind}" for kind in ("svg", "png", "pdf")]
        save(drawing, paths, f"{name}: {figure.shows}", words)
        plt.close(drawing)
try:
    print(f"mckl: {check_formulas(frames['formulas'])}")
except UserError as error:
    sys.exit(f"mckl: {error}")
