# What libraries compute as a KL, on policies of its own: no key of the config changes it.


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
