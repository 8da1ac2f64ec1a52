# The study on one page:
# config -> settings -> theory, traces, gradients -> summary -> verification, budget -> figures -> report.


import copy

# The keys that the user gives, before the defaults are merged with them.
GIVEN = copy.deepcopy(config)


# The defaults are beside this file, so that they are also used with `--directory` elsewhere.
configfile: str(workflow.current_basedir.join("config.yaml"))


include: "workflow/rules/common.smk"
include: "workflow/rules/terminal.smk"
include: "workflow/rules/run.smk"
include: "workflow/rules/jobs.smk"
include: "workflow/rules/settings.smk"
include: "workflow/rules/traces.smk"
include: "workflow/rules/gradients.smk"
include: "workflow/rules/off_policy.smk"
include: "workflow/rules/summary.smk"
include: "workflow/rules/budget.smk"
include: "workflow/rules/verification.smk"
include: "workflow/rules/intervals.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        expand("results/tables/{table}.parquet", table=TABLES),
        expand(
            "results/figures/{figure}.{kind}",
            figure=FIGURES,
            kind=["svg", "png", "pdf"],
        ),
        "results/explorer.html",
        "results/landing.rst",
        "results/verified.txt",
        "results/manifest.json",


onstart:
    end_on_signals()  # again, as the scheduler has set its own handler since
    tidy_results()


onsuccess:
    make_report()
    conclude(ended(failed=False), REPORT)


onerror:
    make_report()
    conclude(ended(failed=True))
