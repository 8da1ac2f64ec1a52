# The estimation step: one job for each chunk of settings and backend, and tables from all jobs.


rule estimate:
    output:
        traces="results/traces/{backend}/{chunk}.parquet",
        cost="results/cost/{backend}/{chunk}.parquet",
    log:
        "results/logs/estimate/{backend}/{chunk}.log",
    benchmark:
        "results/benchmarks/estimate/{backend}/{chunk}.jsonl"
    conda:
        environment_of
    threads: 1
    resources:
        mem_mb=each_attempt_of_any(estimate_mem_mb),
        runtime=each_attempt_of_any(estimate_minutes),
    params:
        job=lambda wildcards: estimate_job(**wildcards),
        code=lambda wildcards: estimate_code(wildcards.backend),
    script:
        "../../scripts/estimate.py"


rule traces:
    input:
        traces=of_jobs("results/traces/{backend}/{chunk}.parquet"),
        cost=of_jobs("results/cost/{backend}/{chunk}.parquet"),
    output:
        traces="results/tables/traces.parquet",
        gaps="results/tables/gaps.parquet",
        cost="results/tables/cost.parquet",
    log:
        "results/logs/traces.log",
    benchmark:
        "results/benchmarks/traces.jsonl"
    conda:
        "../envs/mckl.yaml"
    threads: 1
    resources:
        mem_mb=each_attempt(1000),
        runtime=each_attempt(30),
    params:
        jobs=job_digests,
        origin=estimates(),
        code=script_digest("traces"),
    script:
        "../../scripts/traces.py"


rule registered_kl:
    output:
        "results/tables/registered-kl.parquet",
    log:
        "results/logs/registered-kl.log",
    benchmark:
        "results/benchmarks/registered-kl.jsonl"
    conda:
        "../envs/tensorflow.yaml"
    threads: 1
    resources:
        mem_mb=each_attempt(2000),
        runtime=each_attempt(20),
    params:
        job={"settings": SETTINGS_AS_DICTS},
        code=script_digest("registered_kl", "mckl.draw.backends.tensorflow"),
    script:
        "../../scripts/registered_kl.py"


rule notebook:
    output:
        points="results/tables/notebook-points.parquet",
        trace="results/tables/notebook.parquet",
    log:
        "results/logs/notebook.log",
    benchmark:
        "results/benchmarks/notebook.jsonl"
    localrule: True
    conda:
        "../envs/mckl.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        job={"setting": NOTEBOOK and NOTEBOOK.as_dict(), "seed": STUDY.seed},
        code=script_digest("notebook", "mckl.draw.backends.numpy"),
    script:
        "../../scripts/notebook.py"
