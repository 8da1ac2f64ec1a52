# Statistics over replicates, with the exact theory.


rule summary:
    input:
        traces="results/tables/traces.parquet",
        settings="results/tables/settings.parquet",
        theory="results/tables/theory.parquet",
    output:
        "results/tables/summary.parquet",
    log:
        "results/logs/summary.log",
    benchmark:
        "results/benchmarks/summary.jsonl"
    conda:
        "../envs/mckl.yaml"
    threads: 1
    resources:
        mem_mb=each_attempt(1500),
        runtime=each_attempt(60),
    params:
        origin=origin("traces", "settings", "theory"),
        code=script_digest("summary"),
    script:
        "../../scripts/summary.py"
