"""What a trainer logs so that KL can be estimated, on small made-up data.

A batch has the names and the shapes of TRL, verl or OpenRLHF. Each step becomes a shard of Parquet,
with one row a completion, and a watch follows the run. Run it anywhere:

    python docs/examples/log_probabilities.py [folder]
"""

# %% Batches as trainers have them: (completions, tokens), padded, 8 completions a prompt.
from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import mckl

rng = np.random.default_rng(20261130)
PROMPTS, EACH, LONGEST = 32, 8, 60


def batch(step: int) -> dict[str, np.ndarray]:
    """Log-probabilities whose exact KL a token is 0.01 + 0.002 step, or 1.4 times as much."""
    prompt = np.repeat(rng.integers(0, 2, PROMPTS), EACH)
    kl = (0.01 + 0.002 * step) * np.where(prompt == 0, 1.0, 1.4)[:, None]
    mask = np.arange(LONGEST) < rng.integers(20, LONGEST + 1, PROMPTS * EACH)[:, None]
    log_q = -rng.exponential(size=mask.shape)
    # With this mean the average of p/q = e^-(log q - log p) is 1.
    log_p = log_q - kl - np.sqrt(2 * kl) * rng.normal(size=mask.shape)
    uid = np.repeat([f"step {step}, prompt {i}" for i in range(PROMPTS)], EACH)
    return {"log_q": log_q * mask, "log_p": log_p * mask, "mask": mask, "prompt": uid}


made = [batch(step) for step in range(12)]
trl = {  # what GRPOTrainer._generate_and_score_completions returns
    "old_per_token_logps": made[0]["log_q"],
    "ref_per_token_logps": made[0]["log_p"],
    "completion_mask": made[0]["mask"].astype(int),
}
verl = SimpleNamespace(  # a DataProto of RayPPOTrainer.fit
    batch={
        "old_log_probs": made[0]["log_q"],
        "ref_log_prob": made[0]["log_p"],
        "response_mask": made[0]["mask"].astype(int),
    },
    non_tensor_batch={"uid": made[0]["prompt"]},
)
openrlhf = SimpleNamespace(  # an Experience
    action_log_probs=made[0]["log_q"],
    base_action_log_probs=made[0]["log_p"],
    action_mask=made[0]["mask"],
)

# %% One batch: the arrays go in as they are, tensors too.
answers = {
    "TRL": mckl.from_log_probs(
        trl["old_per_token_logps"],
        trl["ref_per_token_logps"],
        mask=trl["completion_mask"],
        cluster=np.arange(PROMPTS * EACH) // EACH,  # num_generations rows a prompt, in order
    ),
    "verl": mckl.from_log_probs(
        verl.batch["old_log_probs"],
        verl.batch["ref_log_prob"],
        mask=verl.batch["response_mask"],
        cluster=verl.non_tensor_batch["uid"],
    ),
    "OpenRLHF": mckl.from_log_probs(
        openrlhf.action_log_probs,
        openrlhf.base_action_log_probs,
        mask=openrlhf.action_mask,
        cluster=made[0]["prompt"],
    ),
}
for name, answer in answers.items():
    print(f"{name}: {answer.per_token.in_words()} ({answer.trusted})")

# %% A run: a shard a step, and a watch whose numbers go to a dashboard.
folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "rollouts"
folder.mkdir(parents=True, exist_ok=True)
watch = mckl.Watch(half_life=2 * PROMPTS * EACH, start=32)
for step, one in enumerate(made):
    seen = watch.update(one["log_q"], one["log_p"], mask=one["mask"], cluster=one["prompt"])
    rows = {
        name: [row[keep].tolist() for row, keep in zip(one[name], one["mask"], strict=True)]
        for name in ("log_q", "log_p")
    }
    rows |= {"prompt": one["prompt"].tolist(), "step": [step] * len(one["mask"])}
    pq.write_table(pa.table(rows), folder / f"step-{step}.parquet")
    if step % 4 == 3:
        numbers = seen.floats()  # wandb.log({f"kl/{key}": value for key, value in numbers.items()})
        print(f"step {step}: KL {numbers['kl']:.3f} nats, {numbers['kl_per_token']:.4f} a token")

# %% Afterwards: one answer a step from the folder of shards.
command = [sys.executable, "-m", "mckl", "estimate", "--table", str(folder)]
command += ["--cluster", "prompt", "--group", "step"]
print(subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout)
