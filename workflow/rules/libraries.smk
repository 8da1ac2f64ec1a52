# The formulas that libraries compute as a KL, on fixed policies; they do not depend on the config.


rule libraries:
    output:
        table="results/tables/formulas.parquet",
        page="results/libraries.md",
    log:
        "results/logs/libraries.log",
    benchmark:
        "results/benchmarks/libraries.jsonl"
    localrule: True
    conda:
        "../envs/mckl.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        page=template_digest("libraries.md"),
        code=script_digest("libraries"),
    script:
        "../../scripts/libraries.py"
