# The coverage of intervals for given samples. It is not part of the target `all`; run it with
# snakemake --cores 2 intervals --directory intervals --configfile studies/intervals.yaml


rule intervals_of:
    output:
        intervals="results/intervals/{chunk}.parquet",
        alarms="results/alarms/{chunk}.parquet",
    log:
        "results/logs/intervals/{chunk}.log",
    benchmark:
        "results/benchmarks/intervals/{chunk}.jsonl"
    conda:
        "../envs/mckl.yaml"
    threads: 1
    resources:
        mem_mb=each_attempt(1500),
        runtime=each_attempt(60),
    params:
        job=lambda wildcards: {
            "settings": [
                s.as_dict() for s in CHUNKS[STUDY.backends[0]][wildcards.chunk]
            ],
            "samples": STUDY.samples,
            "runs": STUDY.replicates,
            "seed": STUDY.seed,
        },
        code=script_digest("intervals_of", "mckl.draw.backends.numpy"),
    script:
        "../../scripts/intervals_of.py"


rule intervals:
    input:
        intervals=expand(
            "results/intervals/{chunk}.parquet", chunk=[*CHUNKS[STUDY.backends[0]]]
        ),
        alarms=expand(
            "results/alarms/{chunk}.parquet", chunk=[*CHUNKS[STUDY.backends[0]]]
        ),
    output:
        intervals="results/tables/intervals.parquet",
        alarms="results/tables/alarms.parquet",
    log:
        "results/logs/intervals.log",
    benchmark:
        "results/benchmarks/intervals.jsonl"
    localrule: True
    conda:
        "../envs/mckl.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        origin=estimates(),
        jobs=script_digest("intervals_of", "mckl.draw.backends.numpy"),
        code=script_digest("intervals"),
    script:
        "../../scripts/intervals.py"
