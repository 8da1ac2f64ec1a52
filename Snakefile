# The study on one page:
# config -> settings -> theory, traces, gradients -> summary -> verification, budget -> figures -> report.


import copy

# The keys that the user gives, before the defaults are merged with them.
GIVEN = copy.deepcopy(config)
RULE_FILES = workflow.current_basedir.join("workflow/rules")  # on disk or in git


include: RULE_FILES.join("package.smk")


# The defaults of the study, which are also used with `--directory` elsewhere.
configfile: str(ROOT / "config.yaml")


include: RULE_FILES.join("common.smk")
include: RULE_FILES.join("terminal.smk")
include: RULE_FILES.join("run.smk")
include: RULE_FILES.join("jobs.smk")
include: RULE_FILES.join("settings.smk")
include: RULE_FILES.join("traces.smk")
include: RULE_FILES.join("gradients.smk")
include: RULE_FILES.join("off_policy.smk")
include: RULE_FILES.join("summary.smk")
include: RULE_FILES.join("budget.smk")
include: RULE_FILES.join("verification.smk")
include: RULE_FILES.join("intervals.smk")
include: RULE_FILES.join("figures.smk")
include: RULE_FILES.join("report.smk")


rule all:
    default_target: True
    input:
        "results/manifest.json",  # which waits for every table, figure and page
        lost_results,


onstart:
    # Again, as the scheduler has set its own handler since, which expects this exception.
    end_on_signals(KeyboardInterrupt)
    tidy_results()
    note_configs()


onsuccess:
    make_report()
    conclude(ended(failed=False), REPORT)


onerror:
    make_report()
    conclude(ended(failed=True))
