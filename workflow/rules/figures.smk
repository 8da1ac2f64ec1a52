# One rule for all figures that are drawn after the same rule (FIGURES_AFTER in common.smk).
for maker, names in FIGURES_AFTER.items():

    rule:
        name:
            f"figures_after_{maker}"
        input:
            **{
                table: f"results/tables/{table}.parquet"
                for name in names
                for table in KNOWN_FIGURES[name].tables
            },
        output:
            svg=[
                report(
                    f"results/figures/{name}.svg",
                    caption="../report/figure.rst",  # shows results/figures/NAME.rst
                    **REPORT_PLACES[name],
                )
                for name in names
            ],
            png=expand("results/figures/{figure}.png", figure=names),
            pdf=expand("results/figures/{figure}.pdf", figure=names),
            rst=expand("results/figures/{figure}.rst", figure=names),
        log:
            f"results/logs/figures/after_{maker}.log",
        benchmark:
            f"results/benchmarks/figures/after_{maker}.jsonl"
        localrule: True
        conda:
            "../envs/mckl.yaml"
        threads: 1
        resources:
            mem_mb=1500,
            runtime=20,
        params:
            figures=names,
            captions={name: template_digest(f"figures/{name}.rst") for name in names},
            origin=origin(*{t for name in names for t in KNOWN_FIGURES[name].tables}),
            code=script_digest(
                "figures", *(KNOWN_FIGURES[name].module for name in names)
            ),
        script:
            "../../scripts/figures.py"
