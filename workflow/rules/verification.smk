# The comparison of measurements with exact theory, and the gate that fails if they disagree.


rule verify:
    input:
        **{
            name.replace("-", "_"): f"results/tables/{name}.parquet"
            for name in [*REGISTERED, *MEASURED_OFF_POLICY]
        },
        summary="results/tables/summary.parquet",
        theory="results/tables/theory.parquet",
        settings="results/tables/settings.parquet",
        gradients="results/tables/gradients.parquet",
        budget="results/tables/budget.parquet",
    output:
        "results/tables/verification.parquet",
    log:
        "results/logs/verify.log",
    benchmark:
        "results/benchmarks/verify.jsonl"
    localrule: True
    conda:
        "../envs/mckl.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        origin=origin(
            "summary",
            "theory",
            "settings",
            "gradients",
            "budget",
            *REGISTERED,
            *MEASURED_OFF_POLICY,
        ),
        code=script_digest("verify"),
    script:
        "../../scripts/verify.py"


# The gate runs after the figures, so that tables and figures are complete if it fails.
rule gate:
    input:
        expand("results/figures/{figure}.svg", figure=FIGURES),
        verification="results/tables/verification.parquet",
        gaps="results/tables/gaps.parquet",
    output:
        "results/verified.txt",
    log:
        "results/logs/gate.log",
    benchmark:
        "results/benchmarks/gate.jsonl"
    localrule: True
    conda:
        "../envs/mckl.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        origin=origin("verification", "gaps"),
        code=script_digest("gate"),
    script:
        "../../scripts/gate.py"
