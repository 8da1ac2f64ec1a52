# The parameters and resources of an estimation job.
import math

from mckl.study.plan import chunk_seconds

# The memory of the nested Snakemake processes that start a job of an array.
SNAKEMAKE_MB = 500

EVERY_JOB = {
    "dtype": STUDY.dtype,
    "samplers": STUDY.samplers,
    "estimators": STUDY.estimators,
    "seed": STUDY.seed,
    "samples": CHECKPOINTS,
    "replicates": STUDY.replicates,
}


@functools.cache
def estimate_job(backend, chunk):
    """All that a chunk's traces depend on, in one value, so that swapped numbers are noticed."""
    settings_here = [s.as_dict() for s in CHUNKS[backend][chunk]]
    return {"settings": settings_here, "backend": backend, **EVERY_JOB}


def estimate_code(backend):
    """The digest of the code that an estimation job runs."""
    return script_digest("estimate", f"mckl.draw.backends.{backend}")


@functools.cache
def estimates():
    """A digest of all that the traces depend on, which is the same for every division into jobs."""
    code = {backend: estimate_code(backend) for backend in CHUNKS}
    return digest_of([SETTINGS_AS_DICTS, EVERY_JOB, code])


def environment_of(wildcards):
    """The conda environment of a backend's jobs."""
    name = "tensorflow" if wildcards.backend == "tensorflow" else "mckl"
    return f"../envs/{name}.yaml"


def estimate_mem_mb(backend, chunk):
    """MB for Snakemake, Python and its libraries, a few samples, and the traces of a batch."""
    dimension = max(s.dimension for s in CHUNKS[backend][chunk])
    rows = (
        min(SETTINGS_AT_ONCE, len(CHUNKS[backend][chunk]))
        * STUDY.replicates
        * len(CHECKPOINTS)
        * len(STUDY.samplers)
        * len(STUDY.estimators)
    )
    start = SNAKEMAKE_MB + BACKENDS[backend].memory_mb
    return math.ceil(start + 64e-6 * dimension + 100e-6 * rows)


def estimate_minutes(backend, chunk):
    """Three times the minutes that the plan expects, and a few to start."""
    seconds = chunk_seconds(STUDY, CHUNKS[backend][chunk], backend)
    return math.ceil(5 + 3 * seconds / 60)


def each_attempt(amount):
    """A resource that grows by this amount with every attempt."""
    return lambda wildcards, attempt: attempt * amount


def each_attempt_of_any(amount):
    """The largest amount of all chunks, times the attempt: a SLURM array requests one for all."""
    most = functools.cache(
        lambda: max(
            amount(backend, chunk) for backend in CHUNKS for chunk in CHUNKS[backend]
        )
    )
    return lambda wildcards, attempt: attempt * most()


def job_digests(wildcards):
    """The digest of every estimation job, which must be in the manifest of its traces."""
    return [
        job_digest(estimate_job(backend, chunk), estimate_code(backend))
        for backend, chunks in CHUNKS.items()
        for chunk in chunks
    ]


def of_jobs(path):
    """A path for every estimation job of the study, with its backend and chunk filled in."""
    return [
        path.format(backend=backend, chunk=chunk)
        for backend, chunks in CHUNKS.items()
        for chunk in chunks
    ]
