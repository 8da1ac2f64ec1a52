# The estimation step: one job a chunk of settings and a backend, and one table of all of them.


rule estimate:
    output:
        "results/traces/{backend}/{chunk}.parquet",
    log:
        "results/logs/estimate/{backend}/{chunk}.log",
    benchmark:
        "results/benchmarks/estimate/{backend}/{chunk}.jsonl"
    conda:
        "../envs/mckl.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * estimate_mem_mb(wildcards.chunk),
        runtime=lambda wildcards, attempt: attempt * estimate_minutes(wildcards.chunk),
    params:
        job=estimate_job,
        code=lambda wildcards: script_digest(
            "estimate", f"mckl.backends.{wildcards.backend}"
        ),
    script:
        "../../scripts/estimate.py"


rule traces:
    input:
        expand(
            "results/traces/{backend}/{chunk}.parquet",
            backend=STUDY.backends,
            chunk=CHUNKS,
        ),
    output:
        "results/tables/traces.parquet",
    log:
        "results/logs/traces.log",
    benchmark:
        "results/benchmarks/traces.jsonl"
    conda:
        "../envs/mckl.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        code=script_digest("traces"),
    script:
        "../../scripts/traces.py"


rule notebook:
    output:
        points="results/tables/notebook-points.parquet",
        trace="results/tables/notebook.parquet",
    log:
        "results/logs/notebook.log",
    benchmark:
        "results/benchmarks/notebook.jsonl"
    conda:
        "../envs/mckl.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        job={"setting": NOTEBOOK and NOTEBOOK.as_dict(), "seed": STUDY.seed},
        code=script_digest("notebook", "mckl.backends.numpy"),
    script:
        "../../scripts/notebook.py"
