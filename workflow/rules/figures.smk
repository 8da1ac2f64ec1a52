# One rule a figure: a change in one figure's module redraws that figure alone.
for name in FIGURES:

    rule:
        name:
            f"figure_{name.replace('-', '_')}"
        input:
            **{
                table: f"results/tables/{table}.parquet"
                for table in KNOWN_FIGURES[name].tables
            },
        output:
            svg=report(
                f"results/figures/{name}.svg",
                caption=placed(f"results/figures/{name}.rst"),
                category=KNOWN_FIGURES[name].question,
                labels={"figure": name, "shows": KNOWN_FIGURES[name].shows},
            ),
            png=f"results/figures/{name}.png",
            pdf=f"results/figures/{name}.pdf",
            rst=f"results/figures/{name}.rst",
        log:
            f"results/logs/figures/{name}.log",
        benchmark:
            f"results/benchmarks/figures/{name}.jsonl"
        localrule: True
        conda:
            "../envs/mckl.yaml"
        threads: 1
        resources:
            mem_mb=1500,
            runtime=20,
        params:
            figure=name,
            caption=template_digest(f"figures/{name}.rst"),
            origin=origin(*KNOWN_FIGURES[name].tables),
            code=script_digest("figure", KNOWN_FIGURES[name].module),
        script:
            "../../scripts/figure.py"
