# The samples that every tolerance needs, from exact theory and as measured in the traces.


rule budget:
    input:
        summary="results/tables/summary.parquet",
    output:
        "results/tables/budget.parquet",
    log:
        "results/logs/budget.log",
    benchmark:
        "results/benchmarks/budget.jsonl"
    conda:
        "../envs/mckl.yaml"
    threads: 1
    resources:
        mem_mb=each_attempt(1500),
        runtime=each_attempt(60),
    params:
        job={
            "settings": SETTINGS_AS_DICTS,
            "samplers": STUDY.samplers,
            "estimators": STUDY.estimators,
            "tolerances": STUDY.tolerances,
        },
        origin=origin("summary"),
        code=script_digest("budget"),
    script:
        "../../scripts/budget.py"
