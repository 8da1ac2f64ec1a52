# The study on one page: config -> settings -> theory, traces -> summary -> verification -> figures -> report.


configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/jobs.smk"
include: "workflow/rules/settings.smk"
include: "workflow/rules/traces.smk"
include: "workflow/rules/summary.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        expand("results/tables/{table}.parquet", table=TABLES),
        expand("results/figures/{figure}.svg", figure=FIGURES),
        "results/landing.rst",
        "results/verified.txt",


onsuccess:
    make_report()
