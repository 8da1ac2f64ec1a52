"""KL of a policy from its rollouts, as a trainer has them.

Two policies over letters are fitted to two texts. One of them samples sequences. Their
log-probabilities become a table with a row for each token, which `mckl estimate` reads. Run it
anywhere; it writes the table, rollout.parquet, into the folder, by default the current one:

    python docs/examples/rollout.py [folder]
"""

# %% Two policies: the frequencies with which a letter follows another in each of two texts.
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import mckl

DOCS = Path(__file__).parents[1]
LETTERS = " abcdefghijklmnopqrstuvwxyz"


def fitted(path: Path) -> np.ndarray:
    """Next-letter probabilities of a text, with half an observation of every pair added."""
    text = "".join(c if c in LETTERS else " " for c in path.read_text("utf-8").lower())
    tokens = np.array([LETTERS.index(c) for c in " ".join(text.split())])
    counts = np.full((27, 27), 0.5)
    np.add.at(counts, (tokens[:-1], tokens[1:]), 1.0)
    return counts / counts.sum(axis=1, keepdims=True)


policy = fitted(DOCS / "explanation" / "theory.md")
reference = fitted(DOCS.parent / "README.md")

# %% Rollouts: 3,000 sequences, which start after a space and are 20 to 60 letters long.
rng = np.random.default_rng(20261124)
lengths = rng.integers(20, 61, 3000)
tokens = np.zeros((3000, 61), int)
for t in range(60):
    below = policy.cumsum(axis=1)[tokens[:, t]]
    tokens[:, t + 1] = np.minimum((rng.random((3000, 1)) > below).sum(axis=1), 26)
keep = np.arange(60) < lengths[:, None]
before, after = tokens[:, :-1][keep], tokens[:, 1:][keep]

# %% The table that a trainer writes: a row for each token, with the rows of an episode together.
folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
table = folder / "rollout.parquet"
columns = {
    "episode": np.repeat(np.arange(3000), lengths),
    "token": after,
    "policy_logp": np.log(policy[before, after]),
    "ref_logp": np.log(reference[before, after]),
    # The KL of the next token over the whole alphabet, which a trainer may keep.
    "full_kl": (policy * np.log(policy / reference)).sum(axis=1)[before],
}
pq.write_table(pa.table(columns), table)

# %% The command's answer.
names = "log_q=policy_logp,log_p=ref_logp,sequence=episode,full_kl=full_kl"
command = [sys.executable, "-m", "mckl", "estimate", "--table", str(table), "--columns", names]
print(subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout)

# %% The same in Python, beside the exact KL per sequence, here of 40 letters.
found = mckl.from_log_probs(
    columns["policy_logp"],
    columns["ref_logp"],
    sequence=columns["episode"],
    full_kl=columns["full_kl"],
)
start = [1.0] + [0.0] * 26
exact = mckl.kl(
    {"family": "policy", "transitions": policy, "initial": start, "dimension": 40},
    {"family": "policy", "transitions": reference},
)
print(f"KL per token: {found.per_token.estimate:.5f} nats; of 40 letters exactly {exact / 40:.5f}.")
