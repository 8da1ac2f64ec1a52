"""The command `mckl`, which computes a KL, advises how to estimate it, and estimates it.

Heavy modules are imported where they are used, so that no answer waits for modules it does not use.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from mckl import __version__
from mckl.api.arguments import BUDGET, real
from mckl.errors import UserError, one_line
from mckl.limits import SEED
from mckl.text import listed, plain, quoted, shortened

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from mckl.arrays import Vector
    from mckl.estimation.advice import Advice
    from mckl.estimation.divergences import KL
    from mckl.estimation.gradients.gradient_advice import GradientAdvice
    from mckl.estimation.intervals import Request
    from mckl.estimation.off_policy.off_policy_advice import OffPolicyAdvice
    from mckl.estimation.results import Result
    from mckl.families.base import Pair

BAD_INPUT, NOT_REACHED, DIFFERENT, WITHHELD = 2, 3, 3, 4
_MOST_DIMENSION = 10**15  # larger counts of coordinates are not exact in float64
F = TypeVar("F", bound=Callable[..., Any])

_CODES = """\b
Exit codes:
  0  answered
  2  bad input, with one line that says what is wrong
  3  answered, but {no}
"""
_PAIR_EXAMPLES = """\b
  mckl {command} --dimension 128 --scale 1.2 --offset 0.3{more}
  mckl {command} --q-mean 1,4 --q-sd 1 --p-mean=-3,2 --p-sd 2.5{more}
  mckl {command} --q posterior.npz --p prior.csv{more}
  mckl {command} --family 'student-t(5)' -d 16 -s 1.25 -o 0.25{more}
  mckl {command} --q '{{mean: 0, covariance: cov.npy}}' --p '{{mean: 0, sd: 1}}'{more}
"""


def _real(
    expected: str, above: float = -math.inf, below: float = math.inf
) -> Callable[[click.Context, click.Parameter, float | None], float | None]:
    """The check of an option that takes a number."""
    return lambda context, option, value: (
        None if value is None else real(option.opts[0], value, expected, above, below)
    )


_FINITE = _real("a finite number")
_POSITIVE = _real("a number greater than 0", 0.0)
_SHARE = _real("a number between 0 and 1", 0.0, 1.0)


def integer(text: Any) -> int:
    """An integer, also as 1e6; options of this type are shown as INTEGER."""
    with contextlib.suppress(ValueError):
        return int(text)
    with contextlib.suppress(ValueError):
        if (number := float(text)).is_integer():
            return int(number)
    raise click.BadParameter(f"{quoted(text)} is not an integer")


class _Registered(click.Choice[str]):
    """One of the names in a registry, which is imported when the names are needed."""

    def __init__(self, module: str, registry: str) -> None:
        self._module, self._registry = module, registry
        self.case_sensitive = True

    @property
    def choices(self) -> Sequence[str]:  # type: ignore[override]
        return tuple(getattr(import_module(self._module), self._registry))


_SAMPLER = _Registered("mckl.draw.points", "SAMPLERS")
_ESTIMATOR = _Registered("mckl.estimation.values", "ESTIMATORS")


def _with_options(function: F, options: Sequence[Callable[[F], F]]) -> F:
    return reduce(lambda inner, option: option(inner), reversed(options), function)


def _pair_options(function: F) -> F:
    vector = "numbers such as 1,4 or a file with one vector"
    both = "parameters as in a study's cases, or a file of them (.yaml, .json) or of mean and sd"
    options = (
        click.option(
            "--family", metavar="FAMILY",
            help="Family of q and p as in a study, such as 'student-t(5)'.  [normal]",
        ),
        click.option("--dimension", "-d", type=integer, help="Number of coordinates D."),
        click.option(
            "--scale", "-s", type=float, callback=_POSITIVE,
            help="Scale of p divided by that of q, sigma_p / sigma_q.  [1]",
        ),
        click.option(
            "--offset", "-o", type=float, callback=_FINITE,
            help="(mu_q - mu_p) / sigma_q; for gamma laws log(shape of q / shape of p).  [0]",
        ),
        click.option("--q-mean", metavar="VECTOR", help=f"Means of q: {vector}."),
        click.option("--q-sd", metavar="VECTOR", help="Standard deviations of q."),
        click.option("--p-mean", metavar="VECTOR", help="Means of p."),
        click.option("--p-sd", metavar="VECTOR", help="Standard deviations of p."),
        click.option("--q", metavar="TEXT|FILE", help=f"q: {both}."),
        click.option("--p", metavar="TEXT|FILE", help=f"p: {both}."),
    )  # fmt: skip
    return _with_options(function, options)


# The columns of log-probabilities, with the help of their options.
_GIVEN = {
    "log_q": "log q of samples of q, or of their tokens, in nats.",
    "log_p": "log p of the same samples or tokens.",
    "log_ratio": "log q - log p, instead of both.",
    "sequence": "The id of each token's sequence; rows of a sequence must follow each other.",
    "cluster": "The id of what is independent, such as a prompt.",
    "group": "The id of what gets an answer of its own, such as a step.",
    "mask": "1 for the tokens that count, and 0 for the others.",
    "log_sampler": "Log-probabilities under the law that drew the samples, if this is not q.",
    "full_kl": "KL of the next token over the whole vocabulary, one a token; adds rb.",
}


def _given_options(function: F) -> F:
    rest = (
        click.option(
            "--table", "tables", metavar="FILE", multiple=True,
            help="Tables with these columns, one after another: files, patterns or folders of "
            ".npz, .csv, .tsv, .jsonl, .parquet or .arrow; repeatable.",
        ),
        click.option(
            "--columns", metavar="NAMES",
            help="Names of the table's columns, such as log_q=policy_logp,log_p=ref, beside those "
            "that have the names above; mask= leaves one out.",
        ),
        click.option(
            "--watch", is_flag=True,
            help="Read batches as JSON lines from standard input, and answer after each.",
        ),
        click.option(
            "--half-life", type=float,
            help="With --watch: the number of later samples after which a batch counts half.",
        ),
        click.option(
            "--plot", metavar="FILE",
            help="Draw the running estimates, or the groups', into this file (.png, .svg, .pdf).",
        ),
    )  # fmt: skip
    files = [
        click.option("--" + name.replace("_", "-"), metavar="FILE|NAME", multiple=True, help=text)
        for name, text in _GIVEN.items()
    ]
    return _with_options(function, (*files, *rest))


_ALLOWED = "Allowed error relative to KL [0.01]"


def _tolerance_options(allowed: str) -> Callable[[F], F]:
    relative = click.option("--tolerance", "-t", type=float, callback=_POSITIVE, help=allowed)
    absolute = click.option(
        "--absolute", type=float, callback=_POSITIVE, metavar="NATS",
        help="Allowed error in nats, instead of --tolerance.",
    )  # fmt: skip
    return lambda function: relative(absolute(function))


_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


class _Group(click.Group):
    """A group whose every error is one line that starts with `mckl:`."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        extra["standalone_mode"] = False
        warnings.simplefilter("ignore")  # the result shows an overflow
        try:
            code = super().main(*args, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message())
            sys.exit(BAD_INPUT)
        except click.ClickException as error:
            _fail(shortened(error.format_message(), 220))
        except UserError as error:
            _fail(str(error))
        except ModuleNotFoundError as error:  # a package that only some commands need
            package = (error.name or "").partition(".")[0]
            _fail(f"the package {package} is missing: pip install {package}")
        except MemoryError:
            _fail("not enough memory for this number of coordinates")
        except click.Abort:
            _fail("interrupted", 130)
        except BrokenPipeError:  # the reader has closed the pipe
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(141)
        sys.exit(code if isinstance(code, int) else 0)


def _fail(text: str, code: int = BAD_INPUT) -> NoReturn:
    click.echo(f"mckl: {one_line(text)}", err=True)
    sys.exit(code)


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Completion: eval "$(_MCKL_COMPLETE=bash_source mckl)" in ~/.bashrc (zsh_source, fish_source).

Exit codes: 0 answered, 2 bad input, 3 the tolerance is not reached, or files differ, 4 estimated
without an interval, since none would cover.""",
)
@click.version_option(__version__, prog_name="mckl")
def main() -> None:
    """Tell how many Monte Carlo samples it takes to know KL(q||p) of two distributions.

    q is sampled and p is the reference. There are three ways to give a pair: by --family,
    --dimension, --scale and --offset, which are the same in every coordinate; by vectors of normal
    laws; or by --q and --p. The latter are files, or texts such as '{family: gamma, shape: 2, rate:
    1}' with the family (default normal) and its parameters, each of which may be a file. A single
    number is used for every coordinate.
    """


@main.command(
    epilog="Examples:\n\n"
    + _PAIR_EXAMPLES.format(command="kl", more="")
    + "\nExit codes: 0 answered, 2 bad input."
)
@_pair_options
@_json_option
def kl(as_json: bool, **pair: Any) -> None:
    """Tell the exact KL(q||p) and KL(p||q), in nats."""
    given = _pair(**pair)
    from mckl.estimation.divergences import divergences

    _print(divergences(given), as_json)


@main.command(
    epilog="Examples:\n\n"
    + _PAIR_EXAMPLES.format(command="advise", more=" --tolerance 0.01")
    + "  mckl advise --q-mean q_mean.npy --q-sd q_sd.npy --p-mean 0 --p-sd 1 --confidence 0.95\n"
    + "  mckl advise --gradient --dimension 2 --scale 1.25 --offset 0.5\n\n"
    + _CODES.format(no="no estimator reaches the tolerance")
)
@_pair_options
@_tolerance_options(f"{_ALLOWED}, or with --gradient relative to its norm [0.1].")
@click.option(
    "--confidence", "-c", type=float, callback=_SHARE,
    help="Limit the error, not the RMSE, with this probability; estimates are treated as normal.",
)  # fmt: skip
@click.option(
    "--sampler", "samplers", multiple=True, type=_SAMPLER,
    help="Show only this sampler; repeatable.",
)  # fmt: skip
@click.option(
    "--estimator", "estimators", multiple=True, type=_ESTIMATOR,
    help="Show only this estimator; repeatable.",
)  # fmt: skip
@click.option(
    "--gradient", is_flag=True,
    help="Answer for the gradient of KL in the parameters of q, and tell what each loss descends.",
)  # fmt: skip
@click.option(
    "--sampler-law", metavar="TEXT|FILE",
    help="The law s of the samples if it is not q, as --q: a policy or a categorical, or "
    "'{lag: 0.1}' for q moved by a lag.",
)  # fmt: skip
@click.option("--all", "every", is_flag=True, help="Show every option, and not the sensible ones.")
@_json_option
def advise(
    tolerance: float | None,
    absolute: float | None,
    confidence: float | None,
    samplers: Sequence[str],
    estimators: Sequence[str],
    gradient: bool,
    sampler_law: str | None,
    every: bool,
    as_json: bool,
    **pair: Any,
) -> None:
    """Tell how many samples each estimator and sampler needs, and which to use.

    The answer is theory, which is exact unless marked. Nothing is drawn.
    """
    given = _pair(**pair)
    if gradient:
        others = {
            "absolute": absolute, "confidence": confidence, "sampler": samplers,
            "estimator": estimators, "sampler-law": sampler_law, "all": every,
        }  # fmt: skip
        named = [f"--{name}" for name, value in others.items() if value]
        _advise_gradient(given, tolerance, named, as_json)
        return
    request = _request(tolerance, absolute, confidence)._replace(most=BUDGET)
    if sampler_law is not None:
        if samplers:
            raise UserError("--sampler: not with --sampler-law, whose samples are independent")
        _advise_off_policy(given, sampler_law, request, confidence, estimators, every, as_json)
        return
    from mckl.estimation.choice import advice_of
    from mckl.estimation.offered import check_offered

    check_offered(given, samplers, estimators, "--")
    answer = advice_of(given, request, confidence, samplers, estimators)
    _print_advice(answer, as_json, answer.lines(every))


@main.command(
    epilog="Examples:\n\n"
    + _PAIR_EXAMPLES.format(command="estimate", more=" --tolerance 0.01")
    + "  mckl estimate -d 64 -s 1.2 -o 0.5 --absolute 0.001 --sampler iid-radial --json\n"
    + "  mckl estimate --log-q lq.npy --log-p lp.npy --sequence ids.npy\n"
    + "  mckl estimate --table rollout.parquet"
    + " --columns log_q=policy_logp,log_p=ref_logp,sequence=episode\n\n"
    + _CODES.format(
        no="the interval is wider than requested: the budget is spent, or the data are too few"
    ).rstrip()
    + "\n  4  estimated, but without an interval, for the reason that is given\n"
)
@_pair_options
@_given_options
@_tolerance_options(f"{_ALLOWED}.")
@click.option(
    "--confidence", "-c", type=float, default=0.95, callback=_SHARE, show_default=True,
    help="Confidence of the interval.",
)  # fmt: skip
@click.option(
    "--sampler", type=_SAMPLER,
    help="How the points are placed.  [what `mckl advise --confidence` recommends]",
)  # fmt: skip
@click.option(
    "--estimator", type=_ESTIMATOR,
    help="The estimator.  [what `mckl advise --confidence` recommends; all for given samples]",
)  # fmt: skip
@click.option("--budget", type=integer, help=f"The most samples to draw.  [default: {BUDGET}]")
@click.option(
    "--seed", type=integer, default=SEED, show_default=True, help="Seed of random numbers."
)
@_json_option
def estimate(
    tolerance: float | None,
    absolute: float | None,
    confidence: float,
    sampler: str | None,
    estimator: str | None,
    budget: int | None,
    seed: int,
    as_json: bool,
    tables: Sequence[str],
    columns: str | None,
    watch: bool,
    half_life: float | None,
    plot: str | None,
    **rest: Any,
) -> None:
    """Estimate KL(q||p) from samples until its interval is short enough.

    A first, smaller sample decides the number of samples (Stein's two stages), or for Sobol' points
    theory does, so that the interval keeps its coverage. The command stops there, or when the
    budget is spent, and says which. If theory or the samples speak against an interval, it is
    withheld: the answer has the estimate, the reason and what to use instead.

    With --log-q and --log-p, or a table, the command draws nothing and uses your own samples of q,
    given by their log-probabilities in nats, or by those of the tokens of sequences. The answer has
    all estimators, each with its interval if the data allow one, and says which one to trust. An
    interval from n samples is valid only if no event rarer than 3/n carries KL.
    """
    files = {name: rest.pop(name) for name in _GIVEN}
    if half_life is not None and not watch:
        raise UserError("--half-life: only with --watch")
    if watch or tables or columns or any(files.values()):
        for name, value in (*rest.items(), ("sampler", sampler), ("budget", budget)):
            if value is not None:
                raise UserError(
                    f"--{name.replace('_', '-')}: not together with given log-probabilities"
                )
        request = _request(tolerance, absolute, confidence)
        if watch:
            if plot is not None:
                raise UserError("--plot: not with --watch")
            _watch(files, tables, estimator, confidence, half_life, as_json)
        _estimate_given(files, tables, columns, estimator, request, as_json, plot,
                        tolerance is not None or absolute is not None)  # fmt: skip
    if plot is not None:
        raise UserError("--plot: only with given log-probabilities")
    given = _pair(**rest)
    request = _request(tolerance, absolute, confidence)
    from mckl.api.arguments import MOST_SEED, whole_number
    from mckl.cli.bar import progress
    from mckl.estimation.recommended import LEAST_BUDGET, estimate_of_pair

    whole_number("--seed", seed, 0, MOST_SEED)
    budget = BUDGET if budget is None else whole_number("--budget", budget, LEAST_BUDGET)
    answer = estimate_of_pair(
        given,
        request._replace(most=budget),
        sampler,
        estimator,
        seed,
        prefix="--",
        progress=progress,
    )
    _print(answer, as_json)
    sys.exit({"tight": 0, "budget": NOT_REACHED, "withheld": WITHHELD}[answer.stopped])


def _estimate_given(
    files: Mapping[str, Sequence[str]], tables: Sequence[str], columns: str | None,
    estimator: str | None, request: Request, as_json: bool, plot: str | None, held: bool,
) -> NoReturn:  # fmt: skip
    """Print the answer from log-probabilities in files; `held` is true if a tolerance was given."""
    from mckl.cli.log_prob_files import estimated, wanted
    from mckl.estimation.given.groups import KLByGroup

    if plot is not None:
        from mckl.estimation.given.picture import check_picture, save_picture

        check_picture(plot)
    answer = estimated(wanted(files, tables, columns), request, estimator)
    _print(answer, as_json)
    if plot is not None:
        save_picture(answer, plot)
    answers = [*answer.values()] if isinstance(answer, KLByGroup) else [answer]
    widths = [None if a.trusted is None else a[a.trusted].half_width for a in answers]
    if None in widths:
        sys.exit(WITHHELD)
    wide = [w > request.target(a.kl) for w, a in zip(widths, answers, strict=True) if w is not None]
    sys.exit(NOT_REACHED if held and any(wide) else 0)


def _watch(
    files: Mapping[str, Sequence[str]], tables: Sequence[str], estimator: str | None,
    confidence: float, half_life: float | None, as_json: bool,
) -> NoReturn:  # fmt: skip
    """Follow batches on standard input, and print an answer after each."""
    from mckl.cli.log_prob_files import watched

    if tables or any(files.values()):
        raise UserError("--watch: it reads standard input, so no file can be given")
    seen = watched(sys.stdin, estimator, confidence, half_life, as_json)
    if seen is None:
        raise UserError("--watch: no batch on standard input")
    sys.exit(WITHHELD if seen.withheld else 0)


@main.command(
    epilog="""Examples:

\b
  mckl families
  mckl families gamma
  mckl families --json

Exit codes: 0 answered, 2 bad input."""
)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@_json_option
def families(names: Sequence[str], as_json: bool) -> None:
    """List the families, or tell the parameters, names and moments of some of them."""
    from mckl.cli import family_list

    listed = family_list.listed_families(names)
    if as_json:
        click.echo(json.dumps([family._asdict() for family in listed], indent=2))
        return
    parts = map(family_list.details, listed) if names else [family_list.overview(listed)]
    for i, lines in enumerate(parts):
        for line in ["", *lines] if i else lines:
            click.echo(line)


@main.command(
    epilog="""Examples:

\b
  mckl verify
  mckl verify theirs/results
  mckl verify results --against theirs/results/manifest.json

\b
Exit codes:
  0  no difference
  2  bad input, with one line that says what is wrong
  3  files are missing, changed or extra
"""
)
@click.argument("folder", type=click.Path(path_type=Path), default="results")
@click.option(
    "--against", type=click.Path(path_type=Path), metavar="MANIFEST",
    help="Compare only the numbers in the tables, with those of another run.",
)  # fmt: skip
def verify(folder: Path, against: Path | None) -> None:
    """Tell how a folder of results differs from its manifest.json.

    Every table, figure and page must be the file that the run wrote, and none may be missing or
    extra.
    """
    from mckl.record import provenance

    manifest = against or folder / "manifest.json"
    stated = provenance.load_manifest(manifest)
    differ = provenance.other_numbers if against else provenance.differences
    found = differ(folder, stated)
    for name, kind in found.items():
        click.echo(one_line(f"{kind} {name}"))
    if found:
        what_now = "" if against else ": delete the changed files and run the study again"
        _fail(f"{folder}: not as in {manifest}{what_now}", DIFFERENT)
    what = "the numbers of every table" if against else f"all {len(stated['files'])} files"
    click.echo(f"{folder}: {what} as in {manifest}")


class _StudyCommand(click.Command):
    """A command that remembers its words, and says where options of Snakemake belong."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta["words"] = ["mckl", "study", *args]
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise UserError(
                f"no such option {shortened(error.option_name)}; options of Snakemake stand after "
                "--, as in mckl study -- -n"
            ) from None


def _complete_config(
    context: click.Context, option: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The names of studies that come with the package, or else files."""
    from click.shell_completion import CompletionItem

    from mckl.cli.study_run import ready_studies

    names = [name for name in ready_studies() if name.startswith(incomplete)]
    return [*map(CompletionItem, names), CompletionItem(incomplete, type="file")]


def _cores(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """The check of --cores."""
    if value not in (None, "all") and not (value.isdecimal() and int(value) > 0):
        raise UserError(f"--cores: {quoted(value)}, expected a number of at least 1, or all")
    return value


@main.command(
    cls=_StudyCommand,
    epilog="""Examples:

\b
  mckl study --cores 2
  mckl study --configfile mine.yaml --directory ~/my-study
  mckl study --configfile families --directory families
  mckl study --configfile mine.yaml -- -n
  mckl study results/figures/overview.svg -- --printshellcmds

Exit codes: 0 finished, 2 bad input; else that of Snakemake, such as 1 if the study fails.""",
)
@click.option(
    "--cores", "-c", metavar="N|all", callback=_cores, help="Cores to use.  [all]"
)  # fmt: skip
@click.option(
    "--configfile", "configs", metavar="FILE|NAME", multiple=True,
    shell_complete=_complete_config,
    help="The config, or the name of a study in --list; repeatable.  [the default study]",
)  # fmt: skip
@click.option(
    "--directory", "-d", metavar="FOLDER", default=".", type=click.Path(),
    help="The folder in which the study runs and writes results/.  [this folder]",
)  # fmt: skip
@click.option(
    "--update", is_flag=True,
    help="Go on in a folder that has the results of another study, or other files in results/: "
    "what is out of date is replaced.",
)  # fmt: skip
@click.option("--list", "listed", is_flag=True, help="List the studies of the package, and exit.")
@click.argument("more", metavar="[-- SNAKEMAKE]...", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def study(
    context: click.Context,
    cores: str | None,
    configs: Sequence[str],
    directory: str,
    update: bool,
    listed: bool,
    more: Sequence[str],
) -> None:
    """Run the Snakemake study in any folder, and write its tables, figures and report.

    The study measures every estimator with every sampler, and compares the measurements with
    theory. Its packages are an extra: pip install 'mckl[study]'. The same command goes on after an
    interruption, and computes what a changed config has made out of date. Files to make, and
    Snakemake's options after --, are passed on.
    """
    from mckl.cli import study_run
    from mckl.record.manifest import command_line
    from mckl.record.ownership import check_results

    if listed:
        for line in study_run.listing():
            click.echo(line)
        return
    paths = [study_run.config_path(config) for config in configs]
    study_run.check_packages()
    folder = study_run.folder_path(directory)
    words = study_run.snakemake_words(cores, folder, paths, more)
    if not update:
        try:
            check_results(paths, folder, more)
        except UserError as error:
            raise UserError(
                f"{error}: name another folder with --directory, or go on here with --update"
            ) from None
    sys.exit(study_run.run_snakemake(words, command_line(context.meta["words"])))


def _advise_gradient(
    pair: Pair, tolerance: float | None, others: Sequence[str], as_json: bool
) -> None:
    """Print the answer of `mckl advise --gradient`; `others` are options that it does not take."""
    if others:
        raise UserError(f"{listed(others)}: not together with --gradient")
    from mckl.estimation.gradients.gradient_advice import gradient_advice

    try:
        answer = gradient_advice(pair, tolerance or 0.1)
        _print_advice(answer, as_json, answer.lines())
    except ValueError as error:
        raise UserError(f"--gradient: {error}") from None


def _advise_off_policy(
    pair: Pair, sampler_law: str, request: Request, confidence: float | None,
    estimators: Sequence[str], every: bool, as_json: bool,
) -> None:  # fmt: skip
    """Print the answer of `mckl advise --sampler-law`."""
    from mckl.cli.sides import SUFFIXES, is_side, read_side
    from mckl.estimation.off_policy.off_policy_advice import off_policy_advice
    from mckl.families.registry import sampled_pair

    if not is_side(sampler_law):
        expected = f"a text such as {{lag: 0.1}}, or a file of one ({', '.join(SUFFIXES)})"
        if os.path.isfile(sampler_law):
            law = "family: policy, transitions"
            if pair.family == "categorical":
                law = "family: categorical, probabilities"
            expected = f"a text such as {{{law}: {shortened(sampler_law)}}}"
        raise UserError(f"--sampler-law: {quoted(sampler_law)}, expected {expected}")
    s = read_side("sampler-law", sampler_law)
    try:
        chain = sampled_pair(pair, s)
    except ValueError as error:
        raise UserError(f"--sampler-law: {error}") from None
    answer = off_policy_advice(pair, chain, request, confidence, estimators, "--")
    _print_advice(answer, as_json, answer.lines(every))


def _print_advice(
    answer: Advice | GradientAdvice | OffPolicyAdvice, as_json: bool, lines: Iterator[str]
) -> None:
    _print(answer, as_json, lines)
    if answer.recommendation is None:
        sys.exit(NOT_REACHED)


def _print(answer: Result | KL, as_json: bool, lines: Iterator[str] | None = None) -> None:
    """Print an answer as one JSON object, or the lines, by default all, with strong ones bold."""
    if as_json:
        data = {"mckl": __version__, **answer.to_dict()}
        click.echo(json.dumps(data, indent=2, allow_nan=False))
        return
    from mckl.estimation.results import Strong

    for line in lines or answer.lines():
        click.secho(line, bold=isinstance(line, Strong))


def _request(
    tolerance: float | None, absolute: float | None, confidence: float | None = None
) -> Request:
    if tolerance is not None and absolute is not None:
        raise UserError("--tolerance and --absolute: expected one of them")
    from mckl.api.arguments import request_of

    return request_of(tolerance, absolute, confidence or 0.95)


def _pair(**given: Any) -> Pair:
    """The pair that the options describe; raises `UserError` if they do not describe one."""
    grid = {name: given[name] for name in ("family", "dimension", "scale", "offset")}
    vectors = {name: given[name] for name in ("q_mean", "q_sd", "p_mean", "p_sd")}
    sides = {name: given[name] for name in ("q", "p")}
    by_grid, by_vectors, by_sides = (
        any(v is not None for v in group.values()) for group in (grid, vectors, sides)
    )
    if by_grid + by_vectors + by_sides == 0:
        raise UserError(
            "no pair: expected --dimension, or --q and --p, or --q-mean, --q-sd, --p-mean and "
            "--p-sd"
        )
    if by_grid and (by_vectors or by_sides):
        raise UserError(
            "--family, --dimension, --scale and --offset: not together with vectors, texts or "
            "files, whose length is the dimension"
        )
    return _of_grid(**grid) if by_grid else _of_sides(vectors, sides)


def _of_grid(
    family: str | None, dimension: int | None, scale: float | None, offset: float | None
) -> Pair:
    from mckl.families.registry import sweep_pair

    if dimension is None:
        raise UserError("--dimension: missing")
    if not 1 <= dimension <= _MOST_DIMENSION:
        shown = shortened(plain(dimension), 60)
        raise UserError(f"--dimension: {shown}, expected 1 to {_MOST_DIMENSION:.0e}")
    try:
        return sweep_pair(
            family or "normal", dimension, 1.0 if scale is None else scale, offset or 0.0
        )
    except ValueError as error:
        raise UserError(f"--family: {error}") from None


def _of_sides(vectors: Mapping[str, str | None], sides: Mapping[str, str | None]) -> Pair:
    from mckl.cli.sides import is_side, is_text, read_side
    from mckl.families.registry import case_pair

    case: dict[str, Mapping[str, Any]] = {}
    for side, given in sides.items():
        own = {name: text for name, text in vectors.items() if name[0] == side}
        if given and is_side(given):
            for name, text in own.items():
                _check_alone(name, text)
            case[side] = read_side(side, given)
        else:
            case[side] = _normal(side, given, own)
    try:
        return case_pair(case)
    except ValueError as error:
        side, _, problem = str(error).partition(": ")
        given = sides.get(side)
        if side not in case:
            raise UserError(f"--q and --p: {error}") from None
        path = "" if given is None or is_text(given) else f"{given}: "
        raise UserError(f"--{side}: {path}{problem}") from None


def _check_alone(name: str, text: str | None) -> None:
    if text is not None:
        raise UserError(f"--{name.replace('_', '-')} and --{name[0]}: expected one of them")


def _normal(side: str, path: str | None, vectors: Mapping[str, str | None]) -> dict[str, Vector]:
    """The mean and the standard deviations of a side that a file or vectors give."""
    from mckl.cli.sides import SUFFIXES as TEXTS
    from mckl.record.columns import SUFFIXES
    from mckl.record.vectors import read_gaussian

    parts: dict[str, Vector] = {}
    if path is not None:
        if not path.lower().endswith(SUFFIXES):
            raise UserError(
                f"--{side}: {quoted(path)}, expected a file named "
                f"{', '.join('*' + suffix for suffix in (*SUFFIXES, *TEXTS))}, or a text such as "
                "{family: gamma, shape: 2, rate: 1}"
            )
        parts = dict(zip(("mean", "sd"), read_gaussian(path, side), strict=True))
    for name, text in vectors.items():
        option, parameter = "--" + name.replace("_", "-"), name[2:]
        if parameter in parts:
            _check_alone(name, text)
        elif text is None:
            raise UserError(f"{option}: missing")
        else:
            parts[parameter] = _vector(option, name, text)
    return {name: v.reshape(()) if v.size == 1 else v for name, v in parts.items()}


def _vector(option: str, name: str, text: str) -> Vector:
    import numpy as np

    from mckl.record.columns import SUFFIXES
    from mckl.record.vectors import read_vector

    if text.lower().endswith(SUFFIXES):
        return read_vector(text, name)
    try:
        return np.array([float(cell) for cell in text.split(",")])
    except ValueError:
        raise UserError(
            f"{option}: {quoted(text)}, expected numbers as 1,4 or a file ({', '.join(SUFFIXES)})"
        ) from None


if __name__ == "__main__":
    main()
