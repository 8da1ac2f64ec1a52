"""Writes what is the same for every config: tables, figures and the page on libraries.

`make docs` runs it with the folder to write into. It fails, after all files are written, if the
formulas of libraries disagree with their simulation.
"""

import sys
from pathlib import Path

from mckl.errors import UserError
from mckl.record import tables
from mckl.record.manifest import manifest
from mckl.show.captions import template
from mckl.show.figures import FIGURES, publish
from mckl.show.libraries import write_page
from mckl.study.libraries.table import check_formulas, formula_rows
from mckl.study.training import training_rows

folder = Path(sys.argv[1])
(folder / "figures").mkdir(parents=True, exist_ok=True)
frames = {}
for table, columns in {"formulas": formula_rows(), "training": training_rows()}.items():
    tables.write(table, folder / f"{table}.parquet", columns, manifest({}))
    frames[table] = tables.read(table, folder / f"{table}.parquet").to_pandas()
write_page(template("libraries.md"), frames["formulas"], str(folder / "libraries.md"))
for name, figure in FIGURES.items():
    if figure.constant:
        caption = template(f"figures/{name}.rst")
        publish(figure, frames, caption, str(folder / f"figures/{name}"))
try:
    print(f"mckl: {check_formulas(frames['formulas'])}")
except UserError as error:
    sys.exit(f"mckl: {error}")
