# Snakemake's own report: the landing page with the run's numbers, then the figures by question.


report: "../report/run.rst"  # shows results/landing.rst


rule landing:
    input:
        settings="results/tables/settings.parquet",
        summary="results/tables/summary.parquet",
        verification="results/tables/verification.parquet",
        gaps="results/tables/gaps.parquet",
        png="results/figures/overview.png",
        caption="results/figures/overview.rst",
    output:
        "results/landing.rst",
    log:
        "results/logs/landing.log",
    benchmark:
        "results/benchmarks/landing.jsonl"
    localrule: True
    conda:
        "../envs/mckl.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        tolerances=STUDY.tolerances,
        template=[
            template_digest(name) for name in ("landing.rst", "figures/overview.rst")
        ],
        origin=origin(
            "settings",
            "summary",
            "verification",
            "gaps",
            *KNOWN_FIGURES["overview"].tables,
        ),
        code=script_digest("landing", KNOWN_FIGURES["overview"].module),
    script:
        "../../scripts/landing.py"


rule explorer:
    input:
        settings="results/tables/settings.parquet",
        summary="results/tables/summary.parquet",
        budget="results/tables/budget.parquet",
    output:
        report(
            "results/explorer.html",
            caption="../report/explorer.rst",
            **REPORT_PLACES["explorer"],
        ),
    log:
        "results/logs/explorer.log",
    benchmark:
        "results/benchmarks/explorer.jsonl"
    localrule: True
    conda:
        "../envs/mckl.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=20,
    params:
        template=[template_digest(f"explorer.{kind}") for kind in ("html", "css", "js")],
        origin=origin("settings", "summary", "budget"),
        code=script_digest("explorer"),
    script:
        "../../scripts/explorer.py"


# The last rule. It runs locally, where the command, the host and the end of the run are known.
rule manifest:
    input:
        [*RESULTS],
    output:
        "results/manifest.json",
    log:
        "results/logs/manifest.log",
    benchmark:
        "results/benchmarks/manifest.jsonl"
    localrule: True
    conda:
        "../envs/mckl.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        origin=origin(*TABLES),
        code=script_digest("manifest"),
    script:
        "../../scripts/manifest.py"
