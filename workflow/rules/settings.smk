# The settings of the sweep, the exact theory of every estimate on them, and over scale and offset.
from mckl.study.regime_map import window


rule settings:
    output:
        "results/tables/settings.parquet",
    log:
        "results/logs/settings.log",
    benchmark:
        "results/benchmarks/settings.jsonl"
    localrule: True
    conda:
        "../envs/mckl.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        job={"settings": SETTINGS_AS_DICTS},
        code=script_digest("settings"),
    script:
        "../../scripts/settings.py"


rule theory:
    output:
        theory="results/tables/theory.parquet",
        regimes="results/tables/regimes.parquet",
    log:
        "results/logs/theory.log",
    benchmark:
        "results/benchmarks/theory.jsonl"
    conda:
        "../envs/mckl.yaml"
    threads: 1
    resources:
        mem_mb=each_attempt(1000),
        runtime=each_attempt(60),
    params:
        job={
            "settings": SETTINGS_AS_DICTS,
            "samplers": STUDY.samplers,
            "estimators": STUDY.estimators,
            "samples": CHECKPOINTS,
            "window": window(SETTINGS, CHECKPOINTS[-1]),
        },
        code=script_digest("theory"),
    script:
        "../../scripts/theory.py"
