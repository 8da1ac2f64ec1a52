# Estimates from samples of another law than q, with each weight, and their exact law.


rule off_policy:
    output:
        "results/tables/off-policy.parquet",
    log:
        "results/logs/off_policy.log",
    benchmark:
        "results/benchmarks/off_policy.jsonl"
    conda:
        "../envs/mckl.yaml"
    threads: 1
    resources:
        mem_mb=each_attempt(1500),
        runtime=each_attempt(60),
    params:
        job={
            "settings": [s.as_dict() for s in OFF_POLICY],
            "seed": STUDY.seed,
            "estimators": STUDY.estimators,
            **{k: v for k, v in STUDY.off_policy.items() if k != "settings"},
        },
        code=script_digest("off_policy"),
    script:
        "../../scripts/off_policy.py"
