"""The answers of groups of given samples, such as the steps of a training run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mckl.estimation.given.blocks import ids_of
from mckl.estimation.given.estimates import KLFromLogProbs
from mckl.estimation.results import DASH, Result, Table, ends, plain_data
from mckl.estimation.values import K1
from mckl.text import counted

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False)
class KLByGroup(Result, Mapping[Any, KLFromLogProbs]):
    """The estimates of each group, in the order in which groups appear: a mapping by group.

    Attributes
    ----------
    groups
        The answer of each group, by its id.
    """

    groups: Mapping[Any, KLFromLogProbs]

    def __getitem__(self, group: Any) -> KLFromLogProbs:
        return self.groups[group]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.groups)

    def __len__(self) -> int:
        return len(self.groups)

    def to_dict(self) -> dict[str, Any]:
        """The answers as plain data for JSON, each with its ``group``."""
        return {"groups": [{"group": plain_data(g), **one.to_dict()} for g, one in self.items()]}

    def to_frame(self) -> pd.DataFrame:
        """The estimates of all groups as a pandas data frame, whose first column is ``group``."""
        import pandas as pd

        frames = [one.to_frame() for one in self.values()]
        for group, frame in zip(self, frames, strict=True):
            frame.insert(0, "group", [group] * len(frame))
        return pd.concat(frames, ignore_index=True)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw each group's estimate and interval with Matplotlib, on `ax` or in a new figure.

        A group without an estimate to trust has its k1, as a cross.
        """
        from mckl.estimation.given.picture import draw_groups

        trusted = [(one.trusted, one[one.trusted or K1.name]) for one in self.values()]
        first = next(iter(self.values()))
        name = f"KL(q‖p), nats per {trusted[0][1].per}, {100 * first.confidence:g} % intervals"
        centres = np.array([e.estimate for _, e in trusted])
        intervals = [e.interval if chosen else None for chosen, e in trusted]
        return draw_groups([plain_data(g) for g in self], centres, intervals, name, ax)

    def lines(self) -> Iterator[str]:
        given = sum(one.trusted is not None for one in self.values())
        first = next(iter(self.values()))
        per = "sequence" if first.sequences else "sample"
        yield (
            f"KL(q||p) per {per} of {counted(len(self), 'group')}, "
            f"{given if given < len(self) else 'all'} with a {100 * first.confidence:g} % interval"
        )
        yield ""
        yield from self.table().lines(("estimator", "why not"))

    def table(self) -> Table:
        rows = []
        for group, one in self.items():
            kl = DASH if one.trusted is None else f"{one.kl:.6g}"
            why = one.why if one.trusted is None else ""
            cells = f"{one.units:,}", one.trusted or DASH, kl, ends(one.interval, missing=DASH)
            rows.append([str(group), *cells, why])
        what = "sequences" if next(iter(self.values())).sequences else "samples"
        return Table(("group", what, "estimator", "estimate", "interval", "why not"), rows)


def parts_by_group(
    piece: Mapping[str, NDArray[Any]],
) -> Iterator[tuple[Any, Mapping[str, NDArray[Any]], slice | NDArray[Any]]]:
    """The parts of a piece by its column ``group``: id, columns, and which rows of the piece.

    Raises `RowError` for a row without an id.
    """
    ids = ids_of("group", piece["group"])
    rest = {name: column for name, column in piece.items() if name != "group"}
    starts = np.concatenate(([0], 1 + np.flatnonzero(ids[1:] != ids[:-1])))
    runs: dict[Any, list[int]] = {}
    for i, group in enumerate(ids[starts].tolist()):
        runs.setdefault(group, []).append(i)
    ends_of_runs = np.append(starts[1:], ids.size)
    for group, which in runs.items():
        rows: slice | NDArray[Any] = slice(int(starts[which[0]]), int(ends_of_runs[which[0]]))
        if len(which) > 1:
            cuts = zip(starts[which], ends_of_runs[which], strict=True)
            rows = np.concatenate([np.arange(a, b) for a, b in cuts])
        yield group, {name: column[rows] for name, column in rest.items()}, rows
