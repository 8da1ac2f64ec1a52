# Gradients of KL in the parameters of q: every method's estimates and its exact law.


rule gradients:
    output:
        "results/tables/gradients.parquet",
    log:
        "results/logs/gradients.log",
    benchmark:
        "results/benchmarks/gradients.jsonl"
    conda:
        "../envs/mckl.yaml"
    threads: 1
    resources:
        mem_mb=each_attempt(1500),
        runtime=each_attempt(60),
    params:
        job={
            "settings": [s.as_dict() for s in GRADIENTS],
            "seed": STUDY.seed,
            **{k: v for k, v in STUDY.gradients.items() if k != "settings"},
        },
        code=script_digest("gradients"),
    script:
        "../../scripts/gradients.py"
